//! Losses. A loss is stored even if its deal is unknown, so that the order of the reports doesn't matter: a closing
//! before the loss is retracted, one after it counts.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::deals::Loss;

/// Blocks concurrent matching of these deals until the transaction ends: it records a deal first, or sees what this
/// transaction wrote.
pub async fn hold_back_matches(tx: &mut Tx, crm_deal_ids: &[&str]) -> Result<(), DbError> {
    if crm_deal_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- inbox::losses::hold_back_matches
        select from public.inbox where crm_deal_id = any($1) order by id for update",
        crm_deal_ids as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the losses, of each deal the latest; those of the deals in `known` were processed before and change nothing.
/// No deal may be there twice. The caller holds the deals' locks, and holds back their matches.
pub async fn keep(tx: &mut Tx, losses: &[&Loss], known: &[&str], now: DateTime<Utc>) -> Result<(), DbError> {
    if losses.is_empty() {
        return Ok(());
    }
    let deals: Vec<_> = losses.iter().map(|it| it.crm_deal_id.as_str()).collect();
    let lost_at: Vec<_> = losses.iter().map(|it| it.lost_at).collect();
    let payloads: Vec<_> = losses.iter().map(|it| it.payload_hash.as_str()).collect();
    sqlx::query!(
        "-- inbox::losses::keep
        insert into public.lost_deals as d (crm_deal_id, lost_at, payload_hash, received_at)
        select l.crm_deal_id, l.lost_at, l.payload_hash, $4
        from unnest($1::text[], $2::timestamptz[], $3::text[]) as l (crm_deal_id, lost_at, payload_hash)
        on conflict (crm_deal_id) do update
        -- A report without a time of its own must not become newer by being sent again.
        set lost_at = case
                when d.crm_deal_id = any($5) or d.payload_hash = excluded.payload_hash then d.lost_at
                else greatest(d.lost_at, excluded.lost_at)
            end,
            payload_hash = excluded.payload_hash,
            deliveries = d.deliveries + 1",
        &deals as &[&str],
        &lost_at,
        &payloads as &[&str],
        now,
        known as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}
