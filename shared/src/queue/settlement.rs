//! The new state of a queue row after an attempt.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Policy;
use super::log::AttemptResult;
use crate::db::{DbError, Tx};
use crate::platforms::{Outcome, Reason};

/// Delays after a rejection: 15 min, 1 h, 4 h, 16 h; then the row is a dead letter.
const RETRY_DELAYS: [TimeDelta; 4] =
    [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::hours(4), TimeDelta::hours(16)];
/// Delays after a failed request: 15 min, 30 min, then always 1 h.
const TRANSPORT_DELAYS: [TimeDelta; 3] = [TimeDelta::minutes(15), TimeDelta::minutes(30), TimeDelta::hours(1)];
/// How long a row is held until a setting is changed, before it is retried.
const HELD: TimeDelta = TimeDelta::hours(1);

/// The history of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    pub retry_count: i32,
    pub max_retries: i32,
    pub transport_failures: i32,
}

/// The new values of a row; an absent one leaves the column unchanged.
#[derive(Debug, Default)]
pub(super) struct Settlement<'a> {
    pub id: Uuid,
    pub status: &'a str,
    pub retry_count: i32,
    pub transport_failures: i32,
    pub next_retry_at: Option<DateTime<Utc>>,
    pub request_id: Option<&'a str>,
    /// Where it was sent, if it was accepted or may have been.
    pub sent_to: Option<&'a str>,
    pub sent_through: Option<&'a str>,
    pub next_status_check_at: Option<DateTime<Utc>>,
    pub send_alone: bool,
    pub omit_click_id: bool,
    pub second_later: bool,
    pub reason_code: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub outcome: &'static str,
}

impl<'a> Settlement<'a> {
    pub(super) fn of(id: Uuid, before: Counters, outcome: &'a Outcome, now: DateTime<Utc>, policy: &Policy) -> Self {
        let this = Self {
            id,
            status: if before.retry_count > 0 { "failed" } else { "pending" },
            retry_count: before.retry_count,
            outcome: outcome.as_str(),
            reason_code: outcome.reason().map(|reason| reason.code.as_str()),
            reason: outcome.reason().map(|reason: &Reason| reason.message.as_str()),
            ..Self::default()
        };
        match outcome {
            Outcome::Accepted { request_id } => Self {
                status: "uploaded",
                request_id: Some(request_id),
                // Its verdict may hold it again, and again.
                transport_failures: before.transport_failures,
                next_status_check_at: Some(now + policy.confirm_after),
                ..this
            },
            Outcome::Recorded | Outcome::AlreadyDone(_) | Outcome::AlreadyThere(_) => {
                Self { status: "uploaded", ..this }
            }
            Outcome::Later(at, _) => Self { next_retry_at: Some(*at), ..this },
            Outcome::Rejected(_) => Self { status: "dead_letter", ..this },
            Outcome::Retry(_) => {
                let refusals = before.retry_count + 1;
                let (status, next_retry_at) = match retry_delay(before, id) {
                    Some(delay) => ("failed", Some(now + delay)),
                    None => ("dead_letter", None),
                };
                Self { status, retry_count: refusals, next_retry_at, ..this }
            }
            Outcome::Held(_) | Outcome::OtherAccount(_) => Self {
                transport_failures: before.transport_failures + 1,
                next_retry_at: Some(now + jittered(HELD, id)),
                ..this
            },
            Outcome::Unavailable(_, wait) => {
                let nth = usize::try_from(before.transport_failures).unwrap_or(usize::MAX);
                let delay = jittered(TRANSPORT_DELAYS[nth.min(TRANSPORT_DELAYS.len() - 1)], id);
                Self {
                    transport_failures: before.transport_failures + 1,
                    next_retry_at: Some(now + wait.unwrap_or(delay)),
                    ..this
                }
            }
            Outcome::SendAlone(_) => Self { send_alone: true, ..this },
            Outcome::OmitClickId(_) => Self { omit_click_id: true, ..this },
            Outcome::SecondLater(_) => Self { second_later: true, ..this },
            // The platform is paused. The next probe uses a different row, in case this one caused the error.
            Outcome::Paused(_) => Self {
                transport_failures: before.transport_failures + 1,
                next_retry_at: Some(now + policy.probe_after * 2),
                ..this
            },
            // It was not sent.
            Outcome::Unsent => Self { transport_failures: before.transport_failures, ..this },
        }
    }
}

