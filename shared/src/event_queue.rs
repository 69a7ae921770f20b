//! The queue of events: one row for each event and destination of analytics.
//!
//! Analytics counts whatever it is told, and recognises repetitions of purchases only. So a row is leased before it is
//! sent, and a lease that ends without an outcome means that nobody knows: the event is never sent a second time by
//! guess ([`recover`]). The lease uses Postgres' clock and its token guards the outcome, as in the queue of
//! conversions.

mod claiming;
pub mod health;
pub mod receipts;
mod settlement;
mod upkeep;

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::platforms::Reason;
use crate::queue::breaker::{self, Pause};

pub use claiming::{Claim, Claiming, claim};
pub use settlement::settle;
pub use upkeep::{expire, recover, requests, tidy, wake};

/// The lease of a claimed row, in seconds. Longer than any function runs that sends events.
const LEASE_SECONDS: i32 = 300;

/// What `platform_state.platform` says of a lane of events. No lane of conversions has a colon in its name.
#[must_use]
pub fn breaker_name(lane: &str) -> String {
    format!("events:{lane}")
}

/// The work of a lane.
#[derive(Debug)]
pub struct Work {
    pub lane: String,
    /// How many rows are due, counted up to the limit that was given.
    pub due: usize,
    /// Is a verdict due?
    pub has_receipts: bool,
    /// Since when it is paused, if it is.
    pub paused_at: Option<DateTime<Utc>>,
    /// When the next event may be tried in a pause.
    pub next_probe_at: Option<DateTime<Utc>>,
}

/// The work of each of these lanes; due rows are counted up to `many`.
pub async fn work(tx: &mut Tx, lanes: &[String], many: usize, now: DateTime<Utc>) -> Result<Vec<Work>, DbError> {
    let rows = sqlx::query!(
        r#"-- event_queue::work
        select
            l.lane as "lane!", s.paused_at, s.next_probe_at,
            (
                select count(*)
                from (
                    select
                    from public.event_queue q
                    where q.destination = l.lane and q.status = 'pending' and q.lock_token is null
                        and (q.next_retry_at is null or q.next_retry_at <= $2)
                    limit $3
                ) row
            ) as "due!",
            exists (
                select
                from public.event_queue q
                where q.destination = l.lane and q.next_status_check_at <= $2
            ) as "has_receipts!"
        from unnest($1::text[]) as l (lane)
        left join public.platform_state s on s.platform = 'events:' || l.lane and s.state = 'paused'"#,
        lanes,
        now,
        i64::try_from(many).unwrap_or(i64::MAX),
    )
    .fetch_all(tx)
    .await?;
    let work = rows.into_iter().map(|row| Work {
        lane: row.lane,
        due: usize::try_from(row.due).unwrap_or(0),
        has_receipts: row.has_receipts,
        paused_at: row.paused_at,
        next_probe_at: row.next_probe_at,
    });
    Ok(work.collect())
}

/// Takes the probe of a paused lane, if it is due: of several workers at once one gets it. The next is due `until`.
pub async fn take_probe(tx: &mut Tx, lane: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> Result<bool, DbError> {
    let taken = sqlx::query!(
        "-- event_queue::take_probe
        update public.platform_state set next_probe_at = $2
        where platform = $1 and state = 'paused' and next_probe_at <= $3",
        breaker_name(lane),
        until,
        now,
    )
    .execute(tx)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// Pauses a lane until the next probe.
pub async fn pause(
    tx: &mut Tx,
    lane: &str,
    reason: &Reason,
    next_probe_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    breaker::pause(tx, &breaker_name(lane), Pause { reason, next_probe_at, until_confirmed: false }, now).await
}

/// Notes that a lane took an event, which ends its pause.
pub async fn accepted(tx: &mut Tx, lane: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    breaker::accepted(tx, &breaker_name(lane), true, now).await
}
