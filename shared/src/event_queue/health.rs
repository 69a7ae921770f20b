//! What waits in the queue of events, and what went wrong, for people and monitors.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};

/// A destination of events in numbers.
#[derive(Debug)]
pub struct State {
    pub destination: String,
    /// Not sent yet.
    pub pending: i64,
    /// When the longest waiting of them happened.
    pub oldest_at: Option<DateTime<Utc>>,
    /// In the last day.
    pub sent: i64,
    pub rejected: i64,
    pub unverifiable: i64,
    pub expired: i64,
    /// Why it is paused and what to do.
    pub paused: Option<String>,
    /// Why events of the last day didn't arrive or wait, the most frequent reason.
    pub reason: Option<String>,
}

/// These destinations, and others that events wait for.
pub async fn states(tx: &mut Tx, declared: &[String], now: DateTime<Utc>) -> Result<Vec<State>, DbError> {
    let states = sqlx::query_as!(
        State,
        r#"-- event_queue::health::states
        with recent as (
            select destination, status, created_at, last_error_code, last_error
            from public.event_queue
            where status = 'pending'
            union all
            select destination, status, created_at, last_error_code, last_error
            from public.event_queue
            where settled_at > $2::timestamptz - interval '1 day'
        ),
        counted as (
            select
                destination,
                count(*) filter (where status = 'pending') as pending,
                min(created_at) filter (where status = 'pending') as oldest_at,
                count(*) filter (where status in ('sent', 'confirmed')) as sent,
                count(*) filter (where status = 'rejected') as rejected,
                count(*) filter (where status = 'unverifiable') as unverifiable,
                count(*) filter (where status = 'expired') as expired,
                mode() within group (order by last_error_code || ': ' || last_error)
                    filter (where status in ('pending', 'rejected', 'unverifiable', 'expired')) as reason
            from recent
            group by destination
        )
        select
            l.destination as "destination!", coalesce(c.pending, 0) as "pending!", c.oldest_at,
            coalesce(c.sent, 0) as "sent!", coalesce(c.rejected, 0) as "rejected!",
            coalesce(c.unverifiable, 0) as "unverifiable!", coalesce(c.expired, 0) as "expired!",
            case when s.state = 'paused' then s.reason end as paused, c.reason
        from (
            select unnest($1::text[])
            union select destination from counted where pending > 0
        ) as l (destination)
        left join counted c on c.destination = l.destination
        left join public.platform_state s on s.platform = 'events:' || l.destination
        order by 1"#,
        declared,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(states)
}
