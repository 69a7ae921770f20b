//! The queue: one row for each conversion and platform that is to hear of it.
//!
//! A row in flight keeps its status and carries a lease instead. The lease is taken by Postgres' clock, so that no two
//! uploaders disagree on it, and its token guards the outcome: a sandbox that was frozen, lost its lease and wakes up
//! can't overwrite what happened since. Everything else (what is due, when to try again) goes by the app's clock.

pub mod receipts;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::attribution::ClickId;
use crate::config::{Config, UnknownConsent};
use crate::consent::ConsentStatus;
use crate::conversions::ConversionType;
use crate::db::{DbError, Tx};
use crate::identity::Hash;
use crate::money::Money;
use crate::platforms::{Attempt, Conversion, Outcome, Reason};

/// How long a claimed row is nobody else's, in seconds. Longer than an uploader can live: its Lambda ends after 120.
pub const LEASE_SECONDS: i32 = 300;

/// How long a row waits after the platform refused it: 15 min, 1 h, 4 h, 16 h; then it is a dead letter.
const RETRY_DELAYS: [TimeDelta; 4] =
    [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::hours(4), TimeDelta::hours(16)];
/// How long it waits after the request failed: 15 min, 30 min, then 1 h for as long as it takes.
const TRANSPORT_DELAYS: [TimeDelta; 3] = [TimeDelta::minutes(15), TimeDelta::minutes(30), TimeDelta::hours(1)];
/// The longest wait a platform may ask for: until its daily quota is new.
const LONGEST_ASKED_FOR: TimeDelta = TimeDelta::days(1);

/// Rows claimed together.
#[derive(Debug)]
pub struct Claim {
    token: Uuid,
    /// What to send.
    pub conversions: Vec<Conversion>,
    counters: Vec<Counters>,
}

#[derive(Clone, Copy, Debug)]
struct Counters {
    retry_count: i32,
    max_retries: i32,
    transport_failures: i32,
}

/// Claims due rows of a platform, those nearest to the end of their click first.
///
/// # Errors
/// Those of the database.
pub async fn claim(
    tx: &mut Tx,
    config: &Config,
    platform: &str,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Claim, DbError> {
    let token = Uuid::new_v4();
    let rows = sqlx::query!(
        r#"-- queue::claim
        with due as materialized (
            select q.id
            from public.conversion_queue q
            join public.conversions c on c.id = q.conversion_id
            where q.platform = $1
                and q.status in ('pending', 'failed')
                and (q.next_retry_at is null or q.next_retry_at <= $2)
                and (q.locked_until is null or q.locked_until <= now())
                and (c.ad_user_data = 'granted' or (c.ad_user_data = 'unknown' and $3))
            order by q.expires_at, q.created_at
            limit $4
            for update of q skip locked
        )
        update public.conversion_queue q
        set locked_until = now() + make_interval(secs => $5), lock_token = $6, claims = q.claims + 1
        from due, public.conversions c
        where q.id = due.id and c.id = q.conversion_id
        returning
            q.id, q.retry_count, q.max_retries, q.transport_failures,
            c.transaction_id, c.conversion_type as "conversion_type: ConversionType", c.occurred_at,
            c.value::float8 as value, c.currency,
            c.gclid as "gclid: ClickId", c.gbraid as "gbraid: ClickId", c.wbraid as "wbraid: ClickId", c.click_at,
            c.email_hash_google as "email_hash_google: Hash", c.phone_hash as "phone_hash: Hash",
            c.ad_user_data as "ad_user_data: ConsentStatus",
            c.ad_personalization as "ad_personalization: ConsentStatus""#,
        platform,
        now,
        config.consent_unknown == UnknownConsent::Send,
        i64::try_from(limit).unwrap_or(i64::MAX),
        f64::from(LEASE_SECONDS),
        token,
    )
    .fetch_all(tx)
    .await?;
    let mut claim =
        Claim { token, conversions: Vec::with_capacity(rows.len()), counters: Vec::with_capacity(rows.len()) };
    for row in rows {
        claim.counters.push(Counters {
            retry_count: row.retry_count,
            max_retries: row.max_retries,
            transport_failures: row.transport_failures,
        });
        claim.conversions.push(Conversion {
            queue_id: row.id,
            transaction_id: row.transaction_id,
            conversion_type: row.conversion_type,
            occurred_at: row.occurred_at,
            money: row.value.zip(row.currency).map(|(value, currency)| Money::new(value, currency)),
            gclid: row.gclid,
            gbraid: row.gbraid,
            wbraid: row.wbraid,
            click_at: row.click_at,
            email_hash_google: row.email_hash_google,
            phone_hash: row.phone_hash,
            ad_user_data: row.ad_user_data,
            ad_personalization: row.ad_personalization,
        });
    }
    Ok(claim)
}

/// What a row becomes. Names are the SQL's; an absent value leaves the column as it is.
#[derive(Debug, Default, Serialize)]
struct Settlement<'a> {
    id: Uuid,
    status: &'a str,
    retry_count: i32,
    transport_failures: i32,
    next_retry_at: Option<DateTime<Utc>>,
    request_id: Option<&'a str>,
    next_status_check_at: Option<DateTime<Utc>>,
    reason_code: Option<&'a str>,
    reason: Option<&'a str>,
    /// For the log of attempts.
    outcome: &'static str,
    http_status: Option<u16>,
    duration_ms: u64,
}

