//! Asks the platforms again about conversions that were recorded before their settings changed: a platform or a
//! conversion action that is set up later gets what still counts.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decision::{Eligibility, SkipReason, Standing};
use super::recording::enqueue;
use crate::attribution::CLICK_COUNTS;
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::db::{Db, DbError, Tx};
use crate::deals::Stage;
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
            let decided: Vec<_> = stale.iter().map(|it| it.decide(plans, now)).collect();
            let accepted: Vec<_> = decided.iter().map(|(id, eligibility)| (*id, eligibility)).collect();
            let count = enqueue(tx, &accepted, now).await?;
            mark(tx, &decided, &fingerprint).await?;
            Ok((stale.is_empty(), count))
        });
        let (is_done, count) = page.await?;
        queued += count;
        if is_done {
            break;
        }
    }
    Ok(queued)
}

/// A conversion about which the platforms were asked when they accepted something else.
struct Stale {
    id: Uuid,
    conversion_type: Stage,
    click_at: Option<DateTime<Utc>>,
    has_click_id: bool,
    has_user_data: bool,
    lead_at: DateTime<Utc>,
    ad_user_data: ConsentStatus,
    skip_reason: Option<SkipReason>,
    is_retracted: bool,
}

impl Stale {
    /// Who gets it in time, and why nobody does.
    fn decide(&self, plans: &Plans, now: DateTime<Utc>) -> (Uuid, Eligibility) {
        let is_settled = self.is_retracted
            || self.ad_user_data == ConsentStatus::Denied
            || !matches!(self.skip_reason, None | Some(SkipReason::NoConversionAction | SkipReason::TooOld));
        if is_settled {
            return (self.id, Eligibility { platforms: Vec::new(), skip_reason: self.skip_reason });
        }
        let standing = Standing {
            conversion_type: self.conversion_type.clone(),
            ad_user_data: self.ad_user_data,
            clicked_at: self.click_at,
            has_click_id: self.has_click_id,
            has_user_data: self.has_user_data,
            lead_at: self.lead_at,
        };
        let Eligibility { mut platforms, skip_reason } = Eligibility::of(plans, &standing);
        platforms.retain(|(_, window)| window.until.is_none_or(|until| until > now));
        // Without a reason, other platforms have it.
        let is_sent_nowhere = self.skip_reason.is_some() && platforms.is_empty();
        let skip_reason = is_sent_nowhere.then(|| skip_reason.unwrap_or(SkipReason::TooOld));
        (self.id, Eligibility { platforms, skip_reason })
    }
}

/// The newest of them, locked. What is locked by others is left to the next run.
async fn lock_stale(tx: &mut Tx, fingerprint: &str, now: DateTime<Utc>) -> Result<Vec<Stale>, DbError> {
    let stale = sqlx::query_as!(
        Stale,
        r#"-- conversions::planning::lock_stale
        with recursive fingerprint as (
            -- Each value there is, by the index: there are few.
            select min(planned_for) as value from public.conversions
            union all
            select (select min(planned_for) from public.conversions where planned_for > f.value)
            from fingerprint f
            where f.value is not null
        )
        select
            c.id, c.conversion_type as "conversion_type: Stage", c.click_at,
            coalesce(c.gclid, c.gbraid, c.wbraid) is not null as "has_click_id!",
            coalesce(c.email_hash_google, c.email_hash, c.phone_hash) is not null as "has_user_data!",
            coalesce((select created_at from public.leads where id = c.lead_id), c.occurred_at) as "lead_at!",
            c.ad_user_data as "ad_user_data: ConsentStatus", c.skip_reason as "skip_reason: SkipReason",
            c.retracted_at is not null as "is_retracted!"
        from fingerprint f
        cross join lateral (
            select *
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
    if decided.is_empty() {
        return Ok(());
    }
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
