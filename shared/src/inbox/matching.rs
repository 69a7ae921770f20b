//! The search for the leads of waiting deals.

mod by_click;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::attribution::Clicks;
use crate::consent::{Consent, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::deals::Stage;

pub use by_click::with_lead_now;

/// The rule that found a deal's lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The operator assigned it.
    Manual,
    /// The CRM echoed our lead id.
    LeadId,
    /// The lead has the e-mail address.
    Email,
    /// The phone hashes are the same.
    Phone,
    /// Another stage of the deal was matched to it.
    Deal,
    /// None is known: the CRM kept the id of the click.
    Click,
}

crate::db::text_in_sql!(MatchedBy);

/// What a deal's lead may be found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBy {
    /// By our lead id, else by e-mail or phone.
    #[default]
    Addresses,
    /// Only by our lead id.
    LeadId,
}

impl MatchBy {
    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "addresses" => Ok(Self::Addresses),
            "lead_id" => Ok(Self::LeadId),
            _ => Err("must be addresses or lead_id".into()),
        }
    }
}

/// Which waiting deals to match.
#[derive(Clone, Copy, Debug)]
pub enum Waiting<'a> {
    /// These.
    Deals(&'a [Uuid]),
    /// Those after one position, up to another.
    Page(Option<Place>, Place),
}

impl<'a> Waiting<'a> {
    fn bounds(self) -> (Option<&'a [Uuid]>, Option<Place>, Option<Place>) {
        match self {
            Self::Deals(ids) => (Some(ids), None, None),
            Self::Page(after, until) => (None, after, Some(until)),
        }
    }
}

/// A position among the waiting deals, the longest waiting first.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    received_at: DateTime<Utc>,
    id: Uuid,
}

/// The position of the last of the next `limit` waiting deals; none if there are no more. They are matched page by
/// page, because one statement can't process a million of them in time.
pub async fn end_of_page(tx: &mut Tx, after: Option<Place>, limit: u16) -> Result<Option<Place>, DbError> {
    let place = sqlx::query_as!(
        Place,
        r#"-- inbox::matching::end_of_page
        select received_at as "received_at!", id as "id!"
        from (
            select received_at, id from public.inbox
            where state = 'awaiting_lead' and ($1::timestamptz is null or (received_at, id) > ($1, $2::uuid))
            order by received_at, id
            limit $3
        ) page
        order by received_at desc, id desc
        limit 1"#,
        after.map(|place| place.received_at),
        after.map(|place| place.id),
        i64::from(limit),
    )
    .fetch_optional(tx)
    .await?;
    Ok(place)
}

/// A waiting deal and the lead it belongs to, or none where it is told by its click.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row, column by column")]
pub struct Match {
    /// The deal's id in the inbox.
    pub inbox_id: Uuid,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The stage it reached.
    pub conversion_type: Stage,
    /// The key of its conversion: `{name}:{stage}`, from the second generation on with `:{generation}` after it.
    pub idempotency_key: String,
    /// When it reached the stage.
    pub occurred_at: DateTime<Utc>,
    /// Its lead.
    pub lead_id: Option<Uuid>,
    /// The rule that found the lead.
    pub matched_by: MatchedBy,
    /// Did the operator or the CRM say whose the deal is?
    pub is_certain: bool,
    /// Could it also be the lead of another browser: by another of the deal's e-mails, or by the same phone?
    pub several_candidates: bool,
    /// The lead's clicks.
    lead_clicks: Json<Clicks>,
    /// Those that the CRM reported.
    deal_clicks: Json<Clicks>,
    /// Has the lead or the deal a hashed e-mail?
    pub has_email: bool,
    /// And one by Google's normalisation?
    pub has_email_google: bool,
    /// A hashed phone?
    pub has_phone: bool,
    /// The site that the lead came from.
    pub site: Option<String>,
    /// The source that reported the deal.
    pub source: String,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_term: Option<String>,
    pub utm_content: Option<String>,
    /// When the lead filled in the form.
    pub lead_at: DateTime<Utc>,
    /// What the lead's row says of sending its data to Google for advertising.
    pub ad_user_data: ConsentStatus,
    /// And of using it to personalise.
    pub ad_personalization: ConsentStatus,
    /// Did a program fill in the form?
    pub is_of_bot: bool,
}

