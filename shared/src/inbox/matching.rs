//! The search for the leads of waiting deals.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::attribution::ClickId;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::deals::ConversionType;
use crate::identity::{Email, Hash, Phone};

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
}

crate::db::text_in_sql!(MatchedBy);

/// Which waiting deals to match.
#[derive(Clone, Copy, Debug)]
pub enum Waiting<'a> {
    /// This one.
    Deal(Uuid),
    /// Those of this person.
    OfPerson {
        /// By their address.
        email: &'a Email,
        /// By their number.
        phone: Option<&'a Phone>,
    },
    /// Those after one position, up to another.
    Page(Option<Place>, Place),
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

/// A waiting deal and the lead it belongs to.
#[derive(Debug)]
pub struct Match {
    /// The deal's id in the inbox.
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
    pub ad_user_data: ConsentStatus,
}

/// Finds the leads of waiting deals and locks those deals, except deals that another transaction has locked.
///
/// A lead is found by our own id (assigned by the operator, or sent by the CRM), else by any address it ever had,
/// else by phone, else by what another stage of the same deal was matched to. Among several: the newest from before the
/// deal that has a click id, else the newest from before the deal, else the first from after it.
pub async fn find_leads(tx: &mut Tx, waiting: Waiting<'_>) -> Result<Vec<Match>, DbError> {
    let (deal, email_hash, phone_hash, after, until) = match waiting {
        Waiting::Deal(id) => (Some(id), None, None, None, None),
        Waiting::OfPerson { email, phone } => {
            (None, Some(email.hash()), phone.and_then(|phone| phone.hash().ok()), None, None)
        }
        Waiting::Page(after, until) => (None, None, None, after, Some(until)),
    };
    let matches = sqlx::query_as!(
        Match,
        r#"-- inbox::matching::find_leads
        select
            i.id as inbox_id, i.crm_deal_id, i.conversion_type as "conversion_type: ConversionType", i.occurred_at,
            l.id as lead_id, l.matched_by as "matched_by!: MatchedBy",
            l.click_at, l.has_click_id as "has_click_id!",
            coalesce(l.email_hash, l.phone_hash, i.email_hash, i.phone_hash) is not null as "has_user_data!",
            coalesce(l.created_at, i.received_at) as "lead_at!",
            l.ad_user_data as "ad_user_data: ConsentStatus"
        from public.inbox i
        cross join lateral (
            select
                l.id, l.click_at, l.email_hash, l.phone_hash, l.created_at, l.ad_user_data, known.matched_by,
                -- The site may have had columns of these names, with whatever in them.
                exists (
                    select from unnest(array[l.gclid, l.gbraid, l.wbraid]) as id
                    where id ~ $8 and length(id) <= $9
                ) as has_click_id
            -- One look-up in one index each: an "or" of all is a scan of all leads when a phone is shared by many.
            from (
                select id, case when i.attached_at is null then 'lead_id' else 'manual' end as matched_by, 1 as rank
                from public.leads where id = i.lead_id
                union all
                select lead_id, 'email', 2 from public.lead_emails where email_hash = i.email_hash
                union all
                select lead_id, 'email', 3 from public.lead_emails where email_hash = any(i.other_email_hashes)
                union all
                select id, 'phone', 4 from public.leads where phone_hash = i.phone_hash
                union all
                select lead_id, 'deal', 5 from public.conversions
                where idempotency_key in (i.crm_deal_id || ':qualified', i.crm_deal_id || ':closed')
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
            and ($2::text is null or i.email_hash = $2 or i.phone_hash = $3 or i.other_email_hashes @> array[$2])
            and ($4::timestamptz is null or (i.received_at, i.id) > ($4, $5::uuid))
            and ($6::timestamptz is null or (i.received_at, i.id) <= ($6, $7::uuid))
        order by i.received_at, i.id
        for update of i skip locked"#,
        deal,
        email_hash.as_ref().map(Hash::as_str),
        phone_hash.map(Hash::as_str),
        after.map(|place| place.received_at),
        after.map(|place| place.id),
        until.map(|place| place.received_at),
        until.map(|place| place.id),
        ClickId::PATTERN,
        ClickId::LIMIT,
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
        set lead_id = l.id, attached_at = $3, state = 'awaiting_lead'
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

/// Gives an expired deal another 90 days. False when it isn't expired.
pub async fn wait_again(tx: &mut Tx, inbox_id: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "-- inbox::matching::wait_again
        update public.inbox set state = 'awaiting_lead', received_at = $2 where id = $1 and state = 'expired'",
        inbox_id,
        now,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
