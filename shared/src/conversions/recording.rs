//! Stores matched deals as conversions, all in the caller's transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::decision::{Decision, Eligibility};
use crate::attribution::{SessionAttributes, Site};
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::inbox::matching::MatchedBy;
use crate::platforms::{Destinations, SkipReason};

/// A conversion that was written.
pub(super) struct Written {
    pub conversion_id: Uuid,
    pub idempotency_key: String,
    /// Was the deal lost after it reached the stage, and does that undo it?
    pub is_undone: bool,
}

/// Inserts the conversions, with the attribution of their leads and the clicks of the deals in them. A conversion that
/// exists doesn't change, but for a lead where it had none.
///
/// Losses are looked up here and not with the leads: `find_leads` holds the deals' row locks, so a loss that arrives
/// now waits and then sees the conversion.
pub(super) async fn insert_conversions(
    tx: &mut Tx,
    destinations: &Destinations,
    decisions: &[Decision],
    now: DateTime<Utc>,
) -> Result<Vec<Written>, DbError> {
    let inbox_ids: Vec<_> = decisions.iter().map(|it| it.inbox_id).collect();
    let lead_ids: Vec<_> = decisions.iter().map(|it| it.lead_id).collect();
    let matched_by: Vec<_> = decisions.iter().map(|it| it.matched_by).collect();
    let keys: Vec<_> = decisions.iter().map(|it| it.idempotency_key.clone()).collect();
    let transaction_ids: Vec<_> = decisions.iter().map(|it| it.transaction_id.clone()).collect();
    let skip_reasons: Vec<_> = decisions.iter().map(|it| it.eligibility.skip_reason).collect();
    let ad_user_data: Vec<_> = decisions.iter().map(|it| it.consent.ad_user_data).collect();
    let ad_personalization: Vec<_> = decisions.iter().map(|it| it.consent.ad_personalization).collect();
    let clicks: Vec<_> = decisions.iter().map(|it| json!(it.clicks)).collect();
    let written = sqlx::query_as!(
        Written,
        r#"-- conversions::insert_conversions
        insert into public.conversions as c (
            lead_id, conversion_type, value, currency, idempotency_key, crm_deal_id, occurred_at, transaction_id,
            session_attributes, email_hash, email_hash_google, phone_hash,
            utm_source, utm_medium, utm_campaign, utm_term, utm_content,
            ad_user_data, ad_personalization, matched_by, skip_reason, retracted_at, created_at, planned_for,
            clicks, site, phone_hash_digits
        )
        select
            l.id, i.conversion_type, i.value, i.currency, d.idempotency_key, i.crm_deal_id, i.occurred_at,
            d.transaction_id,
            -- The site may have had columns of its own by these names, with whatever in them.
            case
                when l.session_attributes ~ $8 and length(l.session_attributes) <= $9 then l.session_attributes
            end,
            -- The address of the form is the one the click belongs to.
            coalesce(l.email_hash, i.email_hash), coalesce(l.email_hash_google, i.email_hash_google),
            coalesce(l.phone_hash, i.phone_hash),
            l.utm_source, l.utm_medium, l.utm_campaign, l.utm_term, l.utm_content,
            d.ad_user_data, d.ad_personalization, d.matched_by,
            case when u.undone_at is null then d.skip_reason else 'deal_lost' end, u.undone_at, $7, $13,
            d.clicks,
            case when l.site ~ $14 and length(l.site) <= $15 then l.site end,
            coalesce(
                l.phone_hash_digits,
                case when coalesce(l.phone_hash, i.phone_hash) = i.phone_hash then i.phone_hash_digits end
            )
        from unnest(
                $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $10::text[], $11::text[],
                $16::jsonb[]
            ) as d (
                inbox_id, lead_id, matched_by, idempotency_key, transaction_id, skip_reason, ad_user_data,
                ad_personalization, clicks
            )
        join public.inbox i on i.id = d.inbox_id
        left join public.leads l on l.id = d.lead_id
        cross join lateral (
            select case
                when i.conversion_type = any($12) then public.undone_at(i.crm_deal_id, i.occurred_at)
            end as undone_at
        ) u
        on conflict (idempotency_key) do update
        set skip_reason = coalesce(c.skip_reason, excluded.skip_reason),
            lead_id = coalesce(c.lead_id, excluded.lead_id),
            matched_by = case when c.lead_id is null then excluded.matched_by else c.matched_by end
        returning
            id as conversion_id, idempotency_key, skip_reason is not distinct from 'deal_lost' as "is_undone!""#,
        &inbox_ids,
        &lead_ids as &[Option<Uuid>],
        &matched_by as &[MatchedBy],
        &keys,
        &transaction_ids,
        &skip_reasons as &[Option<SkipReason>],
        now,
        SessionAttributes::PATTERN,
        SessionAttributes::LIMIT,
        &ad_user_data as &[ConsentStatus],
        &ad_personalization as &[ConsentStatus],
        &destinations.stages.undone_by_loss() as &[&str],
        destinations.fingerprint(),
        Site::PATTERN,
        Site::LIMIT,
        &clicks,
    )
    .fetch_all(tx)
    .await?;
    Ok(written)
}

