//! What a later report changes about a conversion: another value or time, a loss, a closing after the loss.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SkipReason;
use crate::db::{DbError, Tx};
use crate::platforms::{Operation, Plans};

/// Lets a deal that closed again after its loss be recorded again, if no platform may have received it before: a
/// platform doesn't accept again what was retracted. Returns whether it now awaits [`super::record_matches`].
pub async fn reopen(tx: &mut Tx, inbox_id: Uuid) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "-- conversions::reopen
        with reopened as (
            update public.conversions c
            set value = i.value, currency = i.currency, occurred_at = i.occurred_at, skip_reason = null,
                retracted_at = null
            from public.inbox i
            join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
            where i.id = $1 and c.id = i.conversion_id and c.conversion_type = 'closed' and c.skip_reason = 'deal_lost'
                and d.lost_at < i.occurred_at
            returning c.id
        )
        update public.inbox i
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, matched_by = null
        from reopened
        where i.id = $1",
        inbox_id,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A conversion whose value or time was updated to the report that counts.
#[derive(Debug)]
pub struct Restated {
    /// The lanes of the restatements, for platforms that may have received the old value.
    pub platforms: Vec<String>,
    /// Did its time change?
    pub time_changed: bool,
    /// Did its value change?
    pub value_changed: bool,
    /// Was it retracted before?
    pub was_retracted: bool,
}

