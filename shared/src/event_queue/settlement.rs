//! Writes what came of sending events.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Claim;
use crate::analytics::EventOutcome;
use crate::db::{DbError, Tx};
use crate::platforms::Reason;
use crate::queue::CONFIRM_AFTER;

/// Delays after requests that certainly failed; the last one repeats.
const RETRY_DELAYS: [TimeDelta; 5] = [
    TimeDelta::seconds(30),
    TimeDelta::minutes(2),
    TimeDelta::minutes(10),
    TimeDelta::minutes(30),
    TimeDelta::hours(1),
];

/// The new state of a row.
struct Settlement<'a> {
    id: Uuid,
    status: &'static str,
    failures: i32,
    next_retry_at: Option<DateTime<Utc>>,
    request_id: Option<&'a str>,
    reason: Option<&'a Reason>,
}

impl<'a> Settlement<'a> {
    fn of(id: Uuid, failures: i32, outcome: &'a EventOutcome, now: DateTime<Utc>) -> Self {
        let settled = |status| Self { id, status, failures, next_retry_at: None, request_id: None, reason: None };
        let settled = match outcome {
            EventOutcome::Accepted { request_id } => Self { request_id: Some(request_id), ..settled("sent") },
            EventOutcome::Recorded => settled("sent"),
            EventOutcome::Unverifiable(_) => settled("unverifiable"),
            EventOutcome::Rejected(_) => settled("rejected"),
            EventOutcome::Unavailable(_, wait) => {
                let nth = usize::try_from(failures).unwrap_or(0).min(RETRY_DELAYS.len() - 1);
                let delay = RETRY_DELAYS[nth].max(wait.unwrap_or_default());
                Self { failures: failures.saturating_add(1), next_retry_at: Some(now + delay), ..settled("pending") }
            }
            EventOutcome::Paused(_) | EventOutcome::Unsent => settled("pending"),
        };
        Self { reason: outcome.reason(), ..settled }
    }
}

/// Writes the outcomes of a claim, one for each of its events, and returns how many rows it still held. Whoever lost
/// its lease writes nothing.
pub async fn settle(tx: &mut Tx, claim: &Claim, outcomes: &[EventOutcome], now: DateTime<Utc>) -> Result<u64, DbError> {
    let nameless = EventOutcome::Rejected(Reason::new(
        "no_client_id",
        "Its visitor was erased, and it has no id of Google's tag: Google Analytics can't count it for a browser.",
    ));
    let events = claim.events.iter().zip(&claim.failures).zip(outcomes);
    let settled: Vec<_> = events
        .map(|((event, failures), outcome)| Settlement::of(event.queue_id, *failures, outcome, now))
        .chain(claim.nameless.iter().map(|id| Settlement::of(*id, 0, &nameless, now)))
        .collect();
    let column = |value: fn(&Settlement) -> Option<String>| settled.iter().map(value).collect::<Vec<_>>();
    let written = sqlx::query!(
        r#"-- event_queue::settle
        update public.event_queue q
        set status = s.status,
            transport_failures = s.failures,
            next_retry_at = s.next_retry_at,
            request_id = s.request_id,
            next_status_check_at = case when s.request_id is not null then $9::timestamptz end,
            settled_at = case when s.status <> 'pending' then $8::timestamptz end,
            last_error_code = s.reason_code,
            last_error = s.reason,
            locked_until = null,
            lock_token = null
        from unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
            as s (id, status, failures, next_retry_at, request_id, reason_code, reason)
        where q.id = s.id and q.lock_token = $10 and q.status = 'pending'"#,
        &settled.iter().map(|it| it.id).collect::<Vec<_>>(),
        &column(|it| Some(it.status.into())) as &[Option<String>],
        &settled.iter().map(|it| it.failures).collect::<Vec<_>>(),
        &settled.iter().map(|it| it.next_retry_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &column(|it| it.request_id.map(str::to_owned)) as &[Option<String>],
        &column(|it| it.reason.map(|reason| reason.code.clone())) as &[Option<String>],
        &column(|it| it.reason.map(|reason| reason.message.clone())) as &[Option<String>],
        now,
        now + CONFIRM_AFTER,
        claim.token,
    )
    .execute(tx)
    .await?;
    Ok(written.rows_affected())
}