/// Queues the conversions for the destinations that get them, once each. Returns the lanes of the rows that are new.
///
/// Where one account gets a conversion, none gets what another one has or had, also if that is no longer declared. And
/// what was declared under another name before, with the same account and action, has it already.
pub(super) async fn enqueue(
    tx: &mut Tx,
    conversions: &[(Uuid, &Eligibility)],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let planned: Vec<_> =
        conversions.iter().flat_map(|(id, eligibility)| eligibility.planned.iter().map(move |it| (*id, it))).collect();
    if planned.is_empty() {
        return Ok(Vec::new());
    }
    let queued = sqlx::query_scalar!(
        "-- conversions::enqueue
        insert into public.conversion_queue (conversion_id, platform, kind, next_retry_at, expires_at, created_at)
        select conversion_id, destination, kind, due_at, expires_at, $8
        from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::boolean[], $7::text[])
            as d (conversion_id, destination, kind, due_at, expires_at, is_only_one, target)
        where not exists (
            select
            from public.conversion_queue other
            where other.conversion_id = d.conversion_id and other.adjusts is null
                and other.kind = d.kind and (d.is_only_one or other.sent_to = d.target)
        )
        on conflict (conversion_id, platform) do nothing
        returning platform",
        &planned.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &planned.iter().map(|(_, it)| it.destination.clone()).collect::<Vec<_>>(),
        &planned.iter().map(|(_, it)| it.kind.to_owned()).collect::<Vec<_>>(),
        &planned.iter().map(|(_, it)| it.window.from).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &planned.iter().map(|(_, it)| it.window.until).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &planned.iter().map(|(_, it)| it.is_only_one).collect::<Vec<_>>(),
        &planned.iter().map(|(_, it)| it.target.clone()).collect::<Vec<_>>(),
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(queued)
}

/// Stores further addresses of the leads, from deals that are certainly theirs. Anybody can state an address in a form,
/// and a phone may be a whole company's.
pub(super) async fn learn_addresses(tx: &mut Tx, decisions: &[Decision]) -> Result<(), DbError> {
    let (inbox_ids, lead_ids): (Vec<_>, Vec<_>) =
        decisions.iter().filter(|it| it.is_certain).filter_map(|it| Some((it.inbox_id, it.lead_id?))).unzip();
    if inbox_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- conversions::learn_addresses
        insert into public.lead_emails (lead_id, email_hash)
        select distinct d.lead_id, address
        from unnest($1::uuid[], $2::uuid[]) as d (inbox_id, lead_id)
        join public.inbox i on i.id = d.inbox_id
        cross join unnest(i.other_email_hashes || i.email_hash) as address
        where address is not null
        -- Two transactions may learn the same of the same leads, and would deadlock in another order.
        order by 1, 2
        on conflict do nothing",
        &inbox_ids,
        &lead_ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Marks the deals as matched, with the rule that found their leads.
pub(super) async fn mark_matched(
    tx: &mut Tx,
    conversions: &[(Uuid, &Decision)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let ids: Vec<_> = conversions.iter().map(|(id, _)| *id).collect();
    let inbox_ids: Vec<_> = conversions.iter().map(|(_, it)| it.inbox_id).collect();
    let matched_by: Vec<_> = conversions.iter().map(|(_, it)| it.matched_by).collect();
    let several_candidates: Vec<_> = conversions.iter().map(|(_, it)| it.several_candidates).collect();
    sqlx::query!(
        "-- conversions::mark_matched
        update public.inbox i
        set state = 'matched', conversion_id = d.conversion_id, matched_at = $4, matched_by = d.matched_by,
            several_candidates = d.several_candidates
        from unnest($1::uuid[], $2::uuid[], $3::text[], $5::boolean[])
            as d (inbox_id, conversion_id, matched_by, several_candidates)
        where i.id = d.inbox_id",
        &inbox_ids,
        &ids,
        &matched_by as &[MatchedBy],
        now,
        &several_candidates,
    )
    .execute(tx)
    .await?;
    Ok(())
}
