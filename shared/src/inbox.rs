//! The inbox: every deal the CRM reported, whether or not its lead is known yet.

pub mod entry;
pub mod events;
pub mod listing;
pub mod matching;
pub mod refusals;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::conversions::ConversionType;
use crate::db::{DbError, Tx};
use crate::identity::{Email, Hash, Phone};
use crate::money::Money;

/// A deal as the CRM reported it.
#[derive(Debug)]
pub struct Deal {
    /// The source that reported it.
    pub source: String,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The stage it reached.
    pub conversion_type: ConversionType,
    /// What it is worth.
    pub money: Option<Money>,
    /// When it reached the stage, as the deal says.
    pub occurred_at: Option<DateTime<Utc>>,
    /// When the CRM noticed something about it: the stage was reached then or before.
    pub event_at: Option<DateTime<Utc>>,
    /// Our id of the lead, when the CRM echoes it.
    pub lead_id: Option<Uuid>,
    /// The person's address.
    pub email: Option<Email>,
    /// Further addresses of the person, when the CRM knows several.
    pub other_emails: Vec<Email>,
    /// The person's number.
    pub phone: Option<Phone>,
    /// When the CRM last changed it; of several reports the newest counts.
    pub updated_at: Option<DateTime<Utc>>,
    /// SHA-256 of what was sent, or of the sender's id of the event: the same once more says nothing new.
    pub payload_hash: Hash,
}

/// Locks until the transaction ends, on a person and a deal, named by hash. Reports that belong together and arrive at the
/// same moment take the same locks, so that the second of them sees the first.
#[derive(Debug, Default)]
pub struct Locks {
    /// Sorted, so that nobody waits in a circle.
    pub(crate) keys: Vec<i64>,
}

impl Locks {
    /// On the person of these hashes: a lead and its deal.
    #[must_use]
    pub fn of_person(email_hash: Option<&Hash>, phone_hash: Option<&Hash>) -> Self {
        Self::of([email_hash, phone_hash].into_iter().flatten().map(Hash::as_str))
    }

    /// On everything a report is about.
    #[must_use]
    pub fn of_report(deal: &Deal) -> Self {
        let emails: Vec<_> = deal.email.iter().chain(&deal.other_emails).map(Email::hash).collect();
        let phone = deal.phone.as_ref().and_then(|phone| phone.hash().ok());
        Self::of(emails.iter().chain(phone).map(Hash::as_str)).and(Self::of_deal(&deal.crm_deal_id))
    }

    /// On a deal: its closing and its loss.
    #[must_use]
    pub fn of_deal(crm_deal_id: &str) -> Self {
        Self::of([format!("deal:{crm_deal_id}").as_str()])
    }

    /// On both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self.keys.sort_unstable();
        self
    }

    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let key = |name| Sha256::digest(name).iter().take(8).fold(0_i64, |key, byte| key << 8 | i64::from(*byte));
        let mut keys: Vec<_> = names.into_iter().map(key).collect();
        keys.sort_unstable();
        Self { keys }
    }
}

/// Takes these locks.
///
/// # Errors
/// Those of the database.
pub async fn lock(tx: &mut Tx, locks: &Locks) -> Result<(), DbError> {
    sqlx::query!("-- inbox::lock\nselect pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key", &locks.keys)
        .execute(tx)
        .await?;
    Ok(())
}

/// Where a deal stands after it was received.
#[derive(Debug)]
pub struct Received {
    /// Its place in the inbox.
    pub inbox_id: Uuid,
    /// The conversion it became, when it was received before and has found its lead.
    pub conversion_id: Option<Uuid>,
    /// Was this body never received before?
    pub is_new: bool,
    /// The source that reported the deal first.
    pub source: String,
}

