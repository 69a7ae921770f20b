//! Deletions. One is stored even if its deal is unknown, and is final: whatever is reported of the deal, before or
//! after, doesn't count, until the deal is restored.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::deals::{Deletion, Restoration};

/// Stores that these deals were deleted. No deal may be there twice. The caller holds the deals' locks, and holds back
/// their matches.
pub async fn keep(tx: &mut Tx, deletions: &[&Deletion], now: DateTime<Utc>) -> Result<(), DbError> {
    store(tx, deletions.iter().map(|it| (it.crm_deal_id.as_str(), Some(it.deleted_at), None)), now).await
}

/// Stores that these deals were restored, which lifts the deletions before. The same holds.
pub async fn lift(tx: &mut Tx, restorations: &[&Restoration], now: DateTime<Utc>) -> Result<(), DbError> {
    store(tx, restorations.iter().map(|it| (it.crm_deal_id.as_str(), None, Some(it.restored_at))), now).await
}

/// Stores when deals were deleted or restored at the latest.
async fn store<'a>(
    tx: &mut Tx,
    deals: impl Iterator<Item = (&'a str, Option<DateTime<Utc>>, Option<DateTime<Utc>>)>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let (mut ids, mut deleted_at, mut restored_at) = (Vec::new(), Vec::new(), Vec::new());
    for (id, deleted, restored) in deals {
        ids.push(id);
        deleted_at.push(deleted);
        restored_at.push(restored);
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- inbox::deletions::store
        insert into public.deleted_deals as d (crm_deal_id, deleted_at, restored_at, received_at)
        select crm_deal_id, deleted_at, restored_at, $4
        from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as r (crm_deal_id, deleted_at, restored_at)
        -- A time that isn't there is none of the two.
        on conflict (crm_deal_id) do update
        set deleted_at = greatest(d.deleted_at, excluded.deleted_at),
            restored_at = greatest(d.restored_at, excluded.restored_at)",
        &ids as &[&str],
        &deleted_at as &[Option<DateTime<Utc>>],
        &restored_at as &[Option<DateTime<Utc>>],
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The stages of these deals.
pub async fn stages_of(tx: &mut Tx, crm_deal_ids: &[&str]) -> Result<Vec<Uuid>, DbError> {
    if crm_deal_ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = sqlx::query_scalar!(
        "-- inbox::deletions::stages_of
        select id from public.inbox where crm_deal_id = any($1) order by id",
        crm_deal_ids as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}
