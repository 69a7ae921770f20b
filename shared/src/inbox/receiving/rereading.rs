//! Reads the persons of waiting deals again: a new version of the reading knows more spellings of an address or a
//! number.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Report;
use super::person::Columns;
use crate::db::{DbError, Tx};
use crate::deals::Deal;
use crate::identity::READING;
use crate::inbox::events::Kept;

/// The newest events of a deal that are looked at. More are repetitions.
const EVENTS: i64 = 3;

/// A waiting deal that was read by an earlier version.
#[derive(Debug)]
pub struct ToRead {
    /// Its id in the inbox.
    pub inbox_id: Uuid,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// Its events whose bodies are kept, newest first.
    pub events: Vec<Kept>,
}

/// The next deals to read again, at most `limit` and none with an event of a source in `except`; the longest waiting
/// first.
pub async fn next(tx: &mut Tx, except: &[String], limit: u16) -> Result<Vec<ToRead>, DbError> {
    let deals = sqlx::query!(
        "-- inbox::receiving::rereading::next
        select id, crm_deal_id
        from public.inbox i
        where state = 'awaiting_lead' and reading < $1 and not exists (
            select from public.inbox_events e where e.inbox_id = i.id and e.source = any($2)
        )
        order by received_at, id
        limit $3",
        READING,
        except,
        i64::from(limit),
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<_> = deals.iter().map(|deal| deal.id).collect();
    let mut events = events(tx, &ids).await?;
    let deals = deals.into_iter().map(|deal| ToRead {
        events: events.remove(&deal.id).unwrap_or_default(),
        inbox_id: deal.id,
        crm_deal_id: deal.crm_deal_id,
    });
    Ok(deals.collect())
}

async fn events(tx: &mut Tx, inbox_ids: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<Kept>>, DbError> {
    let rows = sqlx::query!(
        r#"-- inbox::receiving::rereading::events
        select
            deal.id as "inbox_id!", e.id, e.source, e.source_event_id, e.position, r.body, e.received_at,
            e.fetch_failures
        from unnest($1::uuid[]) as deal (id)
        cross join lateral (
            select * from public.inbox_events
            where inbox_id = deal.id and state = 'taken'
            order by received_at desc, id
            limit $2
        ) e
        join public.inbox_receipts r on r.id = e.receipt_id
        where r.body is not null
        order by e.received_at desc, e.id"#,
        inbox_ids,
        EVENTS,
    )
    .fetch_all(tx)
    .await?;
    let mut events: BTreeMap<Uuid, Vec<Kept>> = BTreeMap::new();
    for row in rows {
        events.entry(row.inbox_id).or_default().push(Kept {
            id: row.id,
            source: row.source,
            source_event_id: row.source_event_id,
            position: row.position,
            body: row.body,
            received_at: row.received_at,
            fetch_failures: row.fetch_failures,
            is_taken: false,
        });
    }
    Ok(events)
}

/// The newest of these reports that names a person, each with its arrival.
#[must_use]
pub fn newest(reports: Vec<(Deal, DateTime<Utc>)>) -> Option<(Deal, DateTime<Utc>)> {
    let as_of = |(deal, reported_at): &(Deal, DateTime<Utc>)| {
        let report = Report::of(deal, *reported_at);
        report.names_person().then_some(report.as_of)
    };
    reports.into_iter().filter(|it| as_of(it).is_some()).max_by_key(as_of)
}

/// The person of each deal is that of its report, and none is read again before there is another version. A person whom
/// a newer report named stays, and one whom the operator assigned. The caller holds the locks of the reports.
pub async fn settle(tx: &mut Tx, inbox_ids: &[Uuid], reports: &[(Uuid, &Deal, DateTime<Utc>)]) -> Result<u64, DbError> {
    let (ids, reports): (Vec<_>, Vec<_>) = reports.iter().map(|(id, deal, at)| (*id, Report::of(deal, *at))).unzip();
    let persons = Columns::of(reports.iter());
    let as_of: Vec<_> = reports.iter().map(|it| it.as_of).collect();
    sqlx::query!(
        "-- inbox::receiving::rereading::persons
        update public.inbox i
        set lead_id = d.lead_id, email_hash = d.email_hash, email_hash_google = d.email_hash_google,
            other_email_hashes = string_to_array(d.other_email_hashes, ','), phone_hash = d.phone_hash,
            phone_hash_digits = d.phone_hash_digits, person_reported_at = d.person_reported_at
        from unnest(
            $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]
        ) as d (
            inbox_id, lead_id, email_hash, email_hash_google, other_email_hashes, phone_hash, phone_hash_digits,
            person_reported_at
        )
        where i.id = d.inbox_id and i.state = 'awaiting_lead' and i.attached_at is null
            and (i.person_reported_at is null or i.person_reported_at <= d.person_reported_at)",
        &ids,
        &persons.leads as &[Option<Uuid>],
        &persons.emails as &[Option<&str>],
        &persons.google_emails as &[Option<&str>],
        &persons.other_emails as &[&str],
        &persons.phones as &[Option<&str>],
        &persons.phone_digits as &[Option<&str>],
        &as_of,
    )
    .execute(&mut *tx)
    .await?;
    let read = sqlx::query!(
        "-- inbox::receiving::rereading::settle
        update public.inbox set reading = $1
        where id in (
            select id from public.inbox where id = any($2) and state = 'awaiting_lead' order by id for no key update
        )",
        READING,
        inbox_ids,
    )
    .execute(tx)
    .await?;
    Ok(read.rows_affected())
}
