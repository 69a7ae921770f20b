//! Takes the match of a deal back, so that the operator can assign it to another lead.

use uuid::Uuid;

use super::corrections::possibly_received;
use crate::db::{DbError, Tx};

/// What became of a deal's match.
#[derive(Debug, PartialEq, Eq)]
pub enum Release {
    /// The deal has none.
    NotMatched,
    /// It is taken back from this lead, with its conversion. The deal waits again.
    Released(Uuid),
    /// It stays: platforms may have received the conversion.
    Refused {
        /// The lead.
        lead_id: Uuid,
        /// The platforms.
        platforms: Vec<String>,
    },
}

/// Takes a deal's match back if no platform may have received its conversion: a platform doesn't accept the same one
/// again with another click. The caller holds the lock on the deal, and renews the status of the former lead.
pub async fn release(tx: &mut Tx, inbox_id: Uuid) -> Result<Release, DbError> {
    // Blocks a claim; an earlier claim is visible to the next statement.
    let matched = sqlx::query!(
        "-- conversions::lock_to_release
        select c.id, c.lead_id
        from public.conversions c
        join public.inbox i on i.conversion_id = c.id
        where i.id = $1
        for no key update of c",
        inbox_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(matched) = matched else { return Ok(Release::NotMatched) };
    let uploads = possibly_received(tx, &[matched.id]).await?;
    if !uploads.is_empty() {
        let platforms = uploads.into_iter().map(|it| it.platform).collect();
        return Ok(Release::Refused { lead_id: matched.lead_id, platforms });
    }
    sqlx::query!(
        "-- conversions::release
        update public.inbox
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, matched_by = null
        where id = $1",
        inbox_id,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- conversions::delete_released
        delete from public.conversions where id = $1",
        matched.id,
    )
    .execute(tx)
    .await?;
    Ok(Release::Released(matched.lead_id))
}
