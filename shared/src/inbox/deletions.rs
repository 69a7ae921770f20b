//! Deletions. One is stored even if its deal is unknown, and is final: whatever is reported of the deal, before or
//! after, doesn't count, until the deal is restored.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::deals::{Deletion, Restoration};

/// Stores that these deals were deleted. No deal may be there twice. The caller holds the deals' locks, and holds back
/// their matches.
pub async fn keep(tx: &mut Tx, deletions: &[&Deletion], now: DateTime<Utc>) -> Result<(), DbError> {
    if deletions.is_empty() {
        return Ok(());
    }
    let deals: Vec<_> = deletions.iter().map(|it| it.crm_deal_id.as_str()).collect();
    let times: Vec<_> = deletions.iter().map(|it| it.deleted_at).collect();
    sqlx::query!(
        "-- inbox::deletions::keep
        insert into public.deleted_deals as d (crm_deal_id, deleted_at, received_at)
        select crm_deal_id, deleted_at, $3 from unnest($1::text[], $2::timestamptz[]) as r (crm_deal_id, deleted_at)
        on conflict (crm_deal_id) do update set deleted_at = greatest(d.deleted_at, excluded.deleted_at)",
        &deals as &[&str],
        &times,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores that these deals were restored, which lifts the deletions before. The same holds.
pub async fn lift(tx: &mut Tx, restorations: &[&Restoration], now: DateTime<Utc>) -> Result<(), DbError> {
    if restorations.is_empty() {
        return Ok(());
    }
    let deals: Vec<_> = restorations.iter().map(|it| it.crm_deal_id.as_str()).collect();
    let times: Vec<_> = restorations.iter().map(|it| it.restored_at).collect();
    sqlx::query!(
        "-- inbox::deletions::lift
        insert into public.deleted_deals as d (crm_deal_id, restored_at, received_at)
        select crm_deal_id, restored_at, $3 from unnest($1::text[], $2::timestamptz[]) as r (crm_deal_id, restored_at)
        on conflict (crm_deal_id) do update set restored_at = greatest(d.restored_at, excluded.restored_at)",
        &deals as &[&str],
        &times,
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
