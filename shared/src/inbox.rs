//! The inbox: every deal the CRM reported, whether or not its lead is known yet, and the search for that lead.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::conversions::{ConversionType, MatchedBy};
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
    /// When it reached the stage.
    pub occurred_at: DateTime<Utc>,
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
#[derive(Debug)]
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

/// Where a deal stands after it was received.
#[derive(Debug)]
pub struct Received {
    /// Its place in the inbox.
    pub inbox_id: Uuid,
    /// The conversion it became, when it was received before and has found its lead.
    pub conversion_id: Option<Uuid>,
    /// Was this body never received before?
    pub is_new: bool,
}

/// Puts a deal into the inbox, once per deal and type, and holds back leads of the same person and other reports of the
/// deal until the transaction ends.
///
/// Of a deal reported again, the newest report stands: by the CRM's `updated_at`, else by arrival. A body received before
/// says nothing new, and a report without a value leaves the value as it is. Once the deal has found its lead, only its
/// value can change.
///
/// # Errors
/// Those of the database.
pub async fn receive(tx: &mut Tx, deal: &Deal, now: DateTime<Utc>) -> Result<Received, DbError> {
    let email_hash = deal.email.as_ref().map(Email::hash);
    let phone_hash = deal.phone.as_ref().and_then(|phone| phone.hash().ok());
    let locks = Locks::of_person(email_hash.as_ref(), phone_hash).and(Locks::of_deal(&deal.crm_deal_id));
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
                email_hash, email_hash_google, phone_hash, payload_hash, received_at, reported_at
            )
            select 'crm-conversion', $2, $3, $4::float8, $5, $6, $7, $8, $9, $10, $11, $12, $13 from gate
            on conflict (crm_deal_id, conversion_type) do update
            set deliveries = i.deliveries + 1,
                -- A deal that was given up and is reported again gets another look.
                state = case when i.state = 'expired' then 'awaiting_lead' else i.state end,
                received_at = case when i.state = 'expired' then excluded.received_at else i.received_at end,
                (
                    value, currency, reported_at, occurred_at, lead_id, email_hash, email_hash_google, phone_hash,
                    payload_hash
                ) = (
                    select worth.value, worth.currency, worth.reported_at, person.*
                    from (
                        select
                            excluded.reported_at >= coalesce(i.reported_at, i.received_at) as is_newest,
                            not exists (
                                select from public.deal_reports r
                                where r.inbox_id = i.id and r.payload_hash = excluded.payload_hash
                            ) as is_new
                    ) it,
                    -- No value is no news, and any value is news where there is none.
                    lateral (
                        select is_new and excluded.value is not null and (is_newest or i.value is null) as is_worth,
                            -- Once the lead is found, who it was and when is settled.
                            is_new and is_newest and i.state <> 'matched' as is_person
                    ) says,
                    lateral (
                        select excluded.value, excluded.currency, excluded.reported_at where is_worth
                        union all
                        select i.value, i.currency, i.reported_at where not is_worth
                    ) worth (value, currency, reported_at),
                    lateral (
                        select
                            excluded.occurred_at, excluded.lead_id, excluded.email_hash, excluded.email_hash_google,
                            excluded.phone_hash, excluded.payload_hash
                        where is_person
                        union all
                        select i.occurred_at, i.lead_id, i.email_hash, i.email_hash_google, i.phone_hash, i.payload_hash
                        where not is_person
                    ) person
                )
            returning id, conversion_id
        ),
        report as (
            insert into public.deal_reports (inbox_id, payload_hash, received_at)
            select id, $11, $12 from received
            on conflict do nothing
            returning inbox_id
        )
        select id as "id!", conversion_id, exists (select from report) as "is_new!" from received"#,
        &locks.keys,
        deal.crm_deal_id,
        deal.conversion_type as ConversionType,
        deal.money.as_ref().map(Money::value),
        deal.money.as_ref().map(Money::currency),
        deal.occurred_at,
        deal.lead_id,
        email_hash.as_ref().map(Hash::as_str),
        deal.email.as_ref().map(|email| email.google_hash().as_str().to_owned()),
        phone_hash.map(Hash::as_str),
        deal.payload_hash.as_str(),
        now,
        deal.updated_at.unwrap_or(now),
    )
    .fetch_one(tx)
    .await?;
    Ok(Received { inbox_id: row.id, conversion_id: row.conversion_id, is_new: row.is_new })
}