/// Updates a conversion's value and time to the reports that count, and queues a restatement where a platform may have
/// received the old value. The time can't change once a platform may have received it: platforms identify a conversion
/// by it. None if nothing changed.
pub async fn restate(
    tx: &mut Tx,
    plans: &Plans,
    inbox_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Restated>, DbError> {
    // Blocks a claim; an earlier claim is visible to the next statement.
    let conversion_id = sqlx::query_scalar!(
        "-- conversions::lock_to_restate
        select c.id
        from public.conversions c
        join public.inbox i on i.conversion_id = c.id
        where i.id = $1
            and ((c.value, c.currency) is distinct from (i.value, i.currency) or c.occurred_at <> i.occurred_at)
        for no key update of c",
        inbox_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(conversion_id) = conversion_id else { return Ok(None) };
    let changed = sqlx::query!(
        r#"-- conversions::restate
        with stood as (
            select
                c.id, (c.value, c.currency) is distinct from (i.value, i.currency) as value_changed,
                c.occurred_at <> i.occurred_at and not exists (
                    select from public.conversion_queue q where q.conversion_id = c.id and q.claims > 0
                ) as time_changed,
                i.value, i.currency, i.occurred_at
            from public.conversions c
            join public.inbox i on i.conversion_id = c.id
            where i.id = $1
        )
        update public.conversions c
        set value = s.value, currency = s.currency,
            occurred_at = case when s.time_changed then s.occurred_at else c.occurred_at end,
            -- Google tells corrections apart by the second.
            restated_at = case
                when s.value_changed then greatest($2, c.restated_at + interval '1 second')
                else c.restated_at
            end
        from stood s
        where c.id = s.id and (s.value_changed or s.time_changed)
        returning
            s.value_changed as "value_changed!", s.time_changed as "time_changed!",
            c.retracted_at is not null as "was_retracted!""#,
        inbox_id,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(changed) = changed else { return Ok(None) };
    let mut platforms = Vec::new();
    if changed.value_changed && !changed.was_retracted {
        let uploads = possibly_received(tx, conversion_id).await?;
        platforms = restate_at_platforms(tx, plans, conversion_id, &uploads, now).await?;
    }
    Ok(Some(Restated {
        platforms,
        time_changed: changed.time_changed,
        value_changed: changed.value_changed,
        was_retracted: changed.was_retracted,
    }))
}

/// An upload that its platform may have received.
struct Upload {
    queue_id: Uuid,
    platform: String,
}

/// The uploads of a conversion that their platforms may have received: a row that was never claimed can't have been
/// sent. The caller has locked the conversion, so no claim can happen in between.
async fn possibly_received(tx: &mut Tx, conversion_id: Uuid) -> Result<Vec<Upload>, DbError> {
    let uploads = sqlx::query_as!(
        Upload,
        "-- conversions::possibly_received
        select id as queue_id, platform
        from public.conversion_queue
        where conversion_id = $1 and adjusts is null and claims > 0 and status <> 'dead_letter'",
        conversion_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(uploads)
}

/// Queues the new value for the platforms that may have received the old one, and returns the lanes.
async fn restate_at_platforms(
    tx: &mut Tx,
    plans: &Plans,
    conversion_id: Uuid,
    uploads: &[Upload],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let Corrections { lanes, adjusts, seconds } = Corrections::of(plans, Operation::Restatement, uploads);
    let platforms = sqlx::query_scalar!(
        "-- conversions::restate_at_platforms
        insert into public.conversion_queue as q (conversion_id, platform, adjusts, expires_at, created_at)
        select c.id, d.lane, d.adjusts, c.occurred_at + make_interval(secs => d.seconds), $5
        from public.conversions c
        cross join unnest($2::text[], $3::uuid[], $4::float8[]) as d (lane, adjusts, seconds)
        where c.id = $1
        on conflict (conversion_id, platform) do update
        -- Sent again from the start, due now. An attempt with the previous value loses its lease.
        set status = 'pending', retry_count = 0, transport_failures = 0, next_retry_at = $5, request_id = null,
            confirmed_at = null, next_status_check_at = null, status_checks = 0, send_alone = false,
            last_error = null, last_error_code = null, dead_lettered_at = null, locked_until = null, lock_token = null
        returning platform",
        conversion_id,
        &lanes,
        &adjusts,
        &seconds,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(platforms)
}

/// A conversion that was retracted.
#[derive(Debug)]
pub struct Retracted {
    /// The conversion.
    pub conversion_id: Uuid,
    /// The lanes of the retractions, for platforms that may have received it.
    pub platforms: Vec<String>,
}

/// Retracts the closing of a lost deal, once: queues retractions for the platforms that may have received it, and drops
/// what was never sent.
pub async fn retract(
    tx: &mut Tx,
    plans: &Plans,
    crm_deal_id: &str,
    now: DateTime<Utc>,
) -> Result<Option<Retracted>, DbError> {
    // Locks the conversion, which blocks a claim; an earlier claim is visible to the next statement.
    let conversion_id = sqlx::query_scalar!(
        "-- conversions::retract
        update public.conversions c
        set retracted_at = d.lost_at
        from public.lost_deals d, public.conversions was
        left join public.inbox i on i.conversion_id = was.id
        where d.crm_deal_id = $1 and was.idempotency_key = d.crm_deal_id || ':closed' and c.id = was.id
            -- A platform may have received an earlier time than the one that counts now.
            and coalesce(i.occurred_at, was.occurred_at) <= d.lost_at
            and was.retracted_at is null
        returning c.id",
        crm_deal_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(conversion_id) = conversion_id else { return Ok(None) };
    let uploads = possibly_received(tx, conversion_id).await?;
    drop_unsent(tx, plans, conversion_id).await?;
    if uploads.is_empty() {
        skip(tx, conversion_id).await?;
    }
    let platforms = retract_from_platforms(tx, plans, conversion_id, &uploads, now).await?;
    Ok(Some(Retracted { conversion_id, platforms }))
}

/// Deletes rows that no platform received: uploads that were never claimed, and restatements that were not accepted.
async fn drop_unsent(tx: &mut Tx, plans: &Plans, conversion_id: Uuid) -> Result<(), DbError> {
    let restatements: Vec<_> =
        plans.corrections(Operation::Restatement).iter().map(|correction| correction.lane.to_owned()).collect();
    sqlx::query!(
        "-- conversions::drop_unsent
        delete from public.conversion_queue
        where conversion_id = $1
            and ((adjusts is null and claims = 0) or (platform = any($2) and status <> 'uploaded'))",
        conversion_id,
        &restatements,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Queues the retraction for the platforms that may have received the conversion, and returns the lanes.
async fn retract_from_platforms(
    tx: &mut Tx,
    plans: &Plans,
    conversion_id: Uuid,
    uploads: &[Upload],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let Corrections { lanes, adjusts, seconds } = Corrections::of(plans, Operation::Retraction, uploads);
    let platforms = sqlx::query_scalar!(
        "-- conversions::retract_from_platforms
        insert into public.conversion_queue (conversion_id, platform, adjusts, expires_at, created_at)
        select c.id, d.lane, d.adjusts, c.occurred_at + make_interval(secs => d.seconds), $5
        from public.conversions c
        cross join unnest($2::text[], $3::uuid[], $4::float8[]) as d (lane, adjusts, seconds)
        where c.id = $1
        on conflict (conversion_id, platform) do nothing
        returning platform",
        conversion_id,
        &lanes,
        &adjusts,
        &seconds,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(platforms)
}

/// Stores why it isn't sent to any platform: its deal was lost before.
async fn skip(tx: &mut Tx, conversion_id: Uuid) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::skip
        update public.conversions set skip_reason = $2 where id = $1",
        conversion_id,
        SkipReason::DealLost as SkipReason,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Corrections to queue, as columns: the lane of each, the row it corrects, and for how many seconds after the
/// conversion the platform accepts it.
struct Corrections {
    lanes: Vec<String>,
    adjusts: Vec<Uuid>,
    seconds: Vec<f64>,
}

impl Corrections {
    fn of(plans: &Plans, operation: Operation, uploads: &[Upload]) -> Self {
        let mut corrections = Self { lanes: Vec::new(), adjusts: Vec::new(), seconds: Vec::new() };
        for correction in plans.corrections(operation) {
            for upload in uploads.iter().filter(|upload| upload.platform == correction.of) {
                corrections.lanes.push(correction.lane.to_owned());
                corrections.adjusts.push(upload.queue_id);
                corrections.seconds.push(correction.window.as_seconds_f64());
            }
        }
        corrections
    }
}
