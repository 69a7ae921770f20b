//! Asks the platforms again about conversions that were recorded before their settings changed: a platform or a
//! conversion action that is set up later gets what still counts.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decision::{Eligibility, SkipReason};
use super::recording::enqueue;
use super::stored::{self, Stored};
use crate::attribution::CLICK_COUNTS;
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::db::{Db, DbError, Tx};
use crate::platforms::Plans;

/// Conversions per transaction.
const PAGE: i64 = 500;

/// Queues conversions for platforms that accept them now and weren't asked before, page by page until `end`, the newest
/// first. Returns how many were queued. What counts for none of them any more says so.
pub async fn enqueue_missing(db: &Db, clock: &Clock, plans: &Plans, end: DateTime<Utc>) -> Result<u64, DbError> {
    let fingerprint = plans.fingerprint();
    let mut queued = 0;
    while clock.now() < end {
        let now = clock.now();
        let page = db.tx(async |tx| -> Result<_, DbError> {
            let stale = lock_stale(tx, &fingerprint, now).await?;
            if stale.is_empty() {
                return Ok(None);
            }
            let stored = stored::lock(tx, &stale).await?;
            let decided: Vec<_> = stored.iter().map(|it| decide(it, plans, now)).collect();
            let accepted: Vec<_> = decided.iter().map(|(id, eligibility)| (*id, eligibility)).collect();
            let count = enqueue(tx, &accepted, now).await?;
            mark(tx, &decided, &fingerprint).await?;
            Ok(Some(count))
        });
        let Some(count) = page.await? else { break };
        queued += count;
    }
    Ok(queued)
}

/// Who gets it in time, and why nobody does.
fn decide(stored: &Stored, plans: &Plans, now: DateTime<Utc>) -> (Uuid, Eligibility) {
    let is_settled = stored.is_retracted
        || stored.ad_user_data == ConsentStatus::Denied
        || !matches!(stored.skip_reason, None | Some(SkipReason::NoConversionAction | SkipReason::TooOld));
    if is_settled {
        return (stored.id, Eligibility { platforms: Vec::new(), skip_reason: stored.skip_reason });
    }
    let Eligibility { mut platforms, skip_reason } = Eligibility::of(plans, &stored.standing(stored.consent()));
    platforms.retain(|(_, window)| window.until.is_none_or(|until| until > now));
    // Without a reason, other platforms have it.
    let is_sent_nowhere = stored.skip_reason.is_some() && platforms.is_empty();
    let skip_reason = is_sent_nowhere.then(|| skip_reason.unwrap_or(SkipReason::TooOld));
    (stored.id, Eligibility { platforms, skip_reason })
}

/// The newest conversions about which the platforms were asked when they accepted something else, locked. What is
/// locked by others is left to the next run.
async fn lock_stale(tx: &mut Tx, fingerprint: &str, now: DateTime<Utc>) -> Result<Vec<Uuid>, DbError> {
    let stale = sqlx::query_scalar!(
        r#"-- conversions::planning::lock_stale
        with recursive fingerprint as (
            -- Each value there is, by the index: there are few.
            select min(planned_for) as value from public.conversions
            union all
            select (select min(planned_for) from public.conversions where planned_for > f.value)
            from fingerprint f
            where f.value is not null
        )
        select c.id
        from fingerprint f
        cross join lateral (
            select id
            from public.conversions
            where planned_for = f.value and created_at > $2
            order by created_at desc
            limit $3
            for no key update skip locked
        ) c
        where f.value <> $1
        limit $3"#,
        fingerprint,
        now - CLICK_COUNTS,
        PAGE,
    )
    .fetch_all(tx)
    .await?;
    Ok(stale)
}

async fn mark(tx: &mut Tx, decided: &[(Uuid, Eligibility)], fingerprint: &str) -> Result<(), DbError> {
    let ids: Vec<_> = decided.iter().map(|(id, _)| *id).collect();
    let skip_reasons: Vec<_> = decided.iter().map(|(_, eligibility)| eligibility.skip_reason).collect();
    sqlx::query!(
        "-- conversions::planning::mark
        update public.conversions c
        set planned_for = $3, skip_reason = d.skip_reason
        from unnest($1::uuid[], $2::text[]) as d (id, skip_reason)
        where c.id = d.id",
        &ids,
        &skip_reasons as &[Option<SkipReason>],
        fingerprint,
    )
    .execute(tx)
    .await?;
    Ok(())
}
