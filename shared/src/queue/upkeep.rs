//! What a run reads from the queue before it sends: the work of each lane, and the number of requests so far.

use chrono::{DateTime, Utc};

use super::Policy;
use super::breaker::State;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::platforms::{Operation, Route};

/// Due rows are counted up to this.
const MANY: i64 = 10_000;

/// The work of a lane.
#[derive(Debug)]
pub struct Work {
    pub lane: String,
    /// Whether it is paused.
    pub state: State,
    /// How many rows are due and may be sent, counted up to ten thousand.
    pub due: usize,
    /// Is a verdict due?
    pub has_receipts: bool,
}

/// The work of each of these lanes.
pub async fn work(tx: &mut Tx, policy: &Policy, routes: &[&Route], now: DateTime<Utc>) -> Result<Vec<Work>, DbError> {
    let lanes: Vec<_> = routes.iter().map(|route| route.lane.clone()).collect();
    let retracts: Vec<_> = routes.iter().map(|route| route.operation == Operation::Retraction).collect();
    let rows = sqlx::query!(
        r#"-- queue::work
        select
            p.platform as "platform!",
            coalesce(s.state = 'paused', false) as "is_paused!", s.next_probe_at,
            coalesce(s.ends_with, '') as "ends_with!",
            (
                select count(*)
                from (
                    select
                    from public.conversion_queue q
                    join public.conversions c on c.id = q.conversion_id
                    -- The same rows as queue::claim takes.
                    where q.platform = p.platform
                        and q.status in ('pending', 'failed')
                        and (q.next_retry_at is null or q.next_retry_at <= $2)
                        and (q.locked_until is null or q.locked_until <= now())
                        and (p.retracts or c.ad_user_data = any($3::text[]))
                        and (q.adjusts is not null or c.retracted_at is null)
                        and (
                            q.adjusts is null
                            or (
                                select o.status in ('uploaded', 'dead_letter')
                                from public.conversion_queue o
                                where o.id = q.adjusts
                            )
                        )
                    limit $4
                ) row
            ) as "due!",
            exists (
                select
                from public.conversion_queue q
                where q.platform = p.platform and q.status = 'uploaded' and q.confirmed_at is null
                    and q.next_status_check_at <= $2
            ) as "has_receipts!"
        from unnest($1::text[], $5::boolean[]) as p (platform, retracts)
        left join public.platform_state s on s.platform = p.platform"#,
        &lanes,
        now,
        &policy.unknown_consent.sendable() as &[ConsentStatus],
        MANY,
        &retracts,
    )
    .fetch_all(tx)
    .await?;
    let work = rows.into_iter().map(|row| Work {
        lane: row.platform,
        state: State::of(row.is_paused, row.next_probe_at, &row.ends_with, now),
        due: usize::try_from(row.due).unwrap_or(0),
        has_receipts: row.has_receipts,
    });
    Ok(work.collect())
}

/// A lane as the operator sees it.
#[derive(Debug)]
pub struct LaneState {
    pub lane: String,
    /// Rows that are not sent yet, or to be retried.
    pub open: i64,
    /// Since when the longest waiting of them has been due.
    pub due_since: Option<DateTime<Utc>>,
    /// Why it is paused and what to do.
    pub paused: Option<String>,
}

/// Every lane of conversions that has open rows or a state.
pub async fn lanes(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<LaneState>, DbError> {
    let lanes = sqlx::query_as!(
        LaneState,
        r#"-- queue::lanes
        select
            coalesce(q.lane, s.platform) as "lane!", coalesce(q.open, 0) as "open!", q.due_since,
            case when s.state = 'paused' then s.reason end as paused
        from (
            select
                platform as lane, count(*) as open,
                min(greatest(next_retry_at, created_at)) filter (
                    where greatest(next_retry_at, created_at) <= $1
                ) as due_since
            from public.conversion_queue
            where status in ('pending', 'failed')
            group by platform
        ) q
        full join (
            select platform, state, reason from public.platform_state where platform not like 'events:%'
        ) s on s.platform = q.lane
        order by 1"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(lanes)
}

/// Makes rows due whose requests failed: the platform is available again.
pub async fn wake(tx: &mut Tx, platform: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::wake
        update public.conversion_queue
        set next_retry_at = $2
        where id in (
            select id from public.conversion_queue
            where platform = $1 and status in ('pending', 'failed') and transport_failures > 0 and next_retry_at > $2
                and lock_token is null
            order by id
            for no key update
        )",
        platform,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many requests these lanes made to an API in the last minute and in the last day.
pub async fn requests(
    tx: &mut Tx,
    transport: &str,
    lanes: &[String],
    now: DateTime<Utc>,
) -> Result<(usize, usize), DbError> {
    let row = sqlx::query!(
        r#"-- queue::requests
        select
            count(distinct exchange_id) filter (
                where attempted_at > $3::timestamptz - interval '1 minute'
            ) as "last_minute!",
            count(distinct exchange_id) as "last_day!"
        from public.upload_attempts
        where transport = $1 and platform = any($2) and attempted_at > $3::timestamptz - interval '1 day'"#,
        transport,
        lanes,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok((usize::try_from(row.last_minute).unwrap_or(0), usize::try_from(row.last_day).unwrap_or(0)))
}
