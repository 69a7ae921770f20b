//! One entry of the inbox with everything that is stored about it.

mod rows;

use std::collections::BTreeMap;

use sqlx::types::Json;
use uuid::Uuid;

pub use rows::{QueueRow, QueueStatus, StoredConversion, StoredDeal, StoredEvent, StoredLead};

use super::listing::ListedState;
use crate::attribution::Clicks;
use crate::consent::ConsentStatus;
use crate::consent::statements::{self, Statement, Subject};
use crate::db::{DbError, Tx};
use crate::deals::Stage;
use crate::inbox::matching::MatchedBy;

/// A deal with all that belongs to it, or an event that never became a deal.
#[derive(Debug)]
pub struct Entry {
    /// The deal; none if the entry is an event.
    pub deal: Option<StoredDeal>,
    /// The deal's events, oldest first; or the event itself.
    pub events: Vec<StoredEvent>,
    /// The conversion of a matched deal.
    pub conversion: Option<StoredConversion>,
    /// The conversion's queue rows, oldest first.
    pub queue: Vec<QueueRow>,
    /// The conversion's lead, else the one that the deal names.
    pub lead: Option<StoredLead>,
    /// The leads that have the deal's addresses, oldest first, if it could be several; up to a hundred.
    pub candidates: Vec<StoredLead>,
    /// What the person of a matched deal said about consent, newest first.
    pub consent: Vec<Statement>,
}

/// The entries with this id: of a deal or an event in the inbox, or the CRM's id of the deal, which several entries
/// may share. Deals first, oldest first.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Vec<Entry>, DbError> {
    let id = Uuid::try_parse(name).ok();
    let mut entries = Vec::new();
    for inbox_id in deals_named(tx, name, id).await? {
        entries.extend(of_deal(tx, inbox_id).await?);
    }
    for event_id in events_without_deal(tx, name, id).await? {
        let events = events(tx, Some(event_id), None).await?;
        entries.push(Entry {
            deal: None,
            events,
            conversion: None,
            queue: Vec::new(),
            lead: None,
            candidates: Vec::new(),
            consent: Vec::new(),
        });
    }
    Ok(entries)
}

/// The entry of a deal, by its id in the inbox.
pub async fn of_deal(tx: &mut Tx, inbox_id: Uuid) -> Result<Option<Entry>, DbError> {
    let Some(deal) = deal(tx, inbox_id).await? else { return Ok(None) };
    let events = events(tx, None, Some(&deal)).await?;
    let (conversion, queue) = match deal.conversion_id {
        Some(id) => (conversion(tx, id).await?, queue(tx, id).await?),
        None => (None, Vec::new()),
    };
    let lead_id = conversion.as_ref().and_then(|it| it.lead_id).or(deal.lead_id);
    let lead = leads(tx, lead_id.as_slice()).await?.pop();
    let candidates = candidates(tx, &deal).await?;
    let consent = match &conversion {
        Some(it) => {
            let subject = Subject { lead_id: it.lead_id, crm_deal_id: it.crm_deal_id.clone() };
            statements::list(tx, &subject).await?
        }
        None => Vec::new(),
    };
    Ok(Some(Entry { deal: Some(deal), events, conversion, queue, lead, candidates, consent }))
}

/// The leads among which the deal's was chosen; for a waiting deal, those that it could belong to.
async fn candidates(tx: &mut Tx, deal: &StoredDeal) -> Result<Vec<StoredLead>, DbError> {
    let (by_email, by_phone) = match deal.matched_by {
        Some(MatchedBy::Manual | MatchedBy::LeadId) => return Ok(Vec::new()),
        Some(MatchedBy::Email) => (true, false),
        Some(MatchedBy::Phone) => (false, true),
        Some(MatchedBy::Deal | MatchedBy::Click) | None => (true, true),
    };
    let emails: Vec<_> = deal.email_hash.iter().chain(&deal.other_email_hashes).filter(|_| by_email).cloned().collect();
    let ids = sqlx::query_scalar!(
        r#"-- inbox::entry::candidates
        select lead_id as "lead_id!"
        from (
            (
                select lead_id, created_at from public.lead_emails where email_hash = any($1)
                order by created_at, lead_id limit 100
            )
            union all
            (
                select id, created_at from public.leads where phone_hash = $2 and $3
                order by created_at, id limit 100
            )
        ) known
        group by lead_id
        order by min(created_at), lead_id
        limit 100"#,
        &emails,
        deal.phone_hash,
        by_phone,
    )
    .fetch_all(&mut *tx)
    .await?;
    if deal.matched_by.is_some() && ids.len() < 2 {
        return Ok(Vec::new());
    }
    leads(tx, &ids).await
}