impl<'a> Settlement<'a> {
    fn of(
        conversion: &Conversion,
        before: Counters,
        attempt: &'a Attempt,
        now: DateTime<Utc>,
        config: &Config,
    ) -> Self {
        let open = if before.retry_count > 0 { "failed" } else { "pending" };
        let this = Self {
            id: conversion.queue_id,
            status: open,
            retry_count: before.retry_count,
            transport_failures: before.transport_failures,
            http_status: attempt.exchange.http_status,
            duration_ms: u64::try_from(attempt.exchange.duration.as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        };
        let because = |reason: &'a Reason, outcome| Self {
            reason_code: Some(&reason.code),
            reason: Some(&reason.message),
            outcome,
            ..this
        };
        match &attempt.outcome {
            Outcome::Accepted { request_id } => Self {
                status: "uploaded",
                request_id: Some(request_id),
                next_status_check_at: Some(now + config.timing.confirm_after),
                outcome: "accepted",
                ..this
            },
            Outcome::AlreadyDone(reason) => Self { status: "uploaded", ..because(reason, "already_done") },
            Outcome::Later(at, reason) => Self { next_retry_at: Some(*at), ..because(reason, "later") },
            Outcome::Rejected(reason) => Self { status: "dead_letter", ..because(reason, "rejected") },
            Outcome::Retry(reason) => {
                let refusals = before.retry_count + 1;
                let delay = retry_delay(before.retry_count, conversion.queue_id);
                let (status, next_retry_at) = match delay.filter(|_| refusals < before.max_retries) {
                    Some(delay) => ("failed", Some(now + delay)),
                    None => ("dead_letter", None),
                };
                Self { status, retry_count: refusals, next_retry_at, ..because(reason, "retry") }
            }
            Outcome::Unavailable(reason, wait) => {
                let nth = usize::try_from(before.transport_failures).unwrap_or(usize::MAX);
                let delay = jittered(TRANSPORT_DELAYS[nth.min(TRANSPORT_DELAYS.len() - 1)], conversion.queue_id);
                Self {
                    transport_failures: before.transport_failures + 1,
                    next_retry_at: Some(now + wait.map_or(delay, |asked_for| asked_for.min(LONGEST_ASKED_FOR))),
                    ..because(reason, "unavailable")
                }
            }
            // The platform waits as a whole, not the row.
            Outcome::Paused(reason) => because(reason, "paused"),
        }
    }
}

/// How long a row waits after its next refusal; none when it was the last.
fn retry_delay(refusals_before: i32, id: Uuid) -> Option<TimeDelta> {
    let nth = usize::try_from(refusals_before).ok()?;
    RETRY_DELAYS.get(nth).map(|delay| jittered(*delay, id))
}

/// ± 10 %, so that rows refused together don't come back together. Drawn from the row's random id.
fn jittered(delay: TimeDelta, id: Uuid) -> TimeDelta {
    let draw = i32::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]]) % 201) - 100;
    delay + delay * draw / 1000
}

/// Writes what came of a claim, one attempt for each conversion in their order, and logs the attempts. Answers how many
/// rows were still ours to write.
///
/// # Errors
/// Those of the database.
pub async fn settle(
    tx: &mut Tx,
    config: &Config,
    platform: &str,
    claim: &Claim,
    attempts: &[Attempt],
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let settlements: Vec<_> = claim
        .conversions
        .iter()
        .zip(&claim.counters)
        .zip(attempts)
        .map(|((conversion, counters), attempt)| Settlement::of(conversion, *counters, attempt, now, config))
        .collect();
    let row = sqlx::query!(
        r#"-- queue::settle
        with settlement as materialized (
            select *
            from jsonb_to_recordset($1) as s (
                id uuid, status text, retry_count integer, transport_failures integer, next_retry_at timestamptz,
                request_id text, next_status_check_at timestamptz, reason_code text, reason text,
                outcome text, http_status smallint, duration_ms integer
            )
        ),
        settled as (
            update public.conversion_queue q
            set status = s.status,
                retry_count = s.retry_count,
                transport_failures = case when s.status = 'uploaded' then 0 else s.transport_failures end,
                next_retry_at = coalesce(s.next_retry_at, q.next_retry_at),
                request_id = coalesce(s.request_id, q.request_id),
                uploaded_at = case when s.status = 'uploaded' then $2::timestamptz else q.uploaded_at end,
                -- What the platform has had before was processed before.
                confirmed_at = case when s.outcome = 'already_done' then $2 end,
                next_status_check_at = s.next_status_check_at,
                status_checks = 0,
                last_error = case when s.status = 'uploaded' then null else coalesce(s.reason, q.last_error) end,
                last_error_code = case when s.status = 'uploaded' then null else coalesce(s.reason_code, q.last_error_code) end,
                dead_lettered_at = case when s.status = 'dead_letter' then $2 end,
                locked_until = null,
                lock_token = null
            from settlement s
            where q.id = s.id and q.lock_token = $3 and q.status in ('pending', 'failed')
            returning q.id, s.outcome
        ),
        logged as (
            insert into public.upload_attempts (
                platform, operation, queue_ids, attempted_at, duration_ms, http_status, request_id, outcome,
                reason_code, reason
            )
            select $4, 'upload', array[id], $2, duration_ms, http_status, request_id, outcome, reason_code, reason
            from settlement
        ),
        state as (
            insert into public.platform_state as p (platform, last_accepted_at)
            select $4, $2
            where exists (select from settled where outcome in ('accepted', 'already_done'))
            on conflict (platform) do update
            set last_accepted_at = excluded.last_accepted_at,
                state = 'active', reason = null, paused_at = null, next_probe_at = null
        )
        select count(*) as "settled!" from settled"#,
        json(&settlements)?,
        now,
        claim.token,
        platform,
    )
    .fetch_one(tx)
    .await?;
    Ok(row.settled.try_into().unwrap_or(0))
}

fn json(settlements: &[Settlement<'_>]) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(settlements).map_err(|error| DbError::Defect(sqlx::Error::Encode(Box::new(error))))
}
