//! Leads: people who filled in a form.

mod former_spellings;
pub mod refusals;
mod reused_ids;
mod status;
pub mod traffic;

use chrono::{DateTime, Utc};
use reused_ids::Holder;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use crate::attribution::{Attribution, Clicks, SessionAttributes, Site, networks};
use crate::consent::{Consent, ConsentSource, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::identity::{Email, Hash, Phone};
use crate::locks::{self, Locks};
use crate::rate_limits::{Callers, LEADS_REFUSED_ABOVE};
use crate::visitors::{self, VisitorId};
use crate::warning::Warning;

pub use reused_ids::warning as id_was_used;
pub use status::renew_status;

/// A lead as the form sent it.
#[derive(Debug)]
pub struct NewLead {
    /// Idempotency key; the browser's tag reports the same one to Google.
    pub transaction_id: String,
    /// The person's address. A phone number or a click says as well who it is.
    pub email: Option<Email>,
    /// The person's number.
    pub phone: Option<Phone>,
    /// The person's name.
    pub name: Option<String>,
    /// The person's message.
    pub message: Option<String>,
    /// May we write to them?
    pub consent_marketing: Option<bool>,
    /// May we keep their data?
    pub consent_data_processing: Option<bool>,
    /// Consent to advertising, as the form has it.
    pub consent: Consent,
    /// The browser sends Global Privacy Control, which overrides the form.
    pub gpc: bool,
    /// The visitor whose cookie was sent.
    pub visitor_id: Option<VisitorId>,
    /// From the attribution cookie. It may have a click that the visitor's row doesn't have.
    pub cookie: Attribution,
    /// The attribution in the body, used if there is no other: its clicks have no time.
    pub body: Attribution,
    /// The site that the form is on, used if the visitor's isn't known.
    pub site: Option<Site>,
    /// What Google's tag captured of the visit, when the form sends it; else they are the visitor's.
    pub session_attributes: Option<SessionAttributes>,
    /// What speaks against a person. It is kept, and changes nothing.
    pub spam_signs: Vec<String>,
    /// What of the form couldn't be used.
    pub warnings: Vec<Warning>,
    /// The source of leads that it came through; none for the website's own form.
    pub source: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

impl NewLead {
    /// Distinguishes a repeated submission from another one with the same transaction id.
    fn payload_hash(&self) -> Hash {
        let content = json!([
            self.email.as_ref().map(Email::as_str),
            self.phone.as_ref().map(Phone::as_str),
            self.name,
            self.message,
            self.consent_marketing,
            self.consent_data_processing,
            self.consent,
        ]);
        Hash::of(content.to_string())
    }
}

/// The result of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// A new lead.
    New(Uuid),
    /// A new lead of a source that had told another person under its id: [`id_was_used`].
    Beside(Uuid),
    /// The same submission again.
    Duplicate(Uuid),
    /// The transaction id belongs to another submission.
    Conflict,
    /// A caller is far above its limit. Nothing is stored.
    Refused,
}

/// Stores a lead with the attribution of its visitor. Takes the locks on its person first, so it comes first in its
/// transaction: a deal and its lead can't miss each other.
///
/// The same submission again is a duplicate whoever sends it. A visitor's submission conflicts only with one of its
/// own: nobody else's `transaction_id` counts. Of a source of leads, an id that another person has costs no lead.
///
/// A lead of a caller above its limit is stored as suspicious: no deal is matched to it by its addresses. The limit of
/// its e-mail address counts only for a lead without a visitor, because a stranger can use it up.
pub async fn create(tx: &mut Tx, lead: &NewLead, callers: &Callers) -> Result<Created, DbError> {
    let phone_hash = lead.phone.as_ref().and_then(|phone| phone.hash().ok());
    let email_hash = lead.email.as_ref().map(Email::hash);
    locks::take(tx, &Locks::of_person(email_hash.iter().chain(phone_hash))).await?;
    let mut stored = insert(tx, lead, &lead.transaction_id, callers, false).await?;
    if let (Created::Conflict, true, Some(visitor)) = (stored.created, stored.is_apart, lead.visitor_id) {
        let key = visitors::own_key(&lead.transaction_id, visitor);
        // The call is counted.
        stored = insert(tx, lead, &key, &Callers::default(), stored.is_suspicious).await?;
    }
    // What two clicks said may be the same otherwise.
    if let (Created::Conflict | Created::Duplicate(_), true, Some(_)) =
        (stored.created, stored.is_of_another, &lead.source)
    {
        let beside = insert(tx, lead, &reused_ids::own_key(lead), &Callers::default(), stored.is_suspicious).await?;
        stored = match beside.created {
            Created::New(id) => Stored { created: Created::Beside(id), ..beside },
            _ => beside,
        };
    }
    if let (Created::New(id) | Created::Beside(id), Some(email)) = (stored.created, &lead.email) {
        former_spellings::keep(tx, id, email).await?;
    }
    if let (Created::Duplicate(id), true) = (stored.created, lead.gpc) {
        state_consent(tx, id, Consent::DENIED, ConsentSource::Gpc, lead.at).await?;
    }
    Ok(stored.created)
}

/// What was found under a key.
struct Stored {
    created: Created,
    /// Does the key belong to a lead that isn't this visitor's?
    is_apart: bool,
    /// Is the lead of another person?
    is_of_another: bool,
    /// Is the caller above its limit?
    is_suspicious: bool,
}

/// Stores a lead under this key.
#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
async fn insert(
    tx: &mut Tx,
    lead: &NewLead,
    key: &str,
    callers: &Callers,
    is_suspicious: bool,
) -> Result<Stored, DbError> {
    let payload_hash = lead.payload_hash();
    let email_hash = lead.email.as_ref().map(Email::hash);
    let phone_hash = lead.phone.as_ref().and_then(|phone| phone.hash().ok());
    let email_hash_google = lead.email.as_ref().and_then(Email::google_hash);
    let is_reused = lead.source.is_some() && key != lead.transaction_id;
    let warnings: Vec<_> = lead.warnings.iter().cloned().chain(is_reused.then(id_was_used)).collect();
    let consent = if lead.gpc { Consent::DENIED } else { lead.consent };
    let utm = if lead.cookie.utm.is_empty() { &lead.body.utm } else { &lead.cookie.utm };
    let consent_source =
        if lead.gpc { Some(ConsentSource::Gpc) } else { consent.is_known().then_some(ConsentSource::Form) };
    let said_something =
        consent.is_known() || lead.consent_marketing.is_some() || lead.consent_data_processing.is_some();
    let row = sqlx::query!(
        r#"-- leads::insert
        with sender as materialized (
            select public.count_call($28, $29, $30, $26) as used
        ),
        call as materialized (
            select used, case when used <= $30 then public.count_call($33, $34, 'infinity', $26) end as used_of_email
            from sender
        )
        insert into public.leads as l (
            transaction_id, payload_hash, email, email_hash, email_hash_google, phone, phone_hash, name, message,
            consent_marketing, consent_data_processing, consent_recorded_at,
            ad_user_data, ad_personalization, consent_source,
            visitor_id, clicks, utm_source, utm_medium, utm_campaign, utm_term, utm_content, session_attributes,
            created_at, is_suspicious, site, phone_hash_digits, spam_signs, warnings, source
        )
        select
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12, v.consent_recorded_at),
            -- The visit's answer only where the form has none: a row has one source.
            case when $15::text is null then coalesce(v.ad_user_data, 'unknown') else $13 end,
            case when $15::text is null then coalesce(v.ad_personalization, 'unknown') else $14 end,
            case
                when $15::text is not null then $15::text
                when v.ad_user_data <> 'unknown' or v.ad_personalization <> 'unknown' then 'visit'
            end,
            v.visitor_id,
            -- A click without a time gives way to any other, so the form's own are merged last.
            public.merge_clicks(public.merge_clicks(coalesce(v.clicks, '{}'), $16, $18, $19, $26), $17, $18, $19, $26),
            case when utm then v.utm_source else $20 end,
            case when utm then v.utm_medium else $21 end,
            case when utm then v.utm_campaign else $22 end,
            case when utm then v.utm_term else $23 end,
            case when utm then v.utm_content else $24 end,
            coalesce($25, v.session_attributes),
            $26, $35 or call.used > 1 or (call.used_of_email > 1 and v.visitor_id is null),
            coalesce(v.site, $31), $32, $36, $37, $38
        from call
        left join public.visitors v on v.visitor_id = $27
        cross join lateral (
            select coalesce(v.utm_source, v.utm_medium, v.utm_campaign, v.utm_term, v.utm_content) is not null as utm
        ) as known
        where call.used <= $30
        on conflict (transaction_id) do update set transaction_id = excluded.transaction_id
        returning
            id, payload_hash, (xmax = 0) as "new!",
            exists (
                select from public.visitors v where v.visitor_id = $27 and v.visitor_id is distinct from l.visitor_id
            ) as "is_apart!",
            coalesce(l.email_hash = $4 or l.phone_hash = $7 or l.phone = $6, false) as "has_address!",
            coalesce(l.email_hash <> $4 or l.phone <> $6, false) as "has_other_address!",
            coalesce(l.email_hash, l.phone) is null as "has_no_address!",
            l.clicks as "clicks: Json<Clicks>",
            (select used > 1 from call) as "is_suspicious!""#,
        key,
        payload_hash.as_str(),
        lead.email.as_ref().map(Email::as_str),
        email_hash.as_ref().map(Hash::as_str),
        email_hash_google.as_ref().map(Hash::as_str),
        lead.phone.as_ref().map(Phone::as_str),
        phone_hash.map(Hash::as_str),
        lead.name.as_deref(),
        lead.message.as_deref(),
        lead.consent_marketing,
        lead.consent_data_processing,
        said_something.then_some(lead.at),
        consent.ad_user_data as ConsentStatus,
        consent.ad_personalization as ConsentStatus,
        consent_source as Option<ConsentSource>,
        json!(lead.cookie.clicks),
        json!(lead.body.clicks),
        &networks::of_a_click(),
        &networks::beside_ids(),
        utm.source.as_deref(),
        utm.medium.as_deref(),
        utm.campaign.as_deref(),
        utm.term.as_deref(),
        utm.content.as_deref(),
        lead.session_attributes.as_ref().map(SessionAttributes::as_str),
        lead.at,
        lead.visitor_id.map(|id| id.to_string()),
        &callers.sender.keys,
        &callers.sender.limits,
        LEADS_REFUSED_ABOVE,
        lead.site.as_ref().map(Site::as_str),
        lead.phone.as_ref().and_then(Phone::digits_hash).map(Hash::as_str),
        &callers.email.keys,
        &callers.email.limits,
        is_suspicious,
        &lead.spam_signs,
        json!(warnings),
        lead.source.as_deref(),
    )
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else {
        return Ok(Stored { created: Created::Refused, is_apart: false, is_of_another: false, is_suspicious: true });
    };
    let created = match row.payload_hash {
        _ if row.new => Created::New(row.id),
        Some(stored) if stored == payload_hash.as_str() => Created::Duplicate(row.id),
        _ => Created::Conflict,
    };
    let holder = Holder {
        has_address: row.has_address,
        has_other_address: row.has_other_address,
        has_no_address: row.has_no_address,
        clicks: row.clicks.0,
    };
    let is_of_another = holder.is_another_than(lead);
    Ok(Stored { created, is_apart: row.is_apart, is_of_another, is_suspicious: row.is_suspicious })
}

/// Keeps what was said of a lead's consent besides its row. False when there is no such lead.
pub async fn state_consent(
    tx: &mut Tx,
    lead_id: Uuid,
    consent: Consent,
    source: ConsentSource,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let stated = sqlx::query!(
        "-- leads::state_consent
        insert into public.consent_statements (lead_id, email_hash, phone_hash, purpose, value, source, stated_at)
        select l.id, l.email_hash, l.phone_hash, said.purpose, said.value, $5, $4
        from public.leads l
        cross join (values ('ad_user_data', $2::text), ('ad_personalization', $3::text)) as said (purpose, value)
        where l.id = $1 and said.value <> 'unknown'",
        lead_id,
        consent.ad_user_data as ConsentStatus,
        consent.ad_personalization as ConsentStatus,
        at,
        source as ConsentSource,
    )
    .execute(tx)
    .await?;
    Ok(stated.rows_affected() > 0)
}