impl<'a> Settlement<'a> {
    /// For the log of attempts.
    pub(super) fn result(&self) -> AttemptResult<'a> {
        AttemptResult { outcome: self.outcome, reason_code: self.reason_code, reason: self.reason }
    }
}

/// Settlements as the columns of a statement.
#[derive(Default)]
pub(super) struct Columns {
    pub ids: Vec<Uuid>,
    pub statuses: Vec<String>,
    pub retry_counts: Vec<i32>,
    pub transport_failures: Vec<i32>,
    pub next_retry_at: Vec<Option<DateTime<Utc>>>,
    pub request_ids: Vec<Option<String>>,
    pub next_status_check_at: Vec<Option<DateTime<Utc>>>,
    pub send_alone: Vec<bool>,
    pub omit_click_id: Vec<bool>,
    pub second_later: Vec<bool>,
    pub reason_codes: Vec<Option<String>>,
    pub reasons: Vec<Option<String>>,
    pub outcomes: Vec<String>,
    pub sent_to: Vec<Option<String>>,
    pub sent_through: Vec<Option<String>>,
}

impl Columns {
    pub(super) fn of<'a, 'b: 'a>(settlements: impl Iterator<Item = &'a Settlement<'b>>) -> Self {
        let mut columns = Self::default();
        for it in settlements {
            columns.ids.push(it.id);
            columns.statuses.push(it.status.into());
            columns.retry_counts.push(it.retry_count);
            columns.transport_failures.push(it.transport_failures);
            columns.next_retry_at.push(it.next_retry_at);
            columns.request_ids.push(it.request_id.map(Into::into));
            columns.next_status_check_at.push(it.next_status_check_at);
            columns.send_alone.push(it.send_alone);
            columns.omit_click_id.push(it.omit_click_id);
            columns.second_later.push(it.second_later);
            columns.reason_codes.push(it.reason_code.map(Into::into));
            columns.reasons.push(it.reason.map(Into::into));
            columns.outcomes.push(it.outcome.into());
            columns.sent_to.push(it.sent_to.map(Into::into));
            columns.sent_through.push(it.sent_through.map(Into::into));
        }
        columns
    }
}

