//! The inbox: every deal the CRM reported, whether or not its lead is known yet.

pub mod entry;
pub mod events;
pub mod listing;
pub mod losses;
pub mod matching;
pub mod receipts;
pub mod refusals;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::attribution::CLICK_COUNTS;
use crate::db::{DbError, Tx};
use crate::deals::{ConversionType, Deal};
use crate::identity::{Email, Hash};
use crate::locks::Locks;
use crate::money::Money;

/// The state of a deal after a report on it was stored.
#[derive(Debug)]
pub struct Received {
    /// Its id in the inbox.
    pub inbox_id: Uuid,
    /// Its conversion, if it was received before and is matched.
    pub conversion_id: Option<Uuid>,
    /// False if this body was received before.
    pub is_new: bool,
    /// The source that reported the deal first.
    pub source: String,
}

/// What to lock before a report on this deal is applied: the deal, and the person it names.
#[must_use]
pub fn locks_of(deal: &Deal) -> Locks {
    let emails: Vec<_> = deal.email.iter().chain(&deal.other_emails).map(Email::hash).collect();
    let phone = deal.phone.as_ref().and_then(|phone| phone.hash().ok());
    Locks::of_deal(&deal.crm_deal_id).and(Locks::of_person(emails.iter().chain(phone)))
}

