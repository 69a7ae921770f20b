//! Receipts: what a platform accepted isn't processed yet. Its verdict is asked for until there is one.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::retry_delay;
use crate::config::Config;
use crate::db::{DbError, Tx};
use crate::platforms::{Exchange, Outcome, Verdict};

/// The first question comes after `Timing::confirm_after`, the next ones after twice the time, up to this.
const LONGEST_STATUS_DELAY: TimeDelta = TimeDelta::hours(12);

/// A receipt whose verdict is due, and the rows that wait for it.
#[derive(Debug)]
pub struct Receipt {
    /// The receipt.
    pub request_id: String,
    queue_ids: Vec<Uuid>,
    status_checks: i32,
    retry_count: i32,
}

/// Receipts of a platform whose verdict is due, the longest waiting first.
///
/// # Errors
/// Those of the database.
pub async fn unconfirmed(
    tx: &mut Tx,
    platform: &str,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Vec<Receipt>, DbError> {
    let receipts = sqlx::query_as!(
        Receipt,
        r#"-- receipts::unconfirmed
        select request_id as "request_id!", array_agg(id) as "queue_ids!", max(status_checks) as "status_checks!",
            max(retry_count) as "retry_count!"
        from public.conversion_queue
        where platform = $1
            and status = 'uploaded'
            and confirmed_at is null
            and request_id is not null
            and next_status_check_at <= $2
        group by request_id
        order by min(next_status_check_at)
        limit $3"#,
        platform,
        now,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(tx)
    .await?;
    Ok(receipts)
}

/// Writes what became of a receipt. A row that was refused after all is open again, or a dead letter.
///
/// # Errors
/// Those of the database.
pub async fn conclude(
    tx: &mut Tx,
    config: &Config,
    platform: &str,
    receipt: &Receipt,
    (verdict, exchange): &(Verdict, Exchange),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let delay = receipt.queue_ids.first().and_then(|id| retry_delay(receipt.retry_count, *id));
    let (outcome, refusal, reason) = match verdict {
        Verdict::Confirmed => ("confirmed", None, None),
        Verdict::Unanswered(reason) => ("unanswered", None, Some(reason)),
        Verdict::Paused(reason) => ("paused", None, Some(reason)),
        Verdict::Refused(Outcome::Later(at, reason)) => ("later", Some(("pending", Some(*at))), Some(reason)),
        Verdict::Refused(Outcome::Retry(reason)) => {
            ("retry", Some(("failed", delay.map(|delay| now + delay))), Some(reason))
        }
        Verdict::Refused(Outcome::Rejected(reason)) => ("rejected", Some(("dead_letter", None)), Some(reason)),
        // No platform refuses a receipt in any other way.
        Verdict::Processing | Verdict::Refused(_) => ("processing", None, None),
    };
    let (status, next_retry_at) = refusal.unwrap_or(("uploaded", None));
    let doublings = receipt.status_checks.clamp(0, 10).cast_unsigned();
    let next_check =
        now + (config.timing.confirm_after.max(TimeDelta::seconds(1)) * (1 << doublings)).min(LONGEST_STATUS_DELAY);
    sqlx::query!(
        r#"-- receipts::conclude
        with concluded as (
            update public.conversion_queue q
            set status = case
                    when $5 = 'failed' and q.retry_count + 1 >= q.max_retries then 'dead_letter'
                    else $5
                end,
                retry_count = q.retry_count + ($5 = 'failed')::integer,
                next_retry_at = $6,
                confirmed_at = case when $4 = 'confirmed' then $3::timestamptz end,
                status_checks = q.status_checks + 1,
                next_status_check_at = case when $5 = 'uploaded' and $4 <> 'confirmed' then $7::timestamptz end,
                dead_lettered_at = case
                    when $5 = 'dead_letter' or ($5 = 'failed' and q.retry_count + 1 >= q.max_retries) then $3::timestamptz
                end,
                last_error = case when $4 in ('confirmed', 'processing') then null else coalesce($9, q.last_error) end,
                last_error_code = case when $4 in ('confirmed', 'processing') then null else coalesce($8, q.last_error_code) end
            where q.id = any($1) and q.request_id = $2 and q.status = 'uploaded' and q.confirmed_at is null
        )
        insert into public.upload_attempts (
            platform, operation, queue_ids, attempted_at, duration_ms, http_status, request_id, outcome, reason_code, reason
        )
        values ($10, 'status', $1, $3, $11, $12, $2, $4, $8, $9)"#,
        &receipt.queue_ids,
        receipt.request_id,
        now,
        outcome,
        status,
        next_retry_at,
        next_check,
        reason.map(|reason| reason.code.as_str()),
        reason.map(|reason| reason.message.as_str()),
        platform,
        i32::try_from(exchange.duration.as_millis()).unwrap_or(i32::MAX),
        exchange.http_status.and_then(|status| i16::try_from(status).ok()),
    )
    .execute(tx)
    .await?;
    Ok(())
}
