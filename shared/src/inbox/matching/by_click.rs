//! Deals of which no lead is known, and that bring the id of their click: the CRM says by it whose they are.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::waiting::of_waiting;
use super::{Match, MatchBy, MatchedBy, Waiting};
use crate::attribution::Clicks;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::deals::Stage;

/// Those of these waiting deals that have one of `click_ids`, except `found`, whose leads are known. Locks them as
/// [`super::by_lead::find_leads`] does.
pub(super) async fn find(
    tx: &mut Tx,
    click_ids: &[String],
    waiting: Waiting<'_>,
    found: &[Uuid],
) -> Result<Vec<Match>, DbError> {
    let matches = of_waiting!(
        waiting,
        r#"-- inbox::matching::by_click::find
        select
            i.id as inbox_id, i.crm_deal_id, i.conversion_type as "conversion_type: Stage",
            key.text as "idempotency_key!", i.occurred_at, null::uuid as lead_id,
            'click' as "matched_by!: MatchedBy", false as "is_certain!",
            false as "several_candidates!", '{}'::jsonb as "lead_clicks!: Json<Clicks>",
            i.clicks as "deal_clicks: Json<Clicks>", i.email_hash is not null as "has_email!",
            i.email_hash_google is not null as "has_email_google!", i.phone_hash is not null as "has_phone!",
            null::text as site, i.source, null::text as utm_source, null::text as utm_medium,
            null::text as utm_campaign, null::text as utm_term, null::text as utm_content,
            -- When the person left e-mail or phone isn't known.
            i.occurred_at as "lead_at!", 'unknown' as "ad_user_data!: ConsentStatus",
            'unknown' as "ad_personalization!: ConsentStatus", false as "is_of_bot!""#,
        r#"
        cross join lateral (
            select
            where i.id <> all($7::uuid[])
                and exists (
                    select from jsonb_each(i.clicks) as seen
                    where jsonb_typeof(seen.value) = 'object' and seen.value ?| $6
                )
        ) click"#,
        click_ids,
        found,
    )
    .fetch_all(tx)
    .await?;
    Ok(matches)
}

/// Deals that were told by their click since, of which nothing was sent and a lead is known now; up to `limit`, except
/// `seen`.
pub async fn with_lead_now(
    tx: &mut Tx,
    match_by: MatchBy,
    since: DateTime<Utc>,
    seen: &[Uuid],
    limit: u16,
) -> Result<Vec<Uuid>, DbError> {
    let deals = sqlx::query_scalar!(
        "-- inbox::matching::by_click::with_lead_now
        select i.id
        from public.conversions c
        join public.inbox i on i.conversion_id = c.id
        where c.lead_id is null and c.created_at > $2
            and i.id <> all($3::uuid[])
            and not exists (select from public.conversion_queue q where q.conversion_id = c.id and q.claims > 0)
            and (
                exists (select from public.leads l where l.id = i.lead_id)
                or exists (
                    select
                    from public.conversions other
                    where other.crm_deal_id = i.crm_deal_id and other.lead_id is not null
                )
                or $1 and exists (
                    select
                    from public.lead_emails e
                    join public.leads l on l.id = e.lead_id
                    where e.email_hash = any(i.other_email_hashes || i.email_hash) and not l.is_suspicious
                )
                or $1 and exists (
                    select from public.leads l where l.phone_hash = i.phone_hash and not l.is_suspicious
                )
            )
        order by c.created_at
        limit $4",
        match_by == MatchBy::Addresses,
        since,
        seen,
        i64::from(limit),
    )
    .fetch_all(tx)
    .await?;
    Ok(deals)
}
