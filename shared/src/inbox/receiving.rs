//! Stores reports on deals. The newest of each deal counts.

mod person;
pub mod rereading;
mod updating;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use person::{Columns, Person};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use super::{matching, times};
use crate::attribution::Clicks;
use crate::db::{DbError, Tx};
use crate::deals::Deal;
use crate::identity::READING;
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

/// Stores deals in the inbox, once per deal and type, and returns their states in the same order. No deal may be there
/// twice. Each report has the time of its arrival, which may be long before `now`. The caller must hold the locks of
/// [`super::locks_of`].
///
/// If a deal is reported again, the newest report counts: by the CRM's `updated_at`, else by arrival. A body that was
/// received before changes nothing, and what a report leaves out (value, time, person, a network's click) stays as it
/// is. Once the deal is matched, its lead doesn't change, nor do its clicks; but a deal without a lead that was told by
/// its click takes both, as long as nothing of it was sent.
pub async fn receive(
    tx: &mut Tx,
    deals: &[(&Deal, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> Result<Vec<Received>, DbError> {
    if deals.is_empty() {
        return Ok(Vec::new());
    }
    let reports: Vec<_> = deals.iter().map(|(deal, reported_at)| Report::of(deal, *reported_at)).collect();
    let mut standing = store(tx, &reports, now).await?;
    let known: Vec<_> = reports.iter().filter_map(|it| Some((standing.remove(&it.deal.crm_deal_id)?, it))).collect();
    let again = || known.iter().filter(|(row, _)| row.is_again && row.is_new);
    updating::values(tx, &again().filter(|(row, report)| row.takes_value(report)).collect::<Vec<_>>()).await?;
    updating::persons(tx, &again().filter(|(row, report)| row.takes_person(report)).collect::<Vec<_>>()).await?;
    updating::clicks(tx, &again().filter(|(row, report)| row.takes_clicks(report)).collect::<Vec<_>>()).await?;
    times::settle(tx, &again().map(|(_, report)| report.deal.crm_deal_id.as_str()).collect::<Vec<_>>()).await?;
    // An expired deal that is reported again is matched again.
    let expired: Vec<_> = known.iter().filter(|(row, _)| row.state == "expired").map(|(row, _)| row.id).collect();
    matching::wait_again(tx, &expired, now).await?;
    let received = known.into_iter().map(|(row, _)| Received {
        is_new: row.is_new,
        inbox_id: row.id,
        conversion_id: row.conversion_id,
        source: row.source,
    });
    Ok(received.collect())
}

/// What a report says.
struct Report<'a> {
    deal: &'a Deal,
    person: Person,
    reported_at: DateTime<Utc>,
    /// When what it says was so: the CRM's `updated_at`, else its arrival.
    as_of: DateTime<Utc>,
}

impl<'a> Report<'a> {
    fn of(deal: &'a Deal, reported_at: DateTime<Utc>) -> Self {
        Self { deal, person: Person::of(deal), reported_at, as_of: deal.updated_at.unwrap_or(reported_at) }
    }

    fn value(&self) -> Option<f64> {
        self.deal.money.as_ref().map(Money::value)
    }

    fn currency(&self) -> Option<&'a str> {
        self.deal.money.as_ref().map(Money::currency)
    }

    /// As of when it states the deal's time. Without `updated_at` the later time counts: the deal closed again.
    fn stated_as_of(&self) -> Option<DateTime<Utc>> {
        self.deal.occurred_at.map(|at| self.deal.updated_at.unwrap_or(at))
    }

    /// Is it the CRM, and not its arrival, that says how new it is?
    fn is_crms_word(&self) -> bool {
        self.deal.updated_at.is_some() || self.deal.event_at.is_some()
    }

    /// When its event happened, if it states no time.
    fn noticed_at(&self) -> Option<DateTime<Utc>> {
        self.deal.event_at.or(Some(self.reported_at)).filter(|_| self.deal.occurred_at.is_none())
    }

    /// Does it identify a person?
    fn names_person(&self) -> bool {
        self.deal.lead_id.is_some() || self.person.email_hash.is_some() || self.person.phone_hash.is_some()
    }
}

/// What is stored about a deal before a report on it is applied.
#[expect(clippy::struct_excessive_bools, reason = "a row, column by column")]
struct Standing {
    crm_deal_id: String,
    id: Uuid,
    conversion_id: Option<Uuid>,
    source: String,
    /// False if this body was received before.
    is_new: bool,
    is_again: bool,
    state: String,
    /// Is it a conversion that may have been sent, or whose lead is known?
    is_settled: bool,
    /// When its value was reported; none if no report has one.
    value_as_of: Option<DateTime<Utc>>,
    /// When its person was reported; none if no report named one.
    person_as_of: Option<DateTime<Utc>>,
    /// Did the operator assign it to a lead?
    is_attached: bool,
    clicks: Json<Clicks>,
    /// When its clicks were reported; none if no report has any.
    clicks_as_of: Option<DateTime<Utc>>,
}

impl Standing {
    /// The newest report with a value counts. The first value is accepted whatever its time.
    fn takes_value(&self, report: &Report<'_>) -> bool {
        report.deal.money.is_some() && self.value_as_of.is_none_or(|known| report.as_of >= known)
    }

    /// The person doesn't change once the deal is settled, or once the operator assigned it to a lead.
    fn takes_person(&self, report: &Report<'_>) -> bool {
        report.names_person()
            && !self.is_settled
            && !self.is_attached
            && self.person_as_of.is_none_or(|known| report.as_of >= known)
    }

    /// The clicks don't change once the deal is settled: they are the conversion's.
    fn takes_clicks(&self, report: &Report<'_>) -> bool {
        !report.deal.clicks.is_empty() && !self.is_settled
    }

    /// The clicks with those of the report, and as of when they are. Of each network the newest report with one counts.
    fn clicks_with(&self, report: &Report<'_>) -> (Clicks, DateTime<Utc>) {
        let (known, reported) = (self.clicks.0.clone(), report.deal.clicks.clone());
        match self.clicks_as_of {
            Some(as_of) if as_of > report.as_of => (known.over(reported), as_of),
            _ => (reported.over(known), report.as_of),
        }
    }
}

/// Stores new deals, counts the deliveries of the others, and stores every report once. Returns by deal what is stored.
async fn store(tx: &mut Tx, reports: &[Report<'_>], now: DateTime<Utc>) -> Result<BTreeMap<String, Standing>, DbError> {
    let sources: Vec<_> = reports.iter().map(|it| it.deal.source.as_str()).collect();
    let deals: Vec<_> = reports.iter().map(|it| it.deal.crm_deal_id.as_str()).collect();
    let types: Vec<_> = reports.iter().map(|it| it.deal.conversion_type.as_str()).collect();
    let values: Vec<_> = reports.iter().map(Report::value).collect();
    let currencies: Vec<_> = reports.iter().map(Report::currency).collect();
    let times: Vec<_> =
        reports.iter().map(|it| it.deal.occurred_at.or(it.deal.event_at).unwrap_or(it.reported_at)).collect();
    let persons = Columns::of(reports.iter());
    let payloads: Vec<_> = reports.iter().map(|it| it.deal.payload_hash.as_str()).collect();
    let as_of: Vec<_> = reports.iter().map(|it| it.as_of).collect();
    let person_as_of: Vec<_> = reports.iter().map(|it| it.names_person().then_some(it.as_of)).collect();
    let stated_at: Vec<_> = reports.iter().map(|it| it.deal.occurred_at).collect();
    let stated_as_of: Vec<_> = reports.iter().map(Report::stated_as_of).collect();
    let noticed_at: Vec<_> = reports.iter().map(Report::noticed_at).collect();
    let told_as_of: Vec<_> = reports.iter().map(|it| it.deal.as_of).collect();
    let is_crms_word: Vec<_> = reports.iter().map(Report::is_crms_word).collect();
    let standing = sqlx::query_as!(
        Standing,
        r#"-- inbox::receiving::store
        with stored as (
            insert into public.inbox as i (
                source, crm_deal_id, conversion_type, value, currency, occurred_at, lead_id,
                email_hash, email_hash_google, other_email_hashes, phone_hash, payload_hash, received_at,
                reported_at, person_reported_at, phone_hash_digits, clicks, clicks_reported_at, reading
            )
            select
                d.source, d.crm_deal_id, d.conversion_type, d.value, d.currency, d.occurred_at, d.lead_id,
                d.email_hash, d.email_hash_google, string_to_array(d.other_email_hashes, ','), d.phone_hash,
                d.payload_hash, $15, d.reported_at, d.person_reported_at, d.phone_hash_digits, d.clicks,
                case when d.clicks <> '{}' then d.reported_at end, $23
            from unnest(
                $1::text[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::timestamptz[], $7::uuid[],
                $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[],
                $19::text[], $20::jsonb[]
            ) as d (
                source, crm_deal_id, conversion_type, value, currency, occurred_at, lead_id,
                email_hash, email_hash_google, other_email_hashes, phone_hash, payload_hash, reported_at,
                person_reported_at, phone_hash_digits, clicks
            )
            on conflict (crm_deal_id, conversion_type) do update set deliveries = i.deliveries + 1
            returning *
        ),
        noted as (
            insert into public.deal_reports (
                inbox_id, payload_hash, received_at, stated_at, stated_as_of, noticed_at, as_of, is_crms_word
            )
            select
                s.id, d.payload_hash, d.arrived_at, d.stated_at, d.stated_as_of, d.noticed_at, d.as_of, d.is_crms_word
            from stored s
            join unnest(
                $2::text[], $12::text[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[],
                $21::timestamptz[], $22::boolean[], $24::timestamptz[]
            )
                as d (crm_deal_id, payload_hash, stated_at, stated_as_of, noticed_at, as_of, is_crms_word, arrived_at)
                on d.crm_deal_id = s.crm_deal_id
            on conflict do nothing
            returning inbox_id
        )
        select
            id as "id!", crm_deal_id as "crm_deal_id!", conversion_id, source as "source!",
            id in (select inbox_id from noted) as "is_new!", deliveries > 1 as "is_again!", state as "state!",
            state = 'matched' and (
                matched_by is distinct from 'click' or exists (
                    select from public.conversion_queue q where q.conversion_id = stored.conversion_id and q.claims > 0
                )
            ) as "is_settled!",
            case when value is not null then coalesce(reported_at, received_at) end as value_as_of,
            person_reported_at as person_as_of, attached_at is not null as "is_attached!",
            clicks as "clicks!: Json<Clicks>", clicks_reported_at as clicks_as_of
        from stored"#,
        &sources as &[&str],
        &deals as &[&str],
        &types as &[&str],
        &values as &[Option<f64>],
        &currencies as &[Option<&str>],
        &times,
        &persons.leads as &[Option<Uuid>],
        &persons.emails as &[Option<&str>],
        &persons.google_emails as &[Option<&str>],
        &persons.other_emails as &[&str],
        &persons.phones as &[Option<&str>],
        &payloads as &[&str],
        &as_of,
        &person_as_of as &[Option<DateTime<Utc>>],
        now,
        &stated_at as &[Option<DateTime<Utc>>],
        &stated_as_of as &[Option<DateTime<Utc>>],
        &noticed_at as &[Option<DateTime<Utc>>],
        &persons.phone_digits as &[Option<&str>],
        &reports.iter().map(|it| json!(it.deal.clicks)).collect::<Vec<_>>(),
        &told_as_of,
        &is_crms_word,
        READING,
        &reports.iter().map(|it| it.reported_at).collect::<Vec<_>>(),
    )
    .fetch_all(tx)
    .await?;
    Ok(standing.into_iter().map(|row| (row.crm_deal_id.clone(), row)).collect())
}
