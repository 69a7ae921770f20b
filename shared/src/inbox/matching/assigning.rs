//! What the operator says of a deal's lead, and another wait for it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// Assigns the deal to a lead, which overrides the CRM. The next match uses it.
/// False when there is no such waiting or expired deal, or no such lead.
pub async fn attach(tx: &mut Tx, inbox_id: Uuid, lead_id: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "-- inbox::matching::assigning::attach
        update public.inbox i
        set lead_id = l.id, attached_at = $3, state = 'awaiting_lead', several_candidates = false
        from public.leads l
        where i.id = $1 and l.id = $2 and i.state in ('awaiting_lead', 'expired')",
        inbox_id,
        lead_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Keeps that the operator found the deal's match to be right.
pub async fn confirm(tx: &mut Tx, inbox_id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::matching::assigning::confirm
        update public.inbox set several_candidates = false, attached_at = $2 where id = $1 and state = 'matched'",
        inbox_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives those of these deals that are expired another 90 days.
pub async fn wait_again(tx: &mut Tx, inbox_ids: &[Uuid], now: DateTime<Utc>) -> Result<(), DbError> {
    if inbox_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- inbox::matching::assigning::wait_again
        update public.inbox set state = 'awaiting_lead', received_at = $2 where id = any($1) and state = 'expired'",
        inbox_ids,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
