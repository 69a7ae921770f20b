//! What a later report changes about a conversion.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::platforms::{self, Operation};

/// Lets a deal that closed again after its loss be recorded anew, if no platform heard of it before: platforms take
/// nothing again that was taken back. Answers whether it now waits for [`super::record_matches`].
///
/// # Errors
/// Those of the database.
pub async fn reopen(tx: &mut Tx, inbox_id: Uuid) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "-- conversions::reopen
        with reopened as (
            update public.conversions c
            set value = i.value, currency = i.currency, occurred_at = i.occurred_at, skip_reason = null, retracted_at = null
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

/// Brings a conversion's value and time in line with the reports that stand, and has the value corrected where a platform
/// may know of the old one. The time only changes until a platform may know it: it is what a conversion is recognised
/// by. None when all is as it was.
///
/// # Errors
/// Those of the database.
pub async fn restate(tx: &mut Tx, inbox_id: Uuid, now: DateTime<Utc>) -> Result<Option<Restated>, DbError> {
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
            s.is_worth_else as "is_worth_else!", s.is_moved as "is_moved!", c.retracted_at is not null as "is_retracted!""#,
        inbox_id,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(changed) = changed else { return Ok(None) };
    Ok(Some(Restated {
        platforms: if changed.is_worth_else { restate_at_platforms(tx, conversion_id, now).await? } else { Vec::new() },
        is_moved: changed.is_moved,
        is_worth_else: changed.is_worth_else,
        is_retracted: changed.is_retracted,
    }))
}

/// Has the new value told where the old one may be known, and answers where.
async fn restate_at_platforms(tx: &mut Tx, conversion_id: Uuid, now: DateTime<Utc>) -> Result<Vec<String>, DbError> {
    let (uploads, restatements) = platforms::corrections(Operation::Restatement);
    let platforms = sqlx::query_scalar!(
        "-- conversions::restate_at_platforms
        insert into public.conversion_queue as q (conversion_id, platform, adjusts, expires_at, created_at)
        select c.id, way.restatements, told.id, c.occurred_at + interval '54 days', $4
        from public.conversions c
        join public.conversion_queue told on told.conversion_id = c.id
        join unnest($2::text[], $3::text[]) as way (uploads, restatements) on way.uploads = told.platform
        where c.id = $1 and c.retracted_at is null
            -- Whoever never claimed it can't have sent the old value.
            and told.claims > 0 and told.status <> 'dead_letter'
        on conflict (conversion_id, platform) do update
        -- Told again, from the start and due as of now. An attempt with the value before loses its lease.
        set status = 'pending', retry_count = 0, transport_failures = 0, next_retry_at = $4, request_id = null,
            confirmed_at = null, next_status_check_at = null, status_checks = 0, send_alone = false,
            last_error = null, last_error_code = null, dead_lettered_at = null, locked_until = null, lock_token = null
        returning platform",
        conversion_id,
        &uploads,
        &restatements,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(platforms)
}
