//! Visitors: browsers that visited the website.

pub mod gauges;

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use crate::attribution::{AdMarks, Attribution, Click, Clicks, SessionAttributes, Site, Utm, networks};
use crate::bots::BotScore;
use crate::consent::{Consent, ConsentSource, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::identity::Hash;
use crate::rate_limits::Callers;

/// A visitor's id. Generated here, stored in an HttpOnly cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitorId(Uuid);

impl VisitorId {
    /// A new one: 122 random bits.
    #[must_use]
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }

    /// Reads the cookie. A value that isn't exactly in our format isn't one of our ids.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == 4)?;
        (id.hyphenated().to_string() == text).then_some(Self(id))
    }
}

impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A visitor's own idempotency key for an id that somebody else has used. It can't be an id as it is sent, which has no
/// slash, and doesn't tell the visitor.
#[must_use]
pub fn own_key(id: &str, visitor: VisitorId) -> String {
    let hash = Hash::of(format!("{visitor}/{id}"));
    format!("{id}/{}", &hash.as_str()[..32])
}

/// One page load.
#[derive(Debug)]
pub struct Visit {
    /// The visitor, as the cookie says.
    pub cookie: Option<VisitorId>,
    /// The visitor's id if the cookie names no visitor we know.
    pub minted: VisitorId,
    /// This page's attribution merged with the cookie's. A click without a time is of now.
    pub attribution: Attribution,
    /// The site of the page.
    pub site: Option<Site>,
    /// Did a click lead to this page?
    pub is_landing: bool,
    /// The URL of the page.
    pub landing_page: String,
    /// The referrer.
    pub referrer: Option<String>,
    /// The user agent.
    pub user_agent: Option<String>,
    /// The HMAC of the IP address.
    pub ip_hash: Option<Hash>,
    /// What the page's consent banner says, or the browser itself.
    pub consent: Consent,
    /// Which of them.
    pub consent_source: ConsentSource,
    /// What Google added to the address besides its click.
    pub ad_marks: AdMarks,
    /// Google's click that led to this page.
    pub google_click: Option<Click>,
    /// What Google wants to know of a visit from its ads.
    pub session_attributes: Option<SessionAttributes>,
    /// Who seems to call.
    pub bot: BotScore,
    /// When.
    pub at: DateTime<Utc>,
}

/// The visitor after this visit.
#[derive(Debug)]
pub struct RecordedVisit {
    /// The id it is stored under.
    pub visitor_id: VisitorId,
    /// Was the visitor known before?
    pub returning: bool,
    /// First UTMs, newest click of each network.
    pub attribution: Attribution,
}

