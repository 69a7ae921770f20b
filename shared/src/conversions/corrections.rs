//! What a later report changes about a conversion: another value or time, a loss, a closing after the loss.

mod queueing;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SkipReason;
use super::planning::renew_windows;
use crate::db::{DbError, Tx};
use crate::deals::Stages;
use crate::platforms::{Destinations, Operation};
use queueing::{drop_unsent, lanes_of, restate_at_platforms, retract_from_platforms};
pub(super) use queueing::{drop_unsent_retractions, possibly_received, send_withdrawn_again};

/// Lets deals count again whose loss or deletion no longer undoes what they reached. If no platform may have received
/// the conversion, it is the same one. If it was or will be retracted from platforms, which don't accept it again, the
/// deal becomes another conversion, of the next generation. If the retraction was given up, it still counts at the
/// platform, and stands. Returns which of them now await [`super::record`].
pub async fn reopen(tx: &mut Tx, stages: &Stages, inbox_ids: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    if inbox_ids.is_empty() {
        return Ok(Vec::new());
    }
    let reopened = sqlx::query_scalar!(
        "-- conversions::reopen
        with undone as materialized (
            select
                i.id as inbox_id, c.id as conversion_id, c.skip_reason is distinct from 'deal_lost' as is_told,
                c.skip_reason is distinct from 'deal_lost' and not exists (
                    select from public.conversion_queue q
                    where q.conversion_id = c.id and right(q.platform, length($3)) = $3
                        and (
                            q.status <> 'dead_letter'
                            -- There is nothing at the platform that it could retract.
                            or q.last_error_code in ('original_refused', 'CONVERSION_NOT_FOUND')
                        )
                ) as stands
            from public.inbox i
            join public.conversions c on c.id = i.conversion_id
            where i.id = any($1) and c.conversion_type = any($2) and c.retracted_at is not null
                and public.undone_at(i.crm_deal_id, i.occurred_at) is null
            order by c.id
            for no key update of c
        ),
        revived as (
            update public.conversions c
            set retracted_at = null,
                value = case when u.is_told then c.value else i.value end,
                currency = case when u.is_told then c.currency else i.currency end,
                occurred_at = case when u.is_told then c.occurred_at else i.occurred_at end,
                skip_reason = case
                    when u.is_told then c.skip_reason
                    when c.ad_user_data = 'denied' then 'consent_denied'
                end
            from undone u
            join public.inbox i on i.id = u.inbox_id
            where c.id = u.conversion_id and (u.stands or not u.is_told)
        )
        update public.inbox i
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, matched_by = null,
            generation = case when u.is_told then i.generation + 1 else i.generation end
        from undone u
        where i.id = u.inbox_id and not u.stands
        returning i.id",
        inbox_ids,
        &stages.undone_by_loss() as &[&str],
        Operation::Retraction.suffix(),
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
    let retracted = sqlx::query_as!(
        Undone,
        "-- conversions::retract
        update public.conversions c
        set retracted_at = lost.undone_at
        from (
            select was.id, u.undone_at
            from public.conversions was
            left join public.inbox i on i.conversion_id = was.id
            -- A platform may have received an earlier time than the one that counts now.
            cross join lateral
                public.undone_at(was.crm_deal_id, coalesce(i.occurred_at, was.occurred_at)) as u (undone_at)
            where was.crm_deal_id = any($1) and was.conversion_type = any($2) and was.retracted_at is null
                and u.undone_at is not null
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
    take_back(tx, destinations, retracted, now).await
}

/// Retracts conversions of merged deals that another one replaces, in the same way.
pub async fn retract_replaced(
    tx: &mut Tx,
    destinations: &Destinations,
    conversion_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Retracted>, DbError> {
    if conversion_ids.is_empty() {
        return Ok(Vec::new());
    }
    let retracted = sqlx::query_as!(
        Undone,
        "-- conversions::retract_replaced
        update public.conversions set retracted_at = $2
        where id = any($1) and retracted_at is null
        returning id, crm_deal_id",
        conversion_ids,
        now,
    )
    .fetch_all(&mut *tx)
    .await?;
    take_back(tx, destinations, retracted, now).await
}

/// A conversion that counts no more.
struct Undone {
    id: Uuid,
    crm_deal_id: String,
}

/// Queues retractions for the platforms that may have received these, and drops what was never sent. The caller has
/// locked the conversions.
async fn take_back(
    tx: &mut Tx,
    destinations: &Destinations,
    retracted: Vec<Undone>,
    now: DateTime<Utc>,
) -> Result<Vec<Retracted>, DbError> {
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