/// Writes the settlements of the rows whose lease still has this token, and returns those rows.
pub(super) async fn write(
    tx: &mut Tx,
    settlements: &[Settlement<'_>],
    token: Uuid,
    now: DateTime<Utc>,
) -> Result<BTreeSet<Uuid>, DbError> {
    let held = lock(tx, settlements, token).await?;
    let rows = Columns::of(settlements.iter().filter(|it| held.contains(&it.id)));
    sqlx::query!(
        r#"-- queue::settlement::write
        update public.conversion_queue q
        set status = s.status,
            retry_count = s.retry_count,
            transport_failures = s.transport_failures,
            -- At the latest when it expires, so that it doesn't wait beyond that unnoticed.
            next_retry_at = case
                when s.next_retry_at > q.expires_at and q.expires_at > $13 then q.expires_at
                else coalesce(s.next_retry_at, q.next_retry_at)
            end,
            request_id = coalesce(s.request_id, q.request_id),
            -- Where it certainly is rather than where it may be.
            (sent_to, sent_through) = (
                select
                    case when keeps then q.sent_to else s.sent_to end,
                    case when keeps then q.sent_through else s.sent_through end
                from (
                    select s.sent_to is null or (s.status <> 'uploaded' and q.sent_to is not null) as keeps
                ) as told
            ),
            uploaded_at = case when s.status = 'uploaded' then $13::timestamptz else q.uploaded_at end,
            -- What the platform has had before was processed before.
            confirmed_at = case when s.outcome in ('already_done', 'recorded') then $13 end,
            next_status_check_at = s.next_status_check_at,
            status_checks = 0,
            send_alone = q.send_alone or s.send_alone,
            omit_click_id = q.omit_click_id or s.omit_click_id,
            seconds_later = q.seconds_later + s.second_later::integer,
            (last_error, last_error_code) = (
                select
                    case
                        when keeps then q.last_error
                        when s.outcome = 'already_there' then s.reason
                        when s.status <> 'uploaded' then coalesce(s.reason, q.last_error)
                    end,
                    case
                        when keeps then q.last_error_code
                        when s.outcome = 'already_there' then s.reason_code
                        when s.status <> 'uploaded' then coalesce(s.reason_code, q.last_error_code)
                    end
                -- Without its click id nothing is left: the reason is why it had to go without.
                from (select q.omit_click_id and s.reason_code in ('no_identifiers', 'expired') as keeps) as reason
            ),
            dead_lettered_at = case when s.status = 'dead_letter' then $13 end,
            locked_until = null,
            lock_token = null
        from unnest(
            $1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::timestamptz[], $6::text[], $7::timestamptz[],
            $8::boolean[], $9::boolean[], $10::text[], $11::text[], $12::text[], $14::text[], $15::boolean[],
            $16::text[]
        ) as s (
            id, status, retry_count, transport_failures, next_retry_at, request_id, next_status_check_at, send_alone,
            omit_click_id, reason_code, reason, outcome, sent_to, second_later, sent_through
        )
        where q.id = s.id"#,
        &rows.ids,
        &rows.statuses,
        &rows.retry_counts,
        &rows.transport_failures,
        &rows.next_retry_at as &[Option<DateTime<Utc>>],
        &rows.request_ids as &[Option<String>],
        &rows.next_status_check_at as &[Option<DateTime<Utc>>],
        &rows.send_alone,
        &rows.omit_click_id,
        &rows.reason_codes as &[Option<String>],
        &rows.reasons as &[Option<String>],
        &rows.outcomes,
        now,
        &rows.sent_to as &[Option<String>],
        &rows.second_later,
        &rows.sent_through as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(held)
}

/// Locks the rows that the claim with this token still holds, and answers which those are. A statement of its own,
/// because Postgres can't estimate how many rows a lease covers: joined with the settlements, the guess of one row
/// makes the join quadratic.
async fn lock(tx: &mut Tx, settlements: &[Settlement<'_>], token: Uuid) -> Result<BTreeSet<Uuid>, DbError> {
    let ids: Vec<_> = settlements.iter().map(|it| it.id).collect();
    let held = sqlx::query_scalar!(
        "-- queue::settlement::lock
        select id
        from public.conversion_queue
        where id = any($1) and lock_token = $2 and status in ('pending', 'failed')
        order by id
        for no key update",
        &ids,
        token,
    )
    .fetch_all(tx)
    .await?;
    Ok(held.into_iter().collect())
}

/// The delay after the next rejection; none if it is the last one.
fn retry_delay(before: Counters, id: Uuid) -> Option<TimeDelta> {
    let nth = usize::try_from(before.retry_count).ok()?;
    let delay = RETRY_DELAYS.get(nth).filter(|_| before.retry_count + 1 < before.max_retries)?;
    Some(jittered(*delay, id))
}

/// Jitter of ± 10 %, so that rows rejected together are not retried together. Derived from the row's random id.
fn jittered(delay: TimeDelta, id: Uuid) -> TimeDelta {
    let draw = i32::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]]) % 201) - 100;
    delay + delay * draw / 1000
}
