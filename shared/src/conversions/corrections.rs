//! What a later report changes about a conversion: another value or time, a loss, a closing after the loss.

mod queueing;
mod retracting;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::planning::renew_windows;
use crate::db::{DbError, Tx};
use crate::deals::Stages;
use crate::platforms::{Destinations, Operation};
pub(super) use queueing::{drop_unsent_retractions, possibly_received, send_withdrawn_again};
use queueing::{lanes_of, restate_at_platforms};
pub(super) use retracting::retract_withdrawn;
pub use retracting::{Retracted, retract, retract_replaced};

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
