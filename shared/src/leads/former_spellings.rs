//! What a person's address was stored as before it had one spelling.

use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::identity::{Email, Hash};

/// The lead is known by them as well: what the person said under one, such as a no to ads, holds for this lead, too.
pub(super) async fn keep(tx: &mut Tx, lead_id: Uuid, email: &Email) -> Result<(), DbError> {
    let former = email.former_hashes();
    if former.is_empty() {
        return Ok(());
    }
    let hashes: Vec<_> = former.iter().map(Hash::as_str).collect();
    sqlx::query!(
        "-- leads::former_spellings::keep
        insert into public.lead_emails (lead_id, email_hash)
        select $1, former.hash
        from unnest($2::text[]) as former (hash)
        on conflict do nothing",
        lead_id,
        &hashes as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}