impl Match {
    /// The newest click of each network: of the lead, and of those that the CRM reported. One without a time was before
    /// the form and the deal. Without a lead there is no form, and the click that the deal came from wasn't after it.
    #[must_use]
    pub fn clicks(&self) -> Clicks {
        if self.lead_id.is_none() {
            return self.deal_clicks.0.clone().dated(self.occurred_at);
        }
        let deal_at = self.lead_at.min(self.occurred_at);
        self.lead_clicks.0.clone().merged(self.deal_clicks.0.clone()).clicked(deal_at)
    }

    /// What the lead's row says. It counts where nothing was stated: rows that the version before wrote.
    #[must_use]
    pub fn consent(&self) -> Consent {
        Consent { ad_user_data: self.ad_user_data, ad_personalization: self.ad_personalization }
    }
}

/// The leads of one address that are looked at: so many of the oldest and so many of the newest.
const SAMPLE: i64 = 25;

/// Finds the leads of waiting deals, as [`find_leads`] does; and of the others those that are told by one of
/// `click_ids` of their own.
pub async fn find(
    tx: &mut Tx,
    match_by: MatchBy,
    click_ids: &[String],
    waiting: Waiting<'_>,
) -> Result<Vec<Match>, DbError> {
    let mut matches = find_leads(tx, match_by, click_ids, waiting).await?;
    let found: Vec<_> = matches.iter().map(|it| it.inbox_id).collect();
    matches.extend(by_click::find(tx, click_ids, waiting, &found).await?);
    Ok(matches)
}

/// Finds the leads of waiting deals and locks those deals, except deals that another transaction has locked.
///
/// A lead is found by our own id (assigned by the operator, or sent by the CRM), else by what another stage of the same
/// deal was matched to, else by any address it ever had, else by phone. Among several of one address, those from before
/// the deal are preferred; then those of the browser that came first; then the newest that has one of `click_ids`, else
/// the newest; else the first from after the deal. A lead without a visitor is a browser of its own, and comes first
/// only if it has a click id.
#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
async fn find_leads(
    tx: &mut Tx,
    match_by: MatchBy,
    click_ids: &[String],
    waiting: Waiting<'_>,
) -> Result<Vec<Match>, DbError> {
    let (deals, after, until) = waiting.bounds();
    let matches = sqlx::query_as!(
        Match,
        r#"-- inbox::matching::find_leads
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
            public.is_of_bot(l.visitor_id) as "is_of_bot!"
        from public.inbox i
        cross join lateral (
            select coalesce(i.key_name, i.crm_deal_id) || ':' || i.conversion_type
                || case when i.generation > 1 then ':' || i.generation else '' end as text
        ) key
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
        ) l
        where i.state = 'awaiting_lead'
            and ($1::uuid[] is null or i.id = any($1))
            and ($2::timestamptz is null or (i.received_at, i.id) > ($2, $3::uuid))
            and ($4::timestamptz is null or (i.received_at, i.id) <= ($4, $5::uuid))
        order by i.received_at, i.id
        for update of i skip locked"#,
        deals,
        after.map(|place| place.received_at),
        after.map(|place| place.id),
        until.map(|place| place.received_at),
        until.map(|place| place.id),
        click_ids,
        match_by == MatchBy::Addresses,
        SAMPLE,
    )
    .fetch_all(tx)
    .await?;
    Ok(matches)
}

/// Assigns the deal to a lead, which overrides the CRM. The next match uses it.
/// False when there is no such waiting or expired deal, or no such lead.
pub async fn attach(tx: &mut Tx, inbox_id: Uuid, lead_id: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "-- inbox::matching::attach
        update public.inbox i
        set lead_id = l.id, attached_at = $3, state = 'awaiting_lead', several_candidates = false
        from public.leads l
        where i.id = $1 and l.id = $2 and i.state in ('awaiting_lead', 'expired')",
        inbox_id,
        lead_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Keeps that the operator found the deal's match to be right.
pub async fn confirm(tx: &mut Tx, inbox_id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::matching::confirm
        update public.inbox set several_candidates = false, attached_at = $2 where id = $1 and state = 'matched'",
        inbox_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives those of these deals that are expired another 90 days.
pub async fn wait_again(tx: &mut Tx, inbox_ids: &[Uuid], now: DateTime<Utc>) -> Result<(), DbError> {
    if inbox_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- inbox::matching::wait_again
        update public.inbox set state = 'awaiting_lead', received_at = $2 where id = any($1) and state = 'expired'",
        inbox_ids,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
