//! Closes open rows that no longer need to be sent. A claim closes what expires, but doesn't see what is held for
//! consent.

use chrono::{DateTime, Utc};

use super::breaker;
use crate::db::{DbError, Tx};
use crate::platforms::{Operation, Plans};

/// Closes open rows of deals that were lost before a platform accepted them, uploads that are to be retracted because
/// consent was withdrawn, corrections of uploads that the platform rejected, and rows held for consent that have
/// expired. Then ends the pauses of lanes without open rows.
pub async fn close_moot(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<(), DbError> {
    close_lost(tx, now).await?;
    close_withdrawn(tx, plans, now).await?;
    close_corrections_of_refused(tx, now).await?;
    close_without_consent(tx, plans, now).await?;
    close_restatements_without_consent(tx, plans, now).await?;
    breaker::resume_idle(tx, plans, now).await
}

async fn close_lost(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::closing::close_lost
        update public.conversion_queue q
        set status = 'dead_letter', dead_lettered_at = $1, last_error_code = 'deal_lost',
            last_error = 'The deal was lost before the platform accepted it; it isn''t sent any more.',
            locked_until = null, lock_token = null
        from public.conversions c
        where c.id = q.conversion_id and c.retracted_at is not null and q.adjusts is null
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())",
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A platform may have received them although it didn't answer, so their retraction goes.
async fn close_withdrawn(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::closing::close_withdrawn
        update public.conversion_queue q
        set status = 'dead_letter', dead_lettered_at = $1, last_error_code = 'consent_withdrawn',
            last_error = 'Consent was withdrawn before the platform accepted it; it isn''t sent any more.',
            locked_until = null, lock_token = null
        from public.conversion_queue retraction
        where retraction.platform = any($2) and retraction.adjusts = q.id
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())",
        now,
        &plans.correction_lanes(Operation::Retraction) as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn close_corrections_of_refused(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::closing::close_corrections_of_refused
        update public.conversion_queue q
        set status = 'dead_letter', dead_lettered_at = $1, last_error_code = 'original_refused',
            last_error = 'The platform refused the conversion that this row corrects.',
            locked_until = null, lock_token = null
        from public.conversion_queue original
        where original.id = q.adjusts and original.status = 'dead_letter'
            and coalesce(original.last_error_code, '') not in ('deal_lost', 'consent_withdrawn')
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())",
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn close_without_consent(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<(), DbError> {
    let platforms: Vec<&str> = plans.0.iter().map(|plan| plan.platform).collect();
    let clicks_since: Vec<_> = plans.0.iter().map(|plan| now - plan.click_window).collect();
    let leads_since: Vec<_> = plans.0.iter().map(|plan| now - plan.user_data_window).collect();
    sqlx::query!(
        "-- queue::closing::close_without_consent
        update public.conversion_queue q
        set status = 'dead_letter', dead_lettered_at = $1, last_error_code = 'expired',
            last_error = 'Its click and its lead are too old to count, and consent was not given.',
            locked_until = null, lock_token = null
        from unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) as p (platform, clicks_since, leads_since),
            public.conversions c, public.leads l
        where p.platform = q.platform and c.id = q.conversion_id and l.id = c.lead_id
            and q.adjusts is null and c.ad_user_data <> 'granted'
            and coalesce(c.click_at < p.clicks_since, true) and l.created_at < p.leads_since
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())",
        now,
        &platforms as &[&str],
        &clicks_since,
        &leads_since,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn close_restatements_without_consent(tx: &mut Tx, plans: &Plans, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::closing::close_restatements_without_consent
        update public.conversion_queue q
        set status = 'dead_letter', dead_lettered_at = $1, last_error_code = 'expired',
            last_error = 'The conversion is too old to be restated, and consent was withdrawn.',
            locked_until = null, lock_token = null
        from public.conversions c
        where q.platform = any($2) and c.id = q.conversion_id and c.ad_user_data = 'denied' and q.expires_at < $1
            and q.status in ('pending', 'failed') and (q.locked_until is null or q.locked_until <= now())",
        now,
        &plans.correction_lanes(Operation::Restatement) as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}
