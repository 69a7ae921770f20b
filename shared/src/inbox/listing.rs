//! The inbox as the operator sees it: deals, and events that never became one.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// Where something in the inbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum State {
    /// The CRM is being asked for what it left out.
    Received,
    /// A deal that found its lead.
    Matched,
    /// A deal that waits for its lead.
    Unmatched,
    /// It means nothing to us.
    Ignored,
    /// It can't be used.
    Rejected,
    /// It waited 90 days in vain.
    Expired,
}

crate::db::text_in_sql!(State);

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Matched, Self::Unmatched, Self::Ignored, Self::Rejected, Self::Expired];

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A deal, or an event that isn't one.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// The deal's place in the inbox, or the event's id.
    pub id: Uuid,
    /// Where it stands.
    pub state: State,
    /// Who sent it.
    pub source: String,
    /// The CRM's id of the deal, when it could be read.
    pub crm_deal_id: Option<String>,
    /// The stage it reached.
    pub conversion_type: Option<String>,
    /// What it is worth.
    pub value: Option<f64>,
    /// In this currency.
    pub currency: Option<String>,
    /// When it came first.
    pub received_at: DateTime<Utc>,
    /// How its lead was found, or why it is where it is.
    pub reason: Option<String>,
}

/// The newest entries in these states, or in any.
pub async fn newest(tx: &mut Tx, states: &[State], limit: u16) -> Result<Vec<Entry>, DbError> {
    let states: Vec<_> = states.iter().map(|state| state.as_str().to_owned()).collect();
    let entries = sqlx::query_as!(
        Entry,
        r#"-- inbox::listing::newest
        select
            id as "id!", state as "state!: State", source as "source!", crm_deal_id, conversion_type, value, currency,
            received_at as "received_at!", reason
        from (
            select
                i.id, case i.state when 'awaiting_lead' then 'unmatched' else i.state end as state, i.source,
                i.crm_deal_id, i.conversion_type, i.value::float8 as value, i.currency, i.received_at,
                case
                    when i.state = 'matched' then i.matched_by
                    when coalesce(i.lead_id::text, i.email_hash, i.phone_hash) is null then 'it names nobody'
                    else 'no lead is known by what it says'
                end as reason
            from public.inbox i
            union all
            select
                e.id, e.state, e.source, e.crm_deal_id, null, null, null, e.received_at,
                coalesce(e.reason, 'the CRM is about to be asked for what it left out')
            from public.inbox_events e
            where e.state <> 'taken'
        ) entry
        where cardinality($1::text[]) = 0 or state = any($1)
        order by received_at desc, id
        limit $2"#,
        &states,
        i64::from(limit),
    )
    .fetch_all(tx)
    .await?;
    Ok(entries)
}

/// Everything that is known of one entry, as it is stored: `deal` (or null), its `events` with the bodies they came in,
/// `conversion`, `queue` and `lead`. Named by the id of the deal's place in the inbox or of an event, or by the CRM's id
/// of the deal, which may be several.
pub async fn show(tx: &mut Tx, name: &str) -> Result<Vec<Value>, DbError> {
    let found = sqlx::query_scalar!(
        r#"-- inbox::listing::show
        with event as (
            select id, inbox_id, crm_deal_id from public.inbox_events where id = $2::uuid or crm_deal_id = $1
        ),
        named as (
            select i.id as inbox_id, null::uuid as event_id
            from public.inbox i
            where i.id = $2::uuid or i.crm_deal_id = $1 or i.id in (select inbox_id from event)
                or i.crm_deal_id in (select crm_deal_id from event where inbox_id is null)
            union all
            select null, e.id
            from event e
            where e.inbox_id is null
                and not exists (select from public.inbox i where i.crm_deal_id = e.crm_deal_id)
        )
        select jsonb_build_object(
            'deal', to_jsonb(i),
            'events', (
                select coalesce(jsonb_agg(
                    to_jsonb(e) || jsonb_build_object(
                        'verified_by', r.verified_by, 'verified_with', r.verified_with, 'headers', r.headers,
                        'payload_hash', r.payload_hash, 'body', encode(r.body, 'base64')
                    )
                    order by e.received_at
                ), '[]')
                from public.inbox_events e
                join public.inbox_receipts r on r.id = e.receipt_id
                where e.inbox_id = named.inbox_id or e.id = named.event_id
                    -- A loss is the whole deal's.
                    or (e.inbox_id is null and e.crm_deal_id = i.crm_deal_id)
            ),
            'conversion', to_jsonb(c),
            'lead', jsonb_build_object(
                'id', l.id, 'created_at', l.created_at, 'gclid', l.gclid, 'gbraid', l.gbraid, 'wbraid', l.wbraid,
                'click_at', l.click_at, 'conversion_status', l.conversion_status
            ),
            'queue', (
                select coalesce(jsonb_agg(to_jsonb(q) order by q.created_at), '[]')
                from public.conversion_queue q where q.conversion_id = c.id
            )
        ) as "entry!"
        from named
        left join public.inbox i on i.id = named.inbox_id
        left join public.conversions c on c.id = i.conversion_id
        left join public.leads l on l.id = coalesce(c.lead_id, i.lead_id)
        order by coalesce(i.received_at, 'infinity')"#,
        name,
        Uuid::try_parse(name).ok(),
    )
    .fetch_all(tx)
    .await?;
    Ok(found)
}

/// What one source sent in the last seven days.
#[derive(Debug, Serialize)]
pub struct Traffic {
    /// The source.
    pub source: String,
    /// How many events.
    pub events: i64,
    /// How many of them can't be used.
    pub rejected: i64,
    /// The last of them.
    pub last_at: Option<DateTime<Utc>>,
}

/// What each source sent in the last seven days.
pub async fn traffic(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Traffic>, DbError> {
    let traffic = sqlx::query_as!(
        Traffic,
        r#"-- inbox::listing::traffic
        select
            source, count(*) as "events!", count(*) filter (where state = 'rejected') as "rejected!",
            max(received_at) as last_at
        from public.inbox_events
        where received_at > $1::timestamptz - interval '7 days'
        group by source"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(traffic)
}