/// Stores a visit. The first UTMs, landing page and referrer stay; the newest click of each network wins, and the same
/// click seen again keeps its time; the site is the one that the newest click led to; a new answer on consent replaces
/// the previous one. Whoever once came as a person stays one. An id that wasn't minted here is replaced, not stored.
/// `None` if a caller is above its limit: nothing is stored but a no of a known visitor.
#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
pub async fn record(tx: &mut Tx, visit: &Visit, callers: &Callers) -> Result<Option<RecordedVisit>, DbError> {
    let Attribution { utm, clicks } = &visit.attribution;
    let row = sqlx::query!(
        r#"-- visitors::record
        with call as materialized (
            select public.count_call($20, $21, 1, $5) as used
        ),
        visitor as materialized (
            select coalesce(v.visitor_id, $1) as id, v.visitor_id is not null as is_known, used
            from call
            left join public.visitors v on v.visitor_id = $19
        ),
        stated as (
            insert into public.consent_statements (visitor_id, purpose, value, source, stated_at)
            select id, said.purpose, said.value, $22, $5
            from visitor
            cross join (values ('ad_user_data', $15::text), ('ad_personalization', $16::text)) as said (purpose, value)
            where said.value <> 'unknown' and (used <= 1 or (is_known and said.value = 'denied'))
        )
        insert into public.visitors as v (
            visitor_id, clicks, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
            ip_hash, user_agent, landing_page, referrer,
            ad_user_data, ad_personalization, consent_recorded_at, first_seen_at, last_seen_at, site,
            session_attributes, bot_score, bot_reasons, gad_source, gad_campaignid
        )
        select
            id, public.merge_clicks('{}', $2, $3, $4, $5), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $5,
            $5, $18, $24, $26, $27, $28, $29
        from visitor
        where used <= 1
        on conflict (visitor_id) do update set
            clicks = public.merge_clicks(v.clicks, $2, $3, $4, $5),
            (utm_source, utm_medium, utm_campaign, utm_term, utm_content) = (
                select utm_source, utm_medium, utm_campaign, utm_term, utm_content
                from (
                    values
                        (v.utm_source, v.utm_medium, v.utm_campaign, v.utm_term, v.utm_content, 1),
                        (
                            excluded.utm_source, excluded.utm_medium, excluded.utm_campaign, excluded.utm_term,
                            excluded.utm_content, 2
                        )
                ) as touch (utm_source, utm_medium, utm_campaign, utm_term, utm_content, n)
                order by coalesce(utm_source, utm_medium, utm_campaign, utm_term, utm_content) is null, n
                limit 1
            ),
            ip_hash = coalesce(excluded.ip_hash, v.ip_hash),
            user_agent = coalesce(excluded.user_agent, v.user_agent),
            ad_user_data = coalesce(nullif(excluded.ad_user_data, 'unknown'), v.ad_user_data),
            ad_personalization = coalesce(nullif(excluded.ad_personalization, 'unknown'), v.ad_personalization),
            consent_recorded_at = coalesce(excluded.consent_recorded_at, v.consent_recorded_at),
            site = case when $23 then excluded.site else coalesce(v.site, excluded.site) end,
            session_attributes = case
                -- The same click again: its session began then.
                when v.session_attributes is not null and v.clicks -> 'google' @> $25 then v.session_attributes
                else coalesce(excluded.session_attributes, v.session_attributes)
            end,
            bot_score = least(v.bot_score, excluded.bot_score),
            bot_reasons = case when v.bot_score <= excluded.bot_score then v.bot_reasons else excluded.bot_reasons end,
            -- A click has its own, which the trigger keeps beside it. Without one, they are the newest.
            (gad_source, gad_campaignid) = (
                select
                    case when is_kept then v.gad_source else excluded.gad_source end,
                    case when is_kept then v.gad_campaignid else excluded.gad_campaignid end
                from (
                    select v.clicks ? 'google'
                        or coalesce(excluded.gad_source, excluded.gad_campaignid) is null as is_kept
                ) as known
            ),
            last_seen_at = greatest(v.last_seen_at, excluded.last_seen_at)
        returning
            visitor_id, (xmax <> 0) as "returning!", clicks as "clicks: Json<Clicks>",
            utm_source, utm_medium, utm_campaign, utm_term, utm_content"#,
        visit.minted.to_string(),
        json!(clicks),
        &networks::of_a_click(),
        &networks::beside_ids(),
        visit.at,
        utm.source.as_deref(),
        utm.medium.as_deref(),
        utm.campaign.as_deref(),
        utm.term.as_deref(),
        utm.content.as_deref(),
        visit.ip_hash.as_ref().map(Hash::as_str),
        visit.user_agent.as_deref(),
        visit.landing_page,
        visit.referrer.as_deref(),
        visit.consent.ad_user_data as ConsentStatus,
        visit.consent.ad_personalization as ConsentStatus,
        visit.consent.is_known().then_some(visit.at),
        visit.site.as_ref().map(Site::as_str),
        visit.cookie.map(|id| id.to_string()),
        &callers.sender.keys,
        &callers.sender.limits,
        visit.consent_source as ConsentSource,
        visit.is_landing,
        visit.session_attributes.as_ref().map(SessionAttributes::as_str),
        visit.google_click.as_ref().map(|click| json!(click.ids())),
        visit.bot.score,
        &visit.bot.reasons as &[&str],
        visit.ad_marks.source.as_deref(),
        visit.ad_marks.campaign_id.as_deref(),
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(RecordedVisit {
        // It is one of the two.
        visitor_id: VisitorId::parse(&row.visitor_id).unwrap_or(visit.minted),
        returning: row.returning,
        attribution: Attribution {
            utm: Utm {
                source: row.utm_source,
                medium: row.utm_medium,
                campaign: row.utm_campaign,
                term: row.utm_term,
                content: row.utm_content,
            },
            clicks: row.clicks.0,
        },
    }))
}

/// What became of an answer to the consent banner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    Kept,
    /// The visitor isn't known.
    Unknown,
    /// A caller is above its limit, so a yes wasn't kept. A no always is.
    Refused,
}

/// Keeps the answer that a visitor gave to the consent banner after the page view.
pub async fn answer_consent(
    tx: &mut Tx,
    visitor_id: VisitorId,
    consent: Consent,
    source: ConsentSource,
    at: DateTime<Utc>,
    callers: &Callers,
) -> Result<Answered, DbError> {
    let row = sqlx::query!(
        r#"-- visitors::answer_consent
        with call as materialized (
            select public.count_call($6, $7, 1, $5) as used
        ),
        said as materialized (
            select said.purpose, said.value, used <= 1 or said.value = 'denied' as is_kept
            from call
            cross join (values ('ad_user_data', $2::text), ('ad_personalization', $3::text)) as said (purpose, value)
            where said.value <> 'unknown'
        ),
        kept as (
            select max(value) filter (where purpose = 'ad_user_data') as ad_user_data,
                max(value) filter (where purpose = 'ad_personalization') as ad_personalization
            from said
            where is_kept
            having count(*) > 0
        ),
        visitor as (
            update public.visitors v
            set ad_user_data = coalesce(kept.ad_user_data, v.ad_user_data),
                ad_personalization = coalesce(kept.ad_personalization, v.ad_personalization),
                consent_recorded_at = $5
            from kept
            where v.visitor_id = $1
            returning visitor_id
        ),
        stated as (
            insert into public.consent_statements (visitor_id, purpose, value, source, stated_at)
            select visitor_id, said.purpose, said.value, $4, $5
            from visitor
            cross join said
            where is_kept
        )
        select
            exists (select from public.visitors where visitor_id = $1) as "is_known!",
            coalesce((select bool_and(is_kept) from said), true) as "is_kept!""#,
        visitor_id.to_string(),
        consent.ad_user_data as ConsentStatus,
        consent.ad_personalization as ConsentStatus,
        source as ConsentSource,
        at,
        &callers.sender.keys,
        &callers.sender.limits,
    )
    .fetch_one(tx)
    .await?;
    Ok(match (row.is_kept, row.is_known) {
        (false, _) => Answered::Refused,
        (true, false) => Answered::Unknown,
        (true, true) => Answered::Kept,
    })
}
