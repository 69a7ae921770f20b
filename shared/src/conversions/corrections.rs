//! What a later report changes about a conversion: another value or time, a loss, a closing after the loss.

mod queueing;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SkipReason;
use super::planning::renew_windows;
use crate::db::{DbError, Tx};
use crate::deals::Stages;
use crate::platforms::Destinations;
use queueing::{drop_unsent, lanes_of, restate_at_platforms, retract_from_platforms};
pub(super) use queueing::{drop_unsent_retractions, possibly_received, send_withdrawn_again};

/// Lets deals that reached their stage again after their loss be recorded again, if no platform may have received them
/// before: a platform doesn't accept again what was retracted. Returns which of them now await [`super::record`].
pub async fn reopen(tx: &mut Tx, stages: &Stages, inbox_ids: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    if inbox_ids.is_empty() {
        return Ok(Vec::new());
    }
    let reopened = sqlx::query_scalar!(
        "-- conversions::reopen
        with reopened as (
            update public.conversions c
            set value = i.value, currency = i.currency, occurred_at = i.occurred_at, retracted_at = null,
                skip_reason = case when c.ad_user_data = 'denied' then 'consent_denied' end
            from public.inbox i
            join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
            where i.id = any($1) and c.id = i.conversion_id and c.conversion_type = any($2)
                and c.skip_reason = 'deal_lost' and d.lost_at < i.occurred_at
            returning c.id
        )
        update public.inbox i
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, matched_by = null
        from reopened
        where i.id = any($1) and i.conversion_id = reopened.id
        returning i.id",
        inbox_ids,
        &stages.undone_by_loss() as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(reopened)
}

/// A conversion whose value or time was updated to the report that counts.
#[derive(Debug)]
pub struct Restated {
    /// The deal's id in the inbox.
    pub inbox_id: Uuid,
    /// The lanes of the restatements, for platforms that may have received the old value.
    pub platforms: Vec<String>,
    /// Did its time change?
    pub time_changed: bool,
    /// Did its value change?
    pub value_changed: bool,
    /// Was it retracted before?
    pub was_retracted: bool,
}

/// Updates the values and times of conversions to the reports that count, and queues restatements where a platform may
/// have received the old value. The time can't change once a platform may have received it: platforms identify a
/// conversion by it. Before that, it also changes from when until when it counts. Returns those that changed.
pub async fn restate(
    tx: &mut Tx,
    destinations: &Destinations,
    inbox_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Restated>, DbError> {
    if !lock_to_restate(tx, inbox_ids).await? {
        return Ok(Vec::new());
    }
    let changed = sqlx::query!(
        r#"-- conversions::restate
        with stood as (
            select
                c.id, i.id as inbox_id, (c.value, c.currency) is distinct from (i.value, i.currency) as value_changed,
                c.occurred_at <> i.occurred_at and not exists (
                    select from public.conversion_queue q where q.conversion_id = c.id and q.claims > 0
                ) as time_changed,
                i.value, i.currency, i.occurred_at
            from public.conversions c
            join public.inbox i on i.conversion_id = c.id
            where i.id = any($1)
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
            c.id, s.inbox_id as "inbox_id!", s.value_changed as "value_changed!", s.time_changed as "time_changed!",
            c.retracted_at is not null as "was_retracted!""#,
        inbox_ids,
        now,
    )
    .fetch_all(&mut *tx)
    .await?;
    let moved: Vec<_> = changed.iter().filter(|it| it.time_changed).map(|it| it.id).collect();
    renew_windows(tx, destinations, &moved).await?;
    let corrected: Vec<_> = changed.iter().filter(|it| it.value_changed && !it.was_retracted).map(|it| it.id).collect();
    let uploads = possibly_received(tx, &corrected).await?;
    let queued = restate_at_platforms(tx, destinations, &uploads, now).await?;
    let restated = changed.iter().map(|it| Restated {
        inbox_id: it.inbox_id,
        platforms: lanes_of(&queued, it.id),
        time_changed: it.time_changed,
        value_changed: it.value_changed,
        was_retracted: it.was_retracted,
    });
    Ok(restated.collect())
}

/// Locks the conversions of these deals that differ from the reports that count, which blocks a claim; an earlier claim
/// is visible to the next statement. False if there are none.
async fn lock_to_restate(tx: &mut Tx, inbox_ids: &[Uuid]) -> Result<bool, DbError> {
    if inbox_ids.is_empty() {
        return Ok(false);
    }
    let locked = sqlx::query!(
        "-- conversions::lock_to_restate
        select
        from public.conversions c
        join public.inbox i on i.conversion_id = c.id
        where i.id = any($1)
            and ((c.value, c.currency) is distinct from (i.value, i.currency) or c.occurred_at <> i.occurred_at)
        order by c.id
        for no key update of c",
        inbox_ids,
    )
    .execute(tx)
    .await?;
    Ok(locked.rows_affected() > 0)
}

/// A conversion that was retracted.
#[derive(Debug)]
pub struct Retracted {
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The conversion.
    pub conversion_id: Uuid,
    /// The lanes of the retractions, for platforms that may have received it.
    pub platforms: Vec<String>,
}

/// Retracts the conversions of lost deals whose stage a loss undoes, once: queues retractions for the platforms that
/// may have received them, and drops what was never sent. Returns those that were retracted now.
pub async fn retract(
    tx: &mut Tx,
    destinations: &Destinations,
    crm_deal_ids: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<Retracted>, DbError> {
    if crm_deal_ids.is_empty() {
        return Ok(Vec::new());
    }
    // Locks the conversions, which blocks a claim; an earlier claim is visible to the next statement.
    let retracted = sqlx::query!(
        "-- conversions::retract
        update public.conversions c
        set retracted_at = lost.lost_at
        from (
            select was.id, d.lost_at
            from public.lost_deals d
            join public.conversions was on was.crm_deal_id = d.crm_deal_id and was.conversion_type = any($2)
            left join public.inbox i on i.conversion_id = was.id
            where d.crm_deal_id = any($1)
                -- A platform may have received an earlier time than the one that counts now.
                and coalesce(i.occurred_at, was.occurred_at) <= d.lost_at
                and was.retracted_at is null
            order by was.id
            for no key update of was
        ) lost
        where c.id = lost.id
        returning c.id, c.crm_deal_id",
        crm_deal_ids as &[&str],
        &destinations.stages.undone_by_loss() as &[&str],
    )
    .fetch_all(&mut *tx)
    .await?;
    if retracted.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = retracted.iter().map(|it| it.id).collect();
    let uploads = possibly_received(tx, &ids).await?;
    drop_unsent(tx, &ids).await?;
    let unsent: Vec<_> = ids.into_iter().filter(|id| uploads.iter().all(|it| it.conversion_id != *id)).collect();
    skip(tx, &unsent).await?;
    let queued = retract_from_platforms(tx, destinations, &uploads, now).await?;
    let retracted = retracted.into_iter().map(|it| Retracted {
        platforms: lanes_of(&queued, it.id),
        crm_deal_id: it.crm_deal_id,
        conversion_id: it.id,
    });
    Ok(retracted.collect())
}

/// Retracts conversions whose persons withdrew consent from the platforms that may have received them. The caller has
/// locked the conversions.
pub(super) async fn retract_withdrawn(
    tx: &mut Tx,
    destinations: &Destinations,
    conversion_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let uploads = possibly_received(tx, conversion_ids).await?;
    drop_unsent(tx, conversion_ids).await?;
    retract_from_platforms(tx, destinations, &uploads, now).await?;
    Ok(())
}

/// Stores why they aren't sent to any platform: their deals were lost first.
async fn skip(tx: &mut Tx, conversion_ids: &[Uuid]) -> Result<(), DbError> {
    if conversion_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- conversions::skip
        update public.conversions set skip_reason = $2 where id = any($1)",
        conversion_ids,
        SkipReason::DealLost as SkipReason,
    )
    .execute(tx)
    .await?;
    Ok(())
}
