//! What a later report changes about a conversion: another value or time, a loss, a closing after the loss.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SkipReason;
use crate::db::{DbError, Tx};
use crate::platforms::{Operation, Plans};

/// Lets a deal that closed again after its loss be recorded anew, if no platform heard of it before: platforms take
/// nothing again that was taken back. Answers whether it now waits for [`super::record_matches`].
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

/// A conversion that was brought in line with the report that stands.
#[derive(Debug)]
pub struct Restated {
    /// The platforms that will be told, because they know of the old value.
    pub platforms: Vec<String>,
    /// Did its time change?
    pub is_moved: bool,
    /// Did its value change?
    pub is_worth_else: bool,
    /// Was it taken back before?
    pub is_retracted: bool,
}

/// Brings a conversion's value and time in line with the reports that stand, and has the value corrected where a
/// platform may know of the old one. The time only changes until a platform may know it: it is what a conversion is
/// recognised by. None when all is as it was.
pub async fn restate(
    tx: &mut Tx,
    plans: &Plans,
    inbox_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Restated>, DbError> {
    // Against a claim; one that came first is seen by the next statement.
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
                c.id, (c.value, c.currency) is distinct from (i.value, i.currency) as is_worth_else,
                c.occurred_at <> i.occurred_at and not exists (
                    select from public.conversion_queue q where q.conversion_id = c.id and q.claims > 0
                ) as is_moved,
                i.value, i.currency, i.occurred_at
            from public.conversions c
            join public.inbox i on i.conversion_id = c.id
            where i.id = $1
        )
        update public.conversions c
        set value = s.value, currency = s.currency,
            occurred_at = case when s.is_moved then s.occurred_at else c.occurred_at end,
            -- Google tells corrections apart by the second.
            restated_at = case
                when s.is_worth_else then greatest($2, c.restated_at + interval '1 second')
                else c.restated_at
            end
        from stood s
        where c.id = s.id and (s.is_worth_else or s.is_moved)
        returning
            s.is_worth_else as "is_worth_else!", s.is_moved as "is_moved!",
            c.retracted_at is not null as "is_retracted!""#,
        inbox_id,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(changed) = changed else { return Ok(None) };
    let mut platforms = Vec::new();
    if changed.is_worth_else && !changed.is_retracted {
        let told = told(tx, conversion_id).await?;
        platforms = restate_at_platforms(tx, plans, conversion_id, &told, now).await?;
    }
    Ok(Some(Restated {
        platforms,
        is_moved: changed.is_moved,
        is_worth_else: changed.is_worth_else,
        is_retracted: changed.is_retracted,
    }))
}

/// An upload that its platform may have received.
struct Told {
    queue_id: Uuid,
    platform: String,
}

/// The uploads of a conversion that their platforms may have received: a row that was never claimed can't have been
/// sent. The caller has locked the conversion, so no claim comes in between.
async fn told(tx: &mut Tx, conversion_id: Uuid) -> Result<Vec<Told>, DbError> {
    let told = sqlx::query_as!(
        Told,
        "-- conversions::told
        select id as queue_id, platform
        from public.conversion_queue
        where conversion_id = $1 and adjusts is null and claims > 0 and status <> 'dead_letter'",
        conversion_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(told)
}

/// Queues the new value for the platforms that may know of the old one, and answers in which lanes.
async fn restate_at_platforms(
    tx: &mut Tx,
    plans: &Plans,
    conversion_id: Uuid,
    told: &[Told],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let Corrections { lanes, adjusts, seconds } = Corrections::of(plans, Operation::Restatement, told);
    let platforms = sqlx::query_scalar!(
        "-- conversions::restate_at_platforms
        insert into public.conversion_queue as q (conversion_id, platform, adjusts, expires_at, created_at)
        select c.id, d.lane, d.adjusts, c.occurred_at + make_interval(secs => d.seconds), $5
        from public.conversions c
        cross join unnest($2::text[], $3::uuid[], $4::float8[]) as d (lane, adjusts, seconds)
        where c.id = $1
        on conflict (conversion_id, platform) do update
        -- Told again, from the start and due as of now. An attempt with the value before loses its lease.
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

/// A conversion that was undone.
#[derive(Debug)]
pub struct Retracted {
    /// The conversion.
    pub conversion_id: Uuid,
    /// The platforms that will be told, because they may know of it.
    pub platforms: Vec<String>,
}

/// Undoes the closing of a lost deal, once: takes it back where a platform may know of it, and drops it where none
/// does.
pub async fn retract(
    tx: &mut Tx,
    plans: &Plans,
    crm_deal_id: &str,
    now: DateTime<Utc>,
) -> Result<Option<Retracted>, DbError> {
    // Locks the conversion against a claim; one that came first is seen by the next statement.
    let conversion_id = sqlx::query_scalar!(
        "-- conversions::retract
        update public.conversions c
        set retracted_at = d.lost_at
        from public.lost_deals d, public.conversions was
        left join public.inbox i on i.conversion_id = was.id
        where d.crm_deal_id = $1 and was.idempotency_key = d.crm_deal_id || ':closed' and c.id = was.id
            -- A platform may know an earlier time than the one that stands.
            and coalesce(i.occurred_at, was.occurred_at) <= d.lost_at
            and was.retracted_at is null
        returning c.id",
        crm_deal_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(conversion_id) = conversion_id else { return Ok(None) };
    let told = told(tx, conversion_id).await?;
    drop_untold(tx, plans, conversion_id).await?;
    if told.is_empty() {
        skip(tx, conversion_id).await?;
    }
    let platforms = retract_from_platforms(tx, plans, conversion_id, &told, now).await?;
    Ok(Some(Retracted { conversion_id, platforms }))
}

/// Drops what no platform heard of: uploads that were never claimed, and restatements that were not accepted.
async fn drop_untold(tx: &mut Tx, plans: &Plans, conversion_id: Uuid) -> Result<(), DbError> {
    let restatements = plans.corrections(Operation::Restatement);
    let restatements: Vec<_> = restatements.iter().map(|(_, correction)| correction.lane.to_owned()).collect();
    sqlx::query!(
        "-- conversions::drop_untold
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

/// Queues the retraction for the platforms that may know of the conversion, and answers in which lanes.
async fn retract_from_platforms(
    tx: &mut Tx,
    plans: &Plans,
    conversion_id: Uuid,
    told: &[Told],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let Corrections { lanes, adjusts, seconds } = Corrections::of(plans, Operation::Retraction, told);
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

/// Notes why no platform hears of it: its deal was lost first.
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
/// conversion the platform takes it.
struct Corrections {
    lanes: Vec<String>,
    adjusts: Vec<Uuid>,
    seconds: Vec<f64>,
}

impl Corrections {
    fn of(plans: &Plans, operation: Operation, told: &[Told]) -> Self {
        let mut corrections = Self { lanes: Vec::new(), adjusts: Vec::new(), seconds: Vec::new() };
        for (platform, correction) in plans.corrections(operation) {
            for upload in told.iter().filter(|upload| upload.platform == platform) {
                corrections.lanes.push(correction.lane.to_owned());
                corrections.adjusts.push(upload.queue_id);
                corrections.seconds.push(correction.window.as_seconds_f64());
            }
        }
        corrections
    }
}
