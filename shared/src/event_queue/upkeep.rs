//! Keeps the queue of events in order.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{DbError, Tx};

/// How long a settled row stays, and with it what Google's tag calls the browser.
const KEPT: TimeDelta = TimeDelta::days(14);
/// No lane takes an event that is older: it expires, whether its destination is declared or not.
const OLDEST: TimeDelta = TimeDelta::days(7);

/// Settles rows whose lease ended without an outcome: whoever held it was killed while it sent. Purchases are
/// sent again, because Google recognises those ([`is_recognised_again`](crate::analytics::is_recognised_again)).
/// Everything else may have arrived and would count twice. Returns how many rows are unverifiable now.
pub async fn recover(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    let row = sqlx::query!(
        r#"-- event_queue::recover
        with interrupted as materialized (
            select q.id, e.event_name = 'purchase' as is_recognised
            from public.event_queue q
            join public.tracking_events e on e.id = q.event
            where q.lock_token is not null and q.locked_until <= now()
            order by q.id
            for no key update of q skip locked
        ),
        settled as (
            update public.event_queue q
            set status = case when is_recognised then 'pending' else 'unverifiable' end,
                settled_at = case when not is_recognised then $1::timestamptz end,
                last_error_code = 'interrupted',
                last_error = case
                    when is_recognised then 'The function ended while it sent this purchase: it is sent again.'
                    else 'The function ended while it sent this event: it may have arrived, so it isn''t sent again.'
                end,
                locked_until = null,
                lock_token = null
            from interrupted i
            where q.id = i.id
            returning q.status
        )
        select count(*) as "unverifiable!" from settled where status = 'unverifiable'"#,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(row.unverifiable).unwrap_or(0))
}

/// Expires events of a lane that happened before this time, and returns how many.
pub async fn expire(tx: &mut Tx, lane: &str, before: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, DbError> {
    let expired = sqlx::query!(
        "-- event_queue::expire
        update public.event_queue
        set status = 'expired', settled_at = $3, last_error_code = coalesce(last_error_code, 'too_old'),
            last_error = coalesce(last_error, 'It waited for longer than Google Analytics takes events.')
        where id in (
            select id from public.event_queue
            where destination = $1 and status = 'pending' and lock_token is null and created_at < $2
            order by id
            for no key update skip locked
        )",
        lane,
        before,
        now,
    )
    .execute(tx)
    .await?;
    Ok(expired.rows_affected())
}

/// Expires what is too old for any lane, removes what was settled long ago, and with it what named the browser. Ends
/// the pauses of lanes that nothing waits for. Returns how many rows expired.
pub async fn tidy(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    let expired = sqlx::query!(
        "-- event_queue::tidy
        update public.event_queue
        set status = 'expired', settled_at = $2, last_error_code = 'undeclared',
            last_error = 'No destination of this name was declared until it was too old.'
        where id in (
            select id from public.event_queue
            where status = 'pending' and lock_token is null and created_at < $1
            order by id
            for no key update skip locked
        )",
        now - OLDEST,
        now,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- event_queue::tidy
        with gone as (
            delete from public.event_queue
            where id in (
                select id from public.event_queue
                where settled_at < $1 and next_status_check_at is null
                order by settled_at
                -- More than come in between two runs, and few enough for one statement.
                limit 20000
                for update skip locked
            )
            returning event
        )
        update public.tracking_events e
        set ga_client_id = null, ga_sessions = '{}', user_agent = null
        from (select distinct event from gone) as sent
        where e.id = sent.event",
        now - KEPT,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- event_queue::tidy
        update public.platform_state s
        set state = 'active', reason = null, paused_at = null, next_probe_at = null, ends_with = 'acceptance'
        where s.platform like 'events:%' and s.state = 'paused' and s.next_probe_at <= $1
            and not exists (
                select from public.event_queue q
                where 'events:' || q.destination = s.platform and q.status = 'pending'
            )",
        now,
    )
    .execute(tx)
    .await?;
    Ok(expired.rows_affected())
}

/// Makes events due whose requests failed: the lane works again.
pub async fn wake(tx: &mut Tx, lane: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- event_queue::wake
        update public.event_queue
        set next_retry_at = $2
        where id in (
            select id from public.event_queue
            where destination = $1 and status = 'pending' and lock_token is null and next_retry_at > $2
            order by id
            for no key update skip locked
        )",
        lane,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many requests of these lanes were accepted since: only lanes with receipts have limits.
pub async fn requests(tx: &mut Tx, lanes: &[String], since: DateTime<Utc>) -> Result<usize, DbError> {
    let row = sqlx::query!(
        r#"-- event_queue::requests
        select count(distinct request_id) as "requests!"
        from public.event_queue
        where settled_at > $2 and destination = any($1)"#,
        lanes,
        since,
    )
    .fetch_one(tx)
    .await?;
    Ok(usize::try_from(row.requests).unwrap_or(0))
}
