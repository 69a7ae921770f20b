//! The inbox as a list: deals, and events that never became a deal.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// The state of an entry of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum ListedState {
    /// An event; the CRM is asked for the fields that are missing.
    Received,
    /// A deal whose lead was found.
    Matched,
    /// A deal that waits for its lead.
    AwaitingLead,
    /// An event that no rule turns into a deal.
    Ignored,
    /// An event with invalid fields.
    Rejected,
    /// A deal or event that was not completed within 90 days.
    Expired,
}

crate::db::text_in_sql!(ListedState);

impl ListedState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Matched, Self::AwaitingLead, Self::Ignored, Self::Rejected, Self::Expired];

    /// As in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Matched => "matched",
            Self::AwaitingLead => "awaiting_lead",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A deal, or an event that never became a deal.
#[derive(Debug, Serialize)]
pub struct ListedEntry {
    /// The deal's id in the inbox, or the event's.
    pub id: Uuid,
    /// Its state.
    pub state: ListedState,
    /// The source that sent it.
    pub source: String,
    /// The CRM's id of the deal, when it could be read.
    pub crm_deal_id: Option<String>,
    /// The stage it reached.
    pub conversion_type: Option<String>,
    /// Its value.
    pub value: Option<f64>,
    /// The currency of the value.
    pub currency: Option<String>,
    /// When it arrived first.
    pub received_at: DateTime<Utc>,
    /// How its lead was found, or the reason of its state.
    pub reason: Option<String>,
}

/// Which entries are listed.
#[derive(Clone, Debug)]
pub struct Filter {
    /// In these states; in any if there are none.
    pub states: Vec<ListedState>,
    /// Deals whose lead came from this site. A deal without a lead has none.
    pub site: Option<String>,
    /// Maximum number.
    pub limit: u16,
}

/// The newest entries.
pub async fn newest(tx: &mut Tx, Filter { states, site, limit }: &Filter) -> Result<Vec<ListedEntry>, DbError> {
    let states: Vec<_> = states.iter().map(|state| state.as_str().to_owned()).collect();
    let entries = sqlx::query_as!(
        ListedEntry,
        r#"-- inbox::listing::newest
        select
            id as "id!", state as "state!: ListedState", source as "source!", crm_deal_id, conversion_type, value,
            currency, received_at as "received_at!", reason
        from (
            select
                i.id, i.state, i.source, i.crm_deal_id, i.conversion_type, i.value::float8 as value, i.currency,
                i.received_at, i.conversion_id, i.lead_id,
                case
                    when i.state = 'matched' and i.several_candidates
                        then i.matched_by || ', one of several candidates'
                    when i.state = 'matched' then i.matched_by
                    when coalesce(i.lead_id::text, i.email_hash, i.phone_hash) is null then 'it names no person'
                    else 'no lead with its lead id, e-mail or phone was found yet'
                end as reason
            from public.inbox i
            union all
            select
                e.id, e.state, e.source, e.crm_deal_id, null, null, null, e.received_at, null, null,
                coalesce(e.reason, 'the CRM was not asked for the missing fields yet')
            from public.inbox_events e
            where e.state <> 'taken'
        ) entry
        where (cardinality($1::text[]) = 0 or state = any($1))
            and (
                $3::text is null
                or $3 = coalesce(
                    (select c.site from public.conversions c where c.id = conversion_id),
                    (select l.site::text from public.leads l where l.id = lead_id)
                )
            )
        order by received_at desc, id
        limit $2"#,
        &states,
        i64::from(*limit),
        site.as_deref(),
    )
    .fetch_all(tx)
    .await?;
    Ok(entries)
}

/// What one source sent in the last seven days.
#[derive(Debug, Serialize)]
pub struct Traffic {
    /// The source.
    pub source: String,
    /// Number of events.
    pub events: i64,
    /// How many of them were rejected.
    pub rejected: i64,
    /// How many of them no rule knew, or one ignores.
    pub ignored: i64,
    /// When the last one arrived.
    pub last_at: Option<DateTime<Utc>>,
}

/// What each source sent in the last seven days.
pub async fn traffic(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Traffic>, DbError> {
    let traffic = sqlx::query_as!(
        Traffic,
        r#"-- inbox::listing::traffic
        select
            source, count(*) as "events!", count(*) filter (where state = 'rejected') as "rejected!",
            count(*) filter (where state = 'ignored') as "ignored!", max(received_at) as last_at
        from public.inbox_events
        where received_at > $1::timestamptz - interval '7 days'
        group by source"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(traffic)
}