async fn deals_named(tx: &mut Tx, crm_deal_id: &str, id: Option<Uuid>) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- inbox::entry::deals_named
        with event as (
            select inbox_id, crm_deal_id from public.inbox_events where id = $2::uuid or crm_deal_id = $1
        )
        select id from public.inbox
        where id = $2::uuid or crm_deal_id = $1 or id in (select inbox_id from event)
            or crm_deal_id in (select crm_deal_id from event where inbox_id is null)
        order by received_at, id",
        crm_deal_id,
        id,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn events_without_deal(tx: &mut Tx, crm_deal_id: &str, id: Option<Uuid>) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- inbox::entry::events_without_deal
        select e.id from public.inbox_events e
        where (e.id = $2::uuid or e.crm_deal_id = $1) and e.inbox_id is null
            and not exists (select from public.inbox i where i.crm_deal_id = e.crm_deal_id)
        order by e.received_at, e.id",
        crm_deal_id,
        id,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

async fn deal(tx: &mut Tx, id: Uuid) -> Result<Option<StoredDeal>, DbError> {
    let deal = sqlx::query_as!(
        StoredDeal,
        r#"-- inbox::entry::deal
        select
            id, source, crm_deal_id, conversion_type as "conversion_type: Stage", value::float8 as value,
            currency, occurred_at, lead_id, email_hash, email_hash_google, other_email_hashes, phone_hash,
            phone_hash_digits, payload_hash, deliveries, state as "state: ListedState", conversion_id, received_at,
            reported_at, person_reported_at, attached_at, matched_at, matched_by as "matched_by: MatchedBy",
            several_candidates, clicks as "clicks: Json<Clicks>", clicks_reported_at
        from public.inbox
        where id = $1"#,
        id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(deal)
}

/// One event, or those of a deal. A loss names no stage, so it is an event of every stage of its deal.
async fn events(tx: &mut Tx, id: Option<Uuid>, deal: Option<&StoredDeal>) -> Result<Vec<StoredEvent>, DbError> {
    let events = sqlx::query_as!(
        StoredEvent,
        r#"-- inbox::entry::events
        select
            e.id, e.receipt_id, e.position, e.source, e.source_event_id, e.state, e.reason, e.rule, e.crm_deal_id,
            e.inbox_id, e.deliveries, e.fetch_due_at, e.fetch_failures, e.warnings, e.received_at, r.verified_by,
            r.verified_with,
            r.headers as "headers: Json<BTreeMap<String, Option<String>>>", r.payload_hash, r.body
        from public.inbox_events e
        join public.inbox_receipts r on r.id = e.receipt_id
        where e.id = $1::uuid or e.inbox_id = $2::uuid or (e.inbox_id is null and e.crm_deal_id = $3::text)
        order by e.received_at, e.position"#,
        id,
        deal.map(|deal| deal.id),
        deal.map(|deal| deal.crm_deal_id.as_str()),
    )
    .fetch_all(tx)
    .await?;
    Ok(events)
}

async fn conversion(tx: &mut Tx, id: Uuid) -> Result<Option<StoredConversion>, DbError> {
    let conversion = sqlx::query_as!(
        StoredConversion,
        r#"-- inbox::entry::conversion
        select
            id, lead_id, crm_deal_id, conversion_type as "conversion_type: Stage", idempotency_key,
            transaction_id, value::float8 as value, currency, occurred_at,
            clicks as "clicks: Json<Clicks>", site, session_attributes, email_hash, email_hash_google, phone_hash,
            phone_hash_digits, utm_source, utm_medium, utm_campaign, utm_term, utm_content,
            ad_user_data as "ad_user_data: ConsentStatus", ad_personalization as "ad_personalization: ConsentStatus",
            matched_by as "matched_by: MatchedBy", skip_reason, created_at, restated_at, retracted_at,
            consent_withdrawn_at
        from public.conversions
        where id = $1"#,
        id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(conversion)
}

async fn queue(tx: &mut Tx, conversion_id: Uuid) -> Result<Vec<QueueRow>, DbError> {
    let queue = sqlx::query_as!(
        QueueRow,
        r#"-- inbox::entry::queue
        select
            id, conversion_id, platform, status as "status: QueueStatus", retry_count, max_retries,
            transport_failures, next_retry_at, expires_at, last_error, last_error_code, claims, locked_until,
            lock_token, uploaded_at, request_id, status_checks, next_status_check_at, confirmed_at,
            dead_lettered_at, adjusts, send_alone, omit_click_id, sent_to, declined_by,
            -- The row itself no longer has it once it was sent.
            case when omit_click_id then (
                select a.reason
                from public.upload_attempts a
                where a.queue_ids @> array[q.id] and a.outcome = 'omit_click_id'
                order by a.attempted_at desc
                limit 1
            ) end as omit_click_id_reason,
            created_at
        from public.conversion_queue q
        where conversion_id = $1
        order by created_at, platform"#,
        conversion_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(queue)
}

async fn leads(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<StoredLead>, DbError> {
    let leads = sqlx::query_as!(
        StoredLead,
        // The site's own columns may be citext or nullable. sqlx would look citext up outside the transaction.
        r#"-- inbox::entry::leads
        select
            id, created_at as "created_at?", visitor_id::text as visitor_id,
            clicks as "clicks?: Json<Clicks>", site::text as site,
            conversion_status::text as "conversion_status?", is_suspicious
        from public.leads
        where id = any($1)
        order by created_at, id"#,
        ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(leads)
}
