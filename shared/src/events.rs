//! Events the website reports, named by GA4's rules.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::db::{DbError, Tx};
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
}

/// Stores an event, once per visitor and id. `true` if it was new. `None` if a caller is above its limit: nothing is
/// stored. An unknown visitor is left out.
///
/// A browser may get its cookie between the first call and a retry, or lose it. So a call without a visitor repeats
/// whatever has its id, and a visitor's call repeats the same event that was stored without a visitor.
pub async fn record(tx: &mut Tx, event: &Event, callers: &Callers) -> Result<Option<bool>, DbError> {
    let stored = insert(tx, event, &event.event_id, callers).await?;
    if let (Some(Stored::Apart), Some(visitor)) = (stored, event.visitor_id) {
        let key = visitors::own_key(&event.event_id, visitor);
        // The call is counted.
        return Ok(insert(tx, event, &key, &Callers::default()).await?.map(|stored| stored == Stored::New));
    }
    Ok(stored.map(|stored| stored == Stored::New))
}

/// What was found under a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Nothing before.
    New,
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
        )
        insert into public.tracking_events as e (event_id, event_name, visitor_id, params, page_url, created_at)
        select $1, $2, (select visitor_id from public.visitors where visitor_id = $3), $4, $5, $6
        from call
        where used <= 1
        on conflict (event_id) do update set event_id = excluded.event_id
        returning
            (xmax = 0) as "new!",
            exists (
                select from public.visitors v
                where v.visitor_id = $3
                    and case
                        when e.visitor_id is not null then e.visitor_id <> v.visitor_id
                        else (e.event_name, e.params, e.page_url) is distinct from ($2, $4, $5)
                    end
            ) as "is_apart!""#,
        key,
        event.event_name,
        event.visitor_id.map(|id| id.to_string()),
        event.params,
        event.page_url.as_deref(),
        event.at,
        &callers.sender.keys,
        &callers.sender.limits,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| match (row.new, row.is_apart) {
        (true, _) => Stored::New,
        (false, true) => Stored::Apart,
        (false, false) => Stored::Same,
    }))
}