/// Stores a deal in the inbox, once per deal and type. `reported_at` is when the report arrived, which may be long
/// before `now`. The caller must hold the locks of [`locks_of`].
///
/// If a deal is reported again, the newest report counts: by the CRM's `updated_at`, else by arrival. A body that was
/// received before changes nothing, and what a report leaves out (value, time, person) stays as it is. Once the deal
/// is matched, its lead doesn't change.
pub async fn receive(
    tx: &mut Tx,
    deal: &Deal,
    reported_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Received, DbError> {
    let person = Person::of(deal);
    let as_of = deal.updated_at.unwrap_or(reported_at);
    let row = sqlx::query_as!(
        Standing,
        r#"-- inbox::receive
        insert into public.inbox as i (
            source, crm_deal_id, conversion_type, value, currency, occurred_at, lead_id,
            email_hash, email_hash_google, other_email_hashes, phone_hash, payload_hash, received_at,
            reported_at, person_reported_at
        )
        values ($1, $2, $3, $4::float8, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        on conflict (crm_deal_id, conversion_type) do update set deliveries = i.deliveries + 1
        returning
            id, conversion_id, source, deliveries > 1 as "is_again!", state, value is not null as "has_value!",
            coalesce(reported_at, received_at) as "value_as_of!", person_reported_at as person_as_of,
            attached_at is not null as "is_attached!""#,
        deal.source,
        deal.crm_deal_id,
        deal.conversion_type as ConversionType,
        deal.money.as_ref().map(Money::value),
        deal.money.as_ref().map(Money::currency),
        deal.occurred_at.or(deal.event_at).unwrap_or(reported_at),
        deal.lead_id,
        person.email_hash,
        person.email_hash_google,
        &person.other_email_hashes,
        person.phone_hash,
        deal.payload_hash.as_str(),
        now,
        as_of,
        person.is_named(deal).then_some(as_of),
    )
    .fetch_one(&mut *tx)
    .await?;
    let is_new = note_report(tx, row.id, deal, reported_at, now).await?;
    if row.is_again && is_new {
        if row.takes_value(deal, as_of) {
            update_value(tx, row.id, deal, as_of).await?;
        }
        if row.takes_person(person.is_named(deal), as_of) {
            update_person(tx, row.id, deal, &person, as_of).await?;
        }
        settle_times(tx, &deal.crm_deal_id).await?;
    }
    if row.state == "expired" {
        // An expired deal that is reported again is matched again.
        matching::wait_again(tx, row.id, now).await?;
    }
    Ok(Received { inbox_id: row.id, conversion_id: row.conversion_id, is_new, source: row.source })
}

/// What is stored about a deal before a report on it is applied.
struct Standing {
    id: Uuid,
    conversion_id: Option<Uuid>,
    source: String,
    is_again: bool,
    state: String,
    has_value: bool,
    /// When its value was reported.
    value_as_of: DateTime<Utc>,
    /// When its person was reported; none if no report named one.
    person_as_of: Option<DateTime<Utc>>,
    /// Did the operator assign it to a lead?
    is_attached: bool,
}

impl Standing {
    /// The newest report with a value counts. The first value is accepted whatever its time.
    fn takes_value(&self, deal: &Deal, as_of: DateTime<Utc>) -> bool {
        deal.money.is_some() && (!self.has_value || as_of >= self.value_as_of)
    }

    /// The person doesn't change once the deal is matched, or once the operator assigned it to a lead.
    fn takes_person(&self, is_named: bool, as_of: DateTime<Utc>) -> bool {
        is_named && self.state != "matched" && !self.is_attached && self.person_as_of.is_none_or(|known| as_of >= known)
    }
}

/// The person of a deal, by hashes.
struct Person {
    email_hash: Option<String>,
    email_hash_google: Option<String>,
    other_email_hashes: Vec<String>,
    phone_hash: Option<String>,
}

impl Person {
    fn of(deal: &Deal) -> Self {
        let text = |hash: &Hash| hash.as_str().to_owned();
        Self {
            email_hash: deal.email.as_ref().map(|email| text(&email.hash())),
            email_hash_google: deal.email.as_ref().map(|email| text(&email.google_hash())),
            other_email_hashes: deal.other_emails.iter().map(|email| text(&email.hash())).collect(),
            phone_hash: deal.phone.as_ref().and_then(|phone| phone.hash().ok()).map(text),
        }
    }

    /// Does the report identify a person?
    fn is_named(&self, deal: &Deal) -> bool {
        deal.lead_id.is_some() || self.email_hash.is_some() || self.phone_hash.is_some()
    }
}

/// Stores what a report says about the deal's time. False if the report was received before.
async fn note_report(
    tx: &mut Tx,
    inbox_id: Uuid,
    deal: &Deal,
    reported_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let noted = sqlx::query!(
        "-- inbox::note_report
        insert into public.deal_reports (inbox_id, payload_hash, received_at, stated_at, stated_as_of, noticed_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict do nothing",
        inbox_id,
        deal.payload_hash.as_str(),
        now,
        deal.occurred_at,
        // Without `updated_at` the later time counts: the deal closed again.
        deal.occurred_at.map(|at| deal.updated_at.unwrap_or(at)),
        deal.event_at.or(Some(reported_at)).filter(|_| deal.occurred_at.is_none()),
    )
    .execute(tx)
    .await?;
    Ok(noted.rows_affected() > 0)
}

async fn update_value(tx: &mut Tx, inbox_id: Uuid, deal: &Deal, as_of: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::update_value
        update public.inbox set value = $2::float8, currency = $3, reported_at = $4, payload_hash = $5 where id = $1",
        inbox_id,
        deal.money.as_ref().map(Money::value),
        deal.money.as_ref().map(Money::currency),
        as_of,
        deal.payload_hash.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn update_person(
    tx: &mut Tx,
    inbox_id: Uuid,
    deal: &Deal,
    person: &Person,
    as_of: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::update_person
        update public.inbox
        set lead_id = $2, email_hash = $3, email_hash_google = $4, other_email_hashes = $5, phone_hash = $6,
            person_reported_at = $7, payload_hash = $8
        where id = $1",
        inbox_id,
        deal.lead_id,
        person.email_hash,
        person.email_hash_google,
        &person.other_email_hashes,
        person.phone_hash,
        as_of,
        deal.payload_hash.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Computes the times of a deal's stages from all its reports, independently of their order, and returns the stages
/// that changed. The newest report that states a time counts; if none does, the first event since the deal was lost,
/// else the first event.
pub async fn settle_times(tx: &mut Tx, crm_deal_id: &str) -> Result<Vec<Uuid>, DbError> {
    let changed = sqlx::query_scalar!(
        "-- inbox::settle_times
        with settled as (
            select
                i.id,
                coalesce(
                    (
                        array_agg(r.stated_at order by r.stated_as_of desc, r.stated_at desc)
                            filter (where r.stated_at is not null)
                    )[1],
                    min(r.noticed_at) filter (where r.noticed_at > d.lost_at),
                    min(r.noticed_at)
                ) as at
            from public.inbox i
            join public.deal_reports r on r.inbox_id = i.id
            left join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
            where i.crm_deal_id = $1
            group by i.id
        )
        update public.inbox i set occurred_at = s.at
        from settled s
        where i.id = s.id and i.occurred_at <> s.at
        returning i.id",
        crm_deal_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(changed)
}

/// How long bodies are kept after their deals and events have expired.
const BODIES_OUTLIVE: TimeDelta = TimeDelta::days(7);

/// Expires deals and events that have waited for [`CLICK_COUNTS`]; they stay visible as `expired`. Deletes bodies a
/// week later, and refusals after a week. Returns how many deals and events expired.
pub async fn expire(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    let received_before = now - CLICK_COUNTS;
    let expired = sqlx::query_scalar!(
        r#"-- inbox::expire
        with deals as (
            update public.inbox set state = 'expired'
            where state = 'awaiting_lead' and received_at < $1
            returning id
        ),
        events as (
            update public.inbox_events set state = 'expired', fetch_due_at = null
            where state = 'received' and received_at < $1
            returning id
        ),
        emptied as (
            update public.inbox_receipts set body = null where body is not null and last_received_at < $2
        ),
        forgotten as (
            delete from public.webhook_refusals where hour < $3::timestamptz - interval '7 days 1 hour'
        )
        select (select count(*) from deals) + (select count(*) from events) as "expired!""#,
        received_before,
        received_before - BODIES_OUTLIVE,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(expired).unwrap_or_default())
}
