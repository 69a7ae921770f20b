//! Deals whose lead is known: by an id, another stage of the deal, an address or a phone.

use sqlx::types::Json;

use super::waiting::of_waiting;
use super::{Match, MatchBy, MatchedBy, Waiting};
use crate::attribution::Clicks;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::deals::Stage;

/// The leads of one address that are looked at: so many of the oldest and so many of the newest.
const SAMPLE: i64 = 25;

/// Finds the leads of waiting deals and locks those deals, except deals that another transaction has locked.
///
/// A lead is found by our own id (assigned by the operator, or sent by the CRM), else by what another stage of the same
/// deal was matched to, else by any address it ever had, else by phone. Among several of one address, those from before
/// the deal are preferred; then those of the browser that came first; then the newest that has one of `click_ids`, else
/// the newest; else the first from after the deal. A lead without a visitor is a browser of its own, and comes first
/// only if it has a click id.
#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
pub(super) async fn find_leads(
    tx: &mut Tx,
    match_by: MatchBy,
    click_ids: &[String],
    waiting: Waiting<'_>,
) -> Result<Vec<Match>, DbError> {
    let matches = of_waiting!(
        waiting,
        r#"-- inbox::matching::by_lead::find_leads
        select
            i.id as inbox_id, i.crm_deal_id, i.conversion_type as "conversion_type: Stage",
            key.text as "idempotency_key!", i.occurred_at,
            l.id as "lead_id?", l.matched_by as "matched_by!: MatchedBy", l.is_certain as "is_certain!",
            l.several_candidates as "several_candidates!",
            case when jsonb_typeof(l.clicks) = 'object' then l.clicks else '{}' end
                as "lead_clicks!: Json<Clicks>",
            i.clicks as "deal_clicks: Json<Clicks>",
            coalesce(l.email_hash, i.email_hash) is not null as "has_email!",
            coalesce(l.email_hash_google, i.email_hash_google) is not null as "has_email_google!",
            coalesce(l.phone_hash, i.phone_hash) is not null as "has_phone!",
            -- The site may have had columns of these names, of a type that sqlx would look up.
            l.site::text as site, i.source, l.utm_source::text as utm_source, l.utm_medium::text as utm_medium,
            l.utm_campaign::text as utm_campaign, l.utm_term::text as utm_term, l.utm_content::text as utm_content,
            coalesce(l.created_at, i.received_at) as "lead_at!",
            l.ad_user_data as "ad_user_data: ConsentStatus",
            l.ad_personalization as "ad_personalization: ConsentStatus",
            public.is_of_bot(l.visitor_id) as "is_of_bot!""#,
        r#"
        cross join lateral (
            select *
            from (
                select
                    l.id, l.clicks, l.email_hash, l.email_hash_google, l.phone_hash, l.created_at, l.ad_user_data,
                    l.ad_personalization, l.site, l.utm_source, l.utm_medium, l.utm_campaign, l.utm_term, l.utm_content,
                    l.visitor_id,
                    click.has_click_id, known.matched_by, known.rank, known.is_certain, browser.id as browser,
                    coalesce(l.created_at <= i.occurred_at, false) as is_before,
                    first_value(browser.first_if) over (
                        partition by known.rank order by browser.first_if is null, l.created_at
                    ) as first_browser,
                    known.several_candidates or known.rank > 2 and (
                        min(browser.id) over same_kind <> max(browser.id) over same_kind
                        or count(*) over same_kind >= 2 * $8
                    ) as several_candidates
                from (
                    -- The deal was recorded before, and keeps its lead.
                    select lead_id, coalesce(matched_by, 'deal') as matched_by, 0 as rank, false as is_certain,
                        i.several_candidates
                    from public.conversions
                    where idempotency_key = key.text
                    union all
                    select id, case when i.attached_at is null then 'lead_id' else 'manual' end, 1, true, false
                    from public.leads
                    where id = i.lead_id
                    union all
                    select c.lead_id, 'deal', 2, coalesce(c.matched_by in ('manual', 'lead_id'), false),
                        coalesce(o.several_candidates, false)
                    from public.conversions c
                    left join public.inbox o on o.conversion_id = c.id
                    where c.crm_deal_id = i.crm_deal_id
                    union all
                    select s.lead_id, a.matched_by, a.rank, false, false
                    from (
                        select i.email_hash, 'email', 3
                        union all
                        select unnest(i.other_email_hashes), 'email', 4
                        union all
                        select i.phone_hash, 'phone', 5
                    ) a (hash, matched_by, rank)
                    -- Both ends of its part of an index, read in the index's order: by "=" alone, Postgres would sort
                    -- all leads of the address where it expects few.
                    cross join lateral (
                        select lead_id
                        from (
                            select lead_id, email_hash from public.lead_emails
                            where email_hash >= a.hash and a.matched_by = 'email'
                            order by email_hash, created_at, lead_id limit $8
                        ) oldest
                        where email_hash = a.hash
                        union
                        select lead_id
                        from (
                            select lead_id, email_hash from public.lead_emails
                            where email_hash <= a.hash and a.matched_by = 'email'
                            order by email_hash desc, created_at desc, lead_id desc limit $8
                        ) newest
                        where email_hash = a.hash
                        union
                        select id
                        from (
                            select id, phone_hash from public.leads
                            where phone_hash >= a.hash and a.matched_by = 'phone'
                            order by phone_hash, created_at, id limit $8
                        ) oldest
                        where phone_hash = a.hash
                        union
                        select id
                        from (
                            select id, phone_hash from public.leads
                            where phone_hash <= a.hash and a.matched_by = 'phone'
                            order by phone_hash desc, created_at desc, id desc limit $8
                        ) newest
                        where phone_hash = a.hash
                    ) s
                    where $7
                ) known
                -- One look-up in the primary key each: a join may be a scan of all leads.
                cross join lateral (
                    select * from public.leads
                    where id = known.lead_id and (not is_suspicious or known.matched_by not in ('email', 'phone'))
                    limit 1
                ) l
                cross join lateral (
                    -- The site may have had a column of this name, with whatever in it.
                    select exists (
                        select
                        from jsonb_each(case when jsonb_typeof(l.clicks) = 'object' then l.clicks else '{}' end) as seen
                        where jsonb_typeof(seen.value) = 'object' and seen.value ?| $6
                    ) as has_click_id
                ) click
                cross join lateral (
                    select
                        coalesce(l.visitor_id::text, l.id::text) as id,
                        coalesce(l.visitor_id::text, case when click.has_click_id then l.id::text end) as first_if
                ) browser
                window same_kind as (partition by known.matched_by)
            ) lead
            order by
                rank,
                is_before desc,
                coalesce(browser = first_browser, false) desc,
                has_click_id desc,
                case when is_before then created_at end desc nulls last,
                created_at
            limit 1
        ) l"#,
        click_ids,
        match_by == MatchBy::Addresses,
        SAMPLE,
    )
    .fetch_all(tx)
    .await?;
    Ok(matches)
}
