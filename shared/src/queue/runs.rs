//! When the uploader last ended a run, and what it did while consent was unknown.

use chrono::{DateTime, Utc};

use crate::consent::UnknownConsent;
use crate::db::{DbError, Tx};

/// Notes that this function, as Lambda calls it, ended a run.
pub async fn note(
    tx: &mut Tx,
    function: &str,
    unknown_consent: UnknownConsent,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::runs::note
        insert into public.uploader_runs as r (function, ended_at, unknown_consent)
        values ($1, $2, $3)
        on conflict (function) do update
        set ended_at = greatest(r.ended_at, excluded.ended_at), unknown_consent = excluded.unknown_consent",
        function,
        now,
        unknown_consent.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// When any of them last did; none if there was no run yet.
pub async fn last(tx: &mut Tx) -> Result<Option<DateTime<Utc>>, DbError> {
    let row = sqlx::query!(
        "-- queue::runs::last
        select max(ended_at) as ended_at from public.uploader_runs",
    )
    .fetch_one(tx)
    .await?;
    Ok(row.ended_at)
}
