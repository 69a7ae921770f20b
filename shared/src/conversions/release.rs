//! Takes the match of a deal back, so that the operator can assign it to another lead.

use uuid::Uuid;

use super::corrections::possibly_received;
use crate::db::{DbError, Tx};

/// What became of a deal's match.
#[derive(Debug, PartialEq, Eq)]
pub enum Release {
    /// The deal has none.
    NotMatched,
    /// It is taken back from this lead, if it had one, with its conversion. The deal waits again.
    Released(Option<Uuid>),
    /// It stays: platforms may have received the conversion.
    Refused {
        /// The lead; none if it was told by its click.
        lead_id: Option<Uuid>,
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

/// Lets those of these deals wait again that were told by their click and of which nothing was sent: something else is
/// known of them now. Returns them; the caller records them anew.
pub async fn release_told_by_click(tx: &mut Tx, inbox_ids: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    if inbox_ids.is_empty() {
        return Ok(Vec::new());
    }
    // Blocks a claim; an earlier claim is visible to the next statement.
    let told = sqlx::query_scalar!(
        "-- conversions::lock_told_by_click
        select c.id
        from public.conversions c
        join public.inbox i on i.conversion_id = c.id
        where i.id = any($1) and c.lead_id is null
        order by c.id
        for no key update of c",
        inbox_ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    let received = possibly_received(tx, &told).await?;
    let unsent: Vec<_> = told.into_iter().filter(|id| received.iter().all(|it| it.conversion_id != *id)).collect();
    if unsent.is_empty() {
        return Ok(Vec::new());
    }
    let released = sqlx::query_scalar!(
        "-- conversions::release_told_by_click
        update public.inbox
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, matched_by = null
        where conversion_id = any($1)
        returning id",
        &unsent,
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "-- conversions::delete_told_by_click
        delete from public.conversions where id = any($1)",
        &unsent,
    )
    .execute(tx)
    .await?;
    Ok(released)
}
