//! Events as the Measurement Protocol writes them, each request with those of one client.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::analytics::fitted::{Fitted, Item, Scalar};
use crate::analytics::limits::{LARGEST_BODY, MOST_EVENTS_OF_CLIENT, told_at, too_old};
use crate::analytics::{EventOutcome, EventToSend, Transport};
use crate::consent::ConsentStatus;
use crate::identity::Hash;
use crate::platforms::Reason;

/// What a request has besides its events takes less.
const ROOM_OF_CLIENT: usize = 2_000;

/// Events of one client, and what they share.
pub(super) struct Batch {
    /// Their places in what is sent.
    pub(super) events: Vec<usize>,
    pub(super) body: Value,
}

/// An event in a request.
pub(super) fn written(event: &EventToSend, now: DateTime<Utc>) -> Result<Value, Reason> {
    let mut fitted = Fitted::of(event, Transport::MeasurementProtocol)?;
    loop {
        let written = json!({
            "name": event.name,
            "timestamp_micros": told_at(event.at, now).timestamp_micros(),
            "params": params(&fitted),
        });
        // Beside it stands what is the client's.
        let size = written.to_string().len() + ROOM_OF_CLIENT;
        if size <= LARGEST_BODY || fitted.items.is_empty() {
            return Ok(written);
        }
        let room = fitted.items.len() * LARGEST_BODY / size;
        fitted.items.truncate(room.min(fitted.items.len() - 1));
    }
}

fn params(fitted: &Fitted) -> Map<String, Value> {
    let mut params = Map::new();
    if let Some(id) = fitted.session_id {
        params.insert("session_id".into(), id.to_string().into());
    }
    params.insert("engagement_time_msec".into(), fitted.engagement_time_msec.into());
    let texts =
        [("transaction_id", &fitted.transaction_id), ("currency", &fitted.currency), ("coupon", &fitted.coupon)];
    for (name, text) in texts {
        if let Some(text) = text {
            params.insert(name.into(), text.as_str().into());
        }
    }
    if let Some(value) = fitted.value {
        params.insert("value".into(), json!(value));
    }
    if !fitted.items.is_empty() {
        params.insert("items".into(), fitted.items.iter().map(item).collect());
    }
    params.extend(fitted.others.iter().map(scalar));
    params
}

fn item(item: &Item) -> Value {
    let mut params: Map<String, Value> = item.others.iter().map(scalar).collect();
    let own = [
        ("item_id", item.id.as_deref().map(Value::from)),
        ("quantity", item.quantity.map(Value::from)),
        ("price", item.price.map(|it| json!(it))),
    ];
    params.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    params.into()
}

fn scalar((name, value): &(String, Scalar)) -> (String, Value) {
    let value = match value {
        Scalar::Text(text) => text.as_str().into(),
        Scalar::Number(number) => number.clone().into(),
    };
    (name.clone(), value)
}

/// A request of events of one client. The browser and the address of a person stay here.
pub(super) fn body(of: &EventToSend, events: &[Value]) -> Value {
    let mut body = json!({ "client_id": of.client_id, "events": events });
    let consent = consent(of);
    if !consent.is_empty() {
        body["consent"] = consent.into();
    }
    if of.consent.ad_user_data == ConsentStatus::Granted {
        let hashes = [("sha256_email_address", &of.email_hash_google), ("sha256_phone_number", &of.phone_hash)];
        let user_data: Map<_, _> =
            hashes.into_iter().filter_map(|(name, hash)| Some((name.to_owned(), json!([hash.as_ref()?])))).collect();
        if !user_data.is_empty() {
            body["user_data"] = user_data.into();
        }
    }
    body
}

/// What the person said. What isn't known is left out: then what Google's tag told of the client counts.
fn consent(event: &EventToSend) -> Map<String, Value> {
    let spelled = |status| match status {
        ConsentStatus::Granted => Some("GRANTED"),
        ConsentStatus::Denied => Some("DENIED"),
        ConsentStatus::Unknown => None,
    };
    let said = [("ad_user_data", event.consent.ad_user_data), ("ad_personalization", event.consent.ad_personalization)];
    said.into_iter().filter_map(|(name, status)| Some((name.to_owned(), spelled(status)?.into()))).collect()
}

/// What has to be the same of events in one request.
fn of_client(event: &EventToSend) -> (&str, [&'static str; 2], Option<&str>, Option<&str>) {
    let statuses = [event.consent.ad_user_data, event.consent.ad_personalization].map(ConsentStatus::as_str);
    (
        event.client_id.as_str(),
        statuses,
        event.email_hash_google.as_ref().map(Hash::as_str),
        event.phone_hash.as_ref().map(Hash::as_str),
    )
}

/// The requests for these events, and why the others aren't sent.
pub(super) fn batches(events: &[EventToSend], now: DateTime<Utc>) -> (Vec<Batch>, Vec<(usize, EventOutcome)>) {
    let mut refused = Vec::new();
    let mut by_client: BTreeMap<_, Vec<(usize, Value)>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        match too_old(event.at, now).map_or_else(|| written(event, now), Err) {
            Ok(it) => by_client.entry(of_client(event)).or_default().push((at, it)),
            Err(reason) => refused.push((at, EventOutcome::Rejected(reason))),
        }
    }
    let mut batches = Vec::new();
    for of_client in by_client.into_values() {
        let (mut chosen, mut values, mut size) = (Vec::new(), Vec::new(), 0);
        for (at, value) in of_client {
            let more = value.to_string().len() + 1;
            if chosen.len() == MOST_EVENTS_OF_CLIENT
                || (!chosen.is_empty() && size + more + ROOM_OF_CLIENT > LARGEST_BODY)
            {
                batches.push(finished(events, &mut chosen, &mut values));
                size = 0;
            }
            chosen.push(at);
            values.push(value);
            size += more;
        }
        batches.push(finished(events, &mut chosen, &mut values));
    }
    (batches, refused)
}

fn finished(events: &[EventToSend], chosen: &mut Vec<usize>, values: &mut Vec<Value>) -> Batch {
    let body = body(&events[chosen[0]], &std::mem::take(values));
    Batch { events: std::mem::take(chosen), body }
}