/// Puts a deal into the inbox, once per deal and type, and holds back leads of the same person and other reports of the
/// deal until the transaction ends. `reported_at` is when it came, which may be long before `now`.
///
/// Of a deal reported again, the newest report stands: by the CRM's `updated_at`, else by arrival. What was received
/// before says nothing new, and what a report leaves out (its value, its time, its person) stays as it is. Once the deal
/// has found its lead, that doesn't change any more.
///
/// # Errors
/// Those of the database.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn receive(
    tx: &mut Tx,
    deal: &Deal,
    reported_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Received, DbError> {
    let email_hash = deal.email.as_ref().map(Email::hash);
    let phone_hash = deal.phone.as_ref().and_then(|phone| phone.hash().ok());
    let other_email_hashes: Vec<_> = deal.other_emails.iter().map(|email| email.hash().as_str().to_owned()).collect();
    let row = sqlx::query!(
        r#"-- inbox::receive
        with locked as materialized (
            select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key
        ),
        -- The insert reads the gate, so the locks are taken first: whoever waits for one holds nothing.
        gate as materialized (
            select count(*) from locked
        ),
        received as (
            insert into public.inbox as i (
                source, crm_deal_id, conversion_type, value, currency, occurred_at, lead_id,
                email_hash, email_hash_google, other_email_hashes, phone_hash, payload_hash, received_at,
                reported_at, person_reported_at
            )
            select
                $2, $3, $4, $5::float8, $6, coalesce($7::timestamptz, $16::timestamptz, $18::timestamptz), $8::uuid, $9, $10, $11, $12, $13, $14,
                $15::timestamptz,
                case when coalesce($8::text, $9, $12) is not null then $15 end
            from gate
            on conflict (crm_deal_id, conversion_type) do update
            set deliveries = i.deliveries + 1,
                -- A deal that was given up and is reported again gets another look.
                state = case when i.state = 'expired' then 'awaiting_lead' else i.state end,
                received_at = case when i.state = 'expired' then excluded.received_at else i.received_at end,
                (
                    payload_hash, value, currency, reported_at, lead_id, email_hash, email_hash_google,
                    other_email_hashes, phone_hash, person_reported_at
                ) = (
                    select case when is_new then excluded.payload_hash else i.payload_hash end, worth.*, person.*
                    from (
                        select not exists (
                            select from public.deal_reports r
                            where r.inbox_id = i.id and r.payload_hash = excluded.payload_hash
                        ) as is_new
                    ) it,
                    -- Each by the newest report that says it; what is said for the first time is always news.
                    lateral (
                        select
                            is_new and excluded.value is not null
                                and (i.value is null or excluded.reported_at >= coalesce(i.reported_at, i.received_at))
                                as is_worth,
                            -- Once the lead is found, who it was is settled; so it is by the operator's word.
                            is_new and i.state <> 'matched' and i.attached_at is null
                                and excluded.person_reported_at >= coalesce(i.person_reported_at, '-infinity') as is_person
                    ) says,
                    lateral (
                        select excluded.value, excluded.currency, excluded.reported_at where is_worth
                        union all
                        select i.value, i.currency, i.reported_at where not is_worth
                    ) worth,
                    lateral (
                        select
                            excluded.lead_id, excluded.email_hash, excluded.email_hash_google,
                            excluded.other_email_hashes, excluded.phone_hash, excluded.person_reported_at
                        where is_person
                        union all
                        select
                            i.lead_id, i.email_hash, i.email_hash_google, i.other_email_hashes, i.phone_hash,
                            i.person_reported_at
                        where is_person is not true
                    ) person
                )
            returning id, conversion_id, source, deliveries
        ),
        report as (
            insert into public.deal_reports (inbox_id, payload_hash, received_at, stated_at, stated_as_of, noticed_at)
            select id, $13, $14, $7, $17, case when $7 is null then coalesce($16, $18) end from received
            on conflict do nothing
            returning inbox_id
        )
        select
            id as "id!", conversion_id, exists (select from report) as "is_new!", source as "source!",
            deliveries > 1 as "is_again!"
        from received"#,
        &Locks::of_report(deal).keys,
        deal.source,
        deal.crm_deal_id,
        deal.conversion_type as ConversionType,
        deal.money.as_ref().map(Money::value),
        deal.money.as_ref().map(Money::currency),
        deal.occurred_at,
        deal.lead_id,
        email_hash.as_ref().map(Hash::as_str),
        deal.email.as_ref().map(|email| email.google_hash().as_str().to_owned()),
        &other_email_hashes,
        phone_hash.map(Hash::as_str),
        deal.payload_hash.as_str(),
        now,
        deal.updated_at.unwrap_or(reported_at),
        deal.event_at,
        // A time that isn't said to be a correction counts if it is later: the deal closed again.
        deal.occurred_at.map(|at| deal.updated_at.unwrap_or(at)),
        reported_at,
    )
    .fetch_one(&mut *tx)
    .await?;
    if row.is_new && row.is_again {
        settle_times(tx, &deal.crm_deal_id).await?;
    }
    Ok(Received { inbox_id: row.id, conversion_id: row.conversion_id, is_new: row.is_new, source: row.source })
}

/// Brings the times of a deal's stages in line with all that was reported of them, in whatever order, and answers which
/// changed. The newest report that says when counts; where none does, the first that was noticed since the deal was lost,
/// else the first of all.
///
/// # Errors
/// Those of the database.
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

/// Gives up on what has waited 90 days, because no click would still count; it stays visible as `expired`. Empties bodies
/// a week after that, and forgets refusals after a week. Answers how many deals and events were given up.
///
/// # Errors
/// Those of the database.
pub async fn expire(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    let expired = sqlx::query_scalar!(
        r#"-- inbox::expire
        with deals as (
            update public.inbox set state = 'expired'
            where state = 'awaiting_lead' and received_at < $1::timestamptz - interval '90 days'
            returning id
        ),
        events as (
            update public.inbox_events set state = 'expired', fetch_due_at = null
            where state = 'received' and received_at < $1::timestamptz - interval '90 days'
            returning id
        ),
        emptied as (
            update public.inbox_receipts set body = null
            where body is not null and last_received_at < $1::timestamptz - interval '97 days'
        ),
        forgotten as (
            delete from public.webhook_refusals where hour < $1::timestamptz - interval '7 days 1 hour'
        )
        select (select count(*) from deals) + (select count(*) from events) as "expired!""#,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(expired).unwrap_or_default())
}
