//! Closes open rows that no longer need to be sent. A claim closes what expires, but doesn't see what is held for
//! consent.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::breaker;
use super::undeclared::explain;
use crate::db::{DbError, Tx};
use crate::platforms::{Destinations, Operation};

/// Closes open rows of deals that were lost before a platform accepted them, uploads that are to be retracted because
/// consent was withdrawn, corrections of uploads that the platform rejected, and expired rows that no claim sees: those
/// held for consent, and those of lanes that are no longer declared; the others of such lanes say why they wait. Then
/// ends the pauses of lanes without open rows.
pub async fn close_moot(tx: &mut Tx, destinations: &Destinations, now: DateTime<Utc>) -> Result<(), DbError> {
    let lost = lost(tx).await?;
    let reason = "The deal was lost before the platform accepted it; it isn't sent any more.";
    close(tx, &lost, "deal_lost", reason, now).await?;

    let withdrawn = withdrawn(tx, destinations).await?;
    let reason = "Consent was withdrawn before the platform accepted it; it isn't sent any more.";
    close(tx, &withdrawn, "consent_withdrawn", reason, now).await?;

    let corrections = corrections_of_refused(tx).await?;
    let reason = "The platform refused the conversion that this row corrects.";
    close(tx, &corrections, "original_refused", reason, now).await?;

    let without_consent = without_consent(tx, now).await?;
    let reason = "Its click and its lead are too old to count, and consent was not given.";
    close(tx, &without_consent, "expired", reason, now).await?;

    let restatements = restatements_without_consent(tx, destinations, now).await?;
    let reason = "The conversion is too old to be restated, and consent was withdrawn.";
    close(tx, &restatements, "expired", reason, now).await?;

    let undeclared = undeclared(tx, destinations, now).await?;
    let reason = "It no longer counts, and no destination of this name is declared.";
    close(tx, &undeclared, "expired", reason, now).await?;

    explain(tx, destinations).await?;
    breaker::resume_idle(tx, destinations, now).await
}

/// Makes these rows dead letters.
async fn close(tx: &mut Tx, ids: &[Uuid], code: &str, reason: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- queue::closing::close
        update public.conversion_queue
        set status = 'dead_letter', dead_lettered_at = $1, last_error_code = $2, last_error = $3, locked_until = null,
            lock_token = null
        where id = any($4)",
        now,
        code,
        reason,
        ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}

// Each search locks the rows it finds, in the order in which the uploader locks rows.

async fn lost(tx: &mut Tx) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::lost
        select q.id
        from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        where c.retracted_at is not null and q.adjusts is null
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

/// A platform may have received them although it didn't answer, so their retraction goes.
async fn withdrawn(tx: &mut Tx, destinations: &Destinations) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::withdrawn
        select q.id
        from public.conversion_queue retraction
        join public.conversion_queue q on q.id = retraction.adjusts
        where retraction.platform = any($1)
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
        &destinations.correction_lanes(Operation::Retraction),
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn corrections_of_refused(tx: &mut Tx) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::corrections_of_refused
        select q.id
        from public.conversion_queue q
        join public.conversion_queue original on original.id = q.adjusts
        where original.status = 'dead_letter'
            and coalesce(original.last_error_code, '') not in ('deal_lost', 'consent_withdrawn')
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn without_consent(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::without_consent
        select q.id
        from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        where q.adjusts is null and c.ad_user_data <> 'granted' and q.expires_at < $1
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn restatements_without_consent(
    tx: &mut Tx,
    destinations: &Destinations,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::restatements_without_consent
        select q.id
        from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        where q.platform = any($1) and c.ad_user_data = 'denied' and q.expires_at < $2
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
        &destinations.correction_lanes(Operation::Restatement),
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn undeclared(tx: &mut Tx, destinations: &Destinations, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::undeclared
        select id
        from public.conversion_queue
        where platform <> all($1) and expires_at < $2
            and status in ('pending', 'failed') and (locked_until is null or locked_until <= now())
        order by id
        for update",
        &destinations.lanes(),
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}
