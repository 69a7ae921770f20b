//! Closes open rows that no longer need to be sent. A claim closes what expires, but doesn't see what is held for
//! consent.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::breaker;
use crate::db::{DbError, Tx};
use crate::platforms::{Operation, Plans};

/// Closes open rows of deals that were lost before a platform accepted them, uploads that are to be retracted because
/// consent was withdrawn, corrections of uploads that the platform rejected, and rows held for consent that have
/// expired. Then ends the pauses of lanes without open rows.
pub async fn close_moot(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<(), DbError> {
    let lost = lost(tx).await?;
    let reason = "The deal was lost before the platform accepted it; it isn't sent any more.";
    close(tx, &lost, "deal_lost", reason, now).await?;

    let withdrawn = withdrawn(tx, plans).await?;
    let reason = "Consent was withdrawn before the platform accepted it; it isn't sent any more.";
    close(tx, &withdrawn, "consent_withdrawn", reason, now).await?;

    let corrections = corrections_of_refused(tx).await?;
    let reason = "The platform refused the conversion that this row corrects.";
    close(tx, &corrections, "original_refused", reason, now).await?;

    let without_consent = without_consent(tx, plans, now).await?;
    let reason = "Its click and its lead are too old to count, and consent was not given.";
    close(tx, &without_consent, "expired", reason, now).await?;

    let restatements = restatements_without_consent(tx, plans, now).await?;
    let reason = "The conversion is too old to be restated, and consent was withdrawn.";
    close(tx, &restatements, "expired", reason, now).await?;

    breaker::resume_idle(tx, plans, now).await
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
async fn withdrawn(tx: &mut Tx, plans: &Plans) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::withdrawn
        select q.id
        from public.conversion_queue retraction
        join public.conversion_queue q on q.id = retraction.adjusts
        where retraction.platform = any($1)
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
        &plans.correction_lanes(Operation::Retraction) as &[&str],
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

async fn without_consent(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let platforms: Vec<&str> = plans.platforms.iter().map(|plan| plan.platform).collect();
    let clicks_since: Vec<_> = plans.platforms.iter().map(|plan| now - plan.click_window).collect();
    let leads_since: Vec<_> = plans.platforms.iter().map(|plan| now - plan.user_data_window).collect();
    let ids = sqlx::query_scalar!(
        "-- queue::closing::without_consent
        select q.id
        from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as p (platform, clicks_since, leads_since)
        join public.conversion_queue q on q.platform = p.platform
        join public.conversions c on c.id = q.conversion_id
        join public.leads l on l.id = c.lead_id
        where q.adjusts is null and c.ad_user_data <> 'granted'
            and coalesce(c.click_at < p.clicks_since, true) and l.created_at < p.leads_since
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
        &platforms as &[&str],
        &clicks_since,
        &leads_since,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn restatements_without_consent(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- queue::closing::restatements_without_consent
        select q.id
        from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        where q.platform = any($1) and c.ad_user_data = 'denied' and q.expires_at < $2
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())
        order by q.id
        for update of q",
        &plans.correction_lanes(Operation::Restatement) as &[&str],
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}
