//! What is known of deals that a file has as well.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// The stages that these deals reached before, each with its deal; of a lost deal also the empty one.
pub async fn standing(
    tx: &mut Tx,
    crm_deal_ids: impl Iterator<Item = &str>,
) -> Result<BTreeSet<(String, String)>, DbError> {
    let crm_deal_ids: Vec<_> = crm_deal_ids.collect();
    if crm_deal_ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query!(
        r#"-- inbox::importing::standing
        select crm_deal_id as "crm_deal_id!", conversion_type as "stage!"
        from public.inbox where crm_deal_id = any($1)
        union all
        select crm_deal_id, '' from public.lost_deals where crm_deal_id = any($1)"#,
        &crm_deal_ids as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.crm_deal_id, row.stage)).collect())
}

/// Those of these conversions that no longer count at any of their destinations.
pub async fn too_old(tx: &mut Tx, conversion_ids: &[Uuid], now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    if conversion_ids.is_empty() {
        return Ok(Vec::new());
    }
    let too_old = sqlx::query_scalar!(
        "-- inbox::importing::too_old
        select conversion_id
        from public.conversion_queue
        where conversion_id = any($1) and adjusts is null
        group by conversion_id
        having bool_and(coalesce(expires_at <= $2, false))",
        conversion_ids,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(too_old)
}
