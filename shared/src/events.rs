//! Events the website reports, named by GA4's rules.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::consent::{Consent, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::identity::ClientId;
use crate::rate_limits::Callers;
use crate::visitors::{self, VisitorId};

/// The most parameters of an event (GA4 Measurement Protocol, "Limitations").
pub const PARAM_LIMIT: usize = 25;

/// A name of an event or of a parameter: a letter, then letters, digits and underscores, at most 40 in all.
///
/// # Errors
/// The rule.
pub fn name(text: &str) -> Result<String, String> {
    let known = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let starts = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts && text.len() <= 40 && text.bytes().all(known) {
        Ok(text.into())
    } else {
        Err("must start with a letter and have at most 40 letters, digits and underscores, such as generate_lead"
            .into())
    }
}

/// The parameters of an event: an object of at most 25, each named by [`name`].
///
/// # Errors
/// The rule.
pub fn params(value: &Value) -> Result<Value, String> {
    let object = value.as_object().ok_or("must be an object")?;
    if object.len() > PARAM_LIMIT {
        return Err(format!("must have at most {PARAM_LIMIT} parameters"));
    }
    match object.keys().find(|key| name(key).is_err()) {
        Some(_) => Err("has a parameter whose name doesn't start with a letter or isn't at most 40 letters, digits and underscores".into()),
        None => Ok(value.clone()),
    }
}

/// Who sends an event to Google Analytics, if it isn't the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Encode)]
#[sqlx(rename_all = "snake_case")]
pub enum SentBy {
    /// Google's tag on the page.
    Gtag,
}

crate::db::text_in_sql!(SentBy);

impl SentBy {
    /// # Errors
    /// The value allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "gtag" {
            Ok(Self::Gtag)
        } else {
            Err("must be gtag, or be left out if the server is to send the event".into())
        }
    }
}

/// What is to be sent to analytics with an event. Kept only until it is sent.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// The names of the destinations; none if it isn't sent.
    pub destinations: Vec<String>,
    /// Of Google's tag. Without it the visitor's id stands for it.
    pub client_id: Option<ClientId>,
    /// The session in each of its streams, by the measurement id.
    pub sessions: Map<String, Value>,
    pub user_agent: Option<String>,
}

/// An event as it was reported.
#[derive(Debug)]
pub struct Event {
    /// Shared with the browser's own tag.
    pub event_id: String,
    /// Its name.
    pub event_name: String,
    /// Whose it is, if the cookie says so.
    pub visitor_id: Option<VisitorId>,
    /// Its parameters.
    pub params: Value,
    /// The page it happened on.
    pub page_url: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    pub sent_by: Option<SentBy>,
    pub analytics_storage: ConsentStatus,
    pub consent: Consent,
    pub outgoing: Outgoing,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    pub is_new: bool,
    /// Does it wait to be sent to analytics?
    pub is_queued: bool,
}

/// Stores an event, once per visitor and id. If it is new and its browser can be named, it is queued for its
/// destinations. `None` if a caller is above its limit: nothing is stored. An unknown visitor is left out.
///
/// A browser may get its cookie between the first call and a retry, or lose it. So a call without a visitor repeats
/// whatever has its id, and a visitor's call repeats the same event that was stored without a visitor.
pub async fn record(tx: &mut Tx, event: &Event, callers: &Callers) -> Result<Option<RecordedEvent>, DbError> {
    let stored = insert(tx, event, &event.event_id, callers).await?;
    let stored = match (stored, event.visitor_id) {
        (Some(Stored::Apart), Some(visitor)) => {
            let key = visitors::own_key(&event.event_id, visitor);
            // The call is counted.
            insert(tx, event, &key, &Callers::default()).await?
        }
        _ => stored,
    };
    Ok(stored.map(|stored| RecordedEvent {
        is_new: matches!(stored, Stored::New { .. }),
        is_queued: stored == Stored::New { is_queued: true },
    }))
}

/// What was found under a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Nothing before.
    New { is_queued: bool },
    /// The same event.
    Same,
    /// An event that isn't this visitor's.
    Apart,
}

async fn insert(tx: &mut Tx, event: &Event, key: &str, callers: &Callers) -> Result<Option<Stored>, DbError> {
    let row = sqlx::query!(
        r#"-- events::insert
        with call as materialized (
            select public.count_call($7, $8, 1, $6) as used
        ),
        sender as materialized (
            select
                id,
                cardinality($16::text[]) > 0 and coalesce($13, id) is not null and not public.is_of_bot(id) as is_sent
            from (select (select visitor_id from public.visitors where visitor_id = $3) as id) as known
        ),
        stored as (
            insert into public.tracking_events as e (
                event_id, event_name, visitor_id, params, page_url, created_at, sent_by, analytics_storage,
                ad_user_data, ad_personalization, ga_client_id, ga_sessions, user_agent
            )
            select
                $1, $2, id, $4, $5, $6, $9, $10, $11, $12,
                case when is_sent then $13 end, case when is_sent then $14::jsonb else '{}' end,
                case when is_sent then $15 end
            from call
            cross join sender
            where used <= 1
            on conflict (event_id) do update set event_id = excluded.event_id
            returning
                id, (xmax = 0) as is_new,
                exists (
                    select from public.visitors v
                    where v.visitor_id = $3
                        and case
                            when e.visitor_id is not null then e.visitor_id <> v.visitor_id
                            else (e.event_name, e.params, e.page_url) is distinct from ($2, $4, $5)
                        end
                ) as is_apart
        ),
        queued as (
            insert into public.event_queue (event, destination, created_at)
            select stored.id, destination, $6
            from stored
            cross join sender
            cross join unnest($16::text[]) as destination
            where is_new and is_sent
            returning event
        )
        select is_new as "is_new!", is_apart as "is_apart!", exists (select from queued) as "is_queued!"
        from stored"#,
        key,
        event.event_name,
        event.visitor_id.map(|id| id.to_string()),
        event.params,
        event.page_url.as_deref(),
        event.at,
        &callers.sender.keys,
        &callers.sender.limits,
        event.sent_by as Option<SentBy>,
        event.analytics_storage as ConsentStatus,
        event.consent.ad_user_data as ConsentStatus,
        event.consent.ad_personalization as ConsentStatus,
        event.outgoing.client_id.as_ref().map(ClientId::as_str),
        Value::Object(event.outgoing.sessions.clone()),
        event.outgoing.user_agent.as_deref(),
        &event.outgoing.destinations,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| match (row.is_new, row.is_apart) {
        (true, _) => Stored::New { is_queued: row.is_queued },
        (false, true) => Stored::Apart,
        (false, false) => Stored::Same,
    }))
}