/// Which waiting deals to look at.
#[derive(Clone, Copy, Debug)]
pub enum Waiting<'a> {
    /// This one.
    Deal(Uuid),
    /// Those of this person.
    Of(&'a Email, Option<&'a Phone>),
    /// Any, the longest waiting first, at most so many.
    Any(u16),
}

/// A waiting deal and the lead it belongs to.
#[derive(Debug)]
pub struct Match {
    /// The deal's place in the inbox.
    pub inbox_id: Uuid,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The stage it reached.
    pub conversion_type: ConversionType,
    /// When it reached the stage.
    pub occurred_at: DateTime<Utc>,
    /// Its lead.
    pub lead_id: Uuid,
    /// The rule that found the lead.
    pub matched_by: MatchedBy,
    /// When the lead's click happened.
    pub click_at: Option<DateTime<Utc>>,
    /// Has the lead a click id?
    pub has_click_id: bool,
    /// Has the lead or the deal a hashed e-mail or phone?
    pub has_user_data: bool,
    /// When the lead filled in the form.
    pub lead_at: DateTime<Utc>,
    /// May its data be sent to Google for advertising?
    pub ad_user_data: crate::consent::ConsentStatus,
}

/// Finds the leads of waiting deals and locks those deals; one that somebody else is working on is left to them.
///
/// A lead is found by our own id, else by e-mail, else by phone. Among several: the newest from before the deal that
/// has a click id, else the newest from before the deal, else the first from after it.
///
/// # Errors
/// Those of the database.
pub async fn find_leads(tx: &mut Tx, waiting: Waiting<'_>) -> Result<Vec<Match>, DbError> {
    let (deal, email_hash, phone_hash, limit) = match waiting {
        Waiting::Deal(id) => (Some(id), None, None, 1),
        Waiting::Of(email, phone) => (None, Some(email.hash()), phone.and_then(|phone| phone.hash().ok()), i64::MAX),
        Waiting::Any(limit) => (None, None, None, limit.into()),
    };
    let matches = sqlx::query_as!(
        Match,
        r#"-- inbox::find_leads
        select
            i.id as inbox_id, i.crm_deal_id, i.conversion_type as "conversion_type: ConversionType", i.occurred_at,
            l.id as lead_id, l.matched_by as "matched_by!: MatchedBy",
            l.click_at, l.has_click_id as "has_click_id!",
            coalesce(l.email_hash, l.phone_hash, i.email_hash, i.phone_hash) is not null as "has_user_data!",
            coalesce(l.created_at, i.received_at) as "lead_at!",
            l.ad_user_data as "ad_user_data: crate::consent::ConsentStatus"
        from public.inbox i
        cross join lateral (
            select
                l.id, l.click_at, l.email_hash, l.phone_hash, l.created_at, l.ad_user_data, known.matched_by,
                -- The site may have had a column of this name, with whatever in it.
                coalesce(l.gclid, '') ~ '^[A-Za-z0-9_-]+$' or coalesce(l.gbraid, '') ~ '^[A-Za-z0-9_-]+$'
                    or coalesce(l.wbraid, '') ~ '^[A-Za-z0-9_-]+$' as has_click_id
            -- One look-up in one index each: an "or" of all three is a scan of all leads when a phone is shared by many.
            from (
                select id, 'lead_id' as matched_by, 1 as rank from public.leads where id = i.lead_id
                union all
                select id, 'email', 2 from public.leads where email_hash = i.email_hash
                union all
                select id, 'phone', 3 from public.leads where phone_hash = i.phone_hash
            ) known
            join public.leads l on l.id = known.id
            order by
                known.rank,
                coalesce(l.created_at <= i.occurred_at, false) desc,
                has_click_id desc,
                case when l.created_at <= i.occurred_at then l.created_at end desc nulls last,
                l.created_at
            limit 1
        ) l
        where i.state = 'awaiting_lead'
            and ($1::uuid is null or i.id = $1)
            and ($2::text is null or i.email_hash = $2 or i.phone_hash = $3)
        order by i.received_at
        limit $4
        for update of i skip locked"#,
        deal,
        email_hash.as_ref().map(Hash::as_str),
        phone_hash.map(Hash::as_str),
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(matches)
}

/// Gives up on deals that have waited 90 days: no click would still count. They stay visible as `expired`.
///
/// # Errors
/// Those of the database.
pub async fn expire(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "-- inbox::expire
        update public.inbox set state = 'expired'
        where state = 'awaiting_lead' and received_at < $1::timestamptz - interval '90 days'",
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
