//! Conversions that count no more: their deals were lost or deleted, another one replaces them, or their persons
//! withdrew consent.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::queueing::{drop_unsent, lanes_of, possibly_received, retract_from_platforms};
use crate::conversions::SkipReason;
use crate::db::{DbError, Tx};
use crate::platforms::Destinations;

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
pub(in crate::conversions) async fn retract_withdrawn(
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
