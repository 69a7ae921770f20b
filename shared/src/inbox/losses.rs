//! Losses. A loss is stored even if its deal is unknown, so that the order of the reports doesn't matter: a closing
//! before the loss is retracted, one after it counts.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::deals::Loss;

/// Stores the loss, the latest if there are several; a known one changes nothing. Blocks concurrent matching of the
/// deal until the transaction ends: it records the deal first, or sees the loss. The caller holds the deal's lock.
pub async fn keep(tx: &mut Tx, loss: &Loss, is_known: bool, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::losses::keep
        insert into public.lost_deals as d (crm_deal_id, lost_at, payload_hash, received_at)
        values ($1, $2, $3, $4)
        on conflict (crm_deal_id) do update
        -- A report without a time of its own must not become newer by being sent again.
        set lost_at = case
                when $5 or d.payload_hash = excluded.payload_hash then d.lost_at
                else greatest(d.lost_at, excluded.lost_at)
            end,
            payload_hash = excluded.payload_hash,
            deliveries = d.deliveries + 1",
        loss.crm_deal_id,
        loss.lost_at,
        loss.payload_hash.as_str(),
        now,
        is_known,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::losses::hold_back_matches
        select from public.inbox where crm_deal_id = $1 order by id for update",
        loss.crm_deal_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}
