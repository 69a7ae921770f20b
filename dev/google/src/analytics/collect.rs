//! The Measurement Protocol: `/mp/collect`, which answers 204 whatever it is sent, and `/debug/mp/collect`, which says
//! what is wrong and counts nothing.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::rules::{self, MOST_CUSTOM_ITEM_PARAMS, MOST_ITEMS, MOST_PARAMS, NameFlaw};
use super::{CountedEvent, Finding};
use crate::GoogleSandbox;
use crate::book::Transport;
use crate::currencies::is_currency;

const MOST_EVENTS: usize = 25;
const LARGEST_BODY: usize = 130_000;
/// Of a request. Google has more, which the product doesn't send.
const FIELDS: [&str; 4] = ["client_id", "consent", "events", "user_data"];
const OLDEST: TimeDelta = TimeDelta::hours(72);

#[derive(Deserialize)]
pub(crate) struct Stream {
    #[serde(default)]
    measurement_id: String,
    #[serde(default)]
    api_secret: String,
}

/// Answers `POST /mp/collect`.
pub(crate) async fn collect(
    State(sandbox): State<GoogleSandbox>,
    Query(stream): Query<Stream>,
    body: Bytes,
) -> StatusCode {
    let now = sandbox.now();
    let mut read = read(&body, now);
    {
        let memory = &mut *sandbox.memory();
        if !memory.properties.is_open(&stream.measurement_id, &stream.api_secret) {
            read.found("", "VALUE_INVALID", "No stream has this measurement id and this API secret.");
            read.events.clear();
        }
        for mut event in read.events {
            event.measurement_id.clone_from(&stream.measurement_id);
            memory.analytics.count(event);
        }
        memory.analytics.findings.extend(read.findings);
    }
    sandbox.announce();
    StatusCode::NO_CONTENT
}

/// Answers `POST /debug/mp/collect`. As Google's, it doesn't check the secret.
pub(crate) async fn validate(State(sandbox): State<GoogleSandbox>, body: Bytes) -> Json<Value> {
    Json(json!({ "validationMessages": read(&body, sandbox.now()).findings }))
}

/// The events without a fault, and the faults of the others.
#[derive(Default)]
struct Read {
    events: Vec<CountedEvent>,
    findings: Vec<Finding>,
}

impl Read {
    fn found(&mut self, path: &str, code: &str, description: &str) {
        self.findings.push(Finding {
            field_path: path.to_owned(),
            description: description.to_owned(),
            validation_code: code.to_owned(),
        });
    }

    fn name(&mut self, path: &str, flaw: Option<NameFlaw>) {
        match flaw {
            Some(NameFlaw::Invalid) => self.found(path, "NAME_INVALID", "The name is not valid."),
            Some(NameFlaw::Reserved) => self.found(path, "NAME_RESERVED", "The name is reserved."),
            None => {}
        }
    }
}

fn read(body: &[u8], now: DateTime<Utc>) -> Read {
    let mut read = Read::default();
    if body.len() >= LARGEST_BODY {
        read.found("", "VALUE_OUT_OF_BOUNDS", "The body has to be smaller than 130 kB.");
    }
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
        read.found("", "VALUE_INVALID", "The body is no JSON object.");
        return read;
    };
    for name in body.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        read.found(name, "VALUE_INVALID", "The sandbox expects no such field.");
    }
    let client_id = body.get("client_id").and_then(Value::as_str).unwrap_or_default();
    if client_id.is_empty() {
        read.found("client_id", "VALUE_REQUIRED", "The client id is required for web streams.");
    }
    let consent = consent(body.get("consent"), &mut read);
    let has_user_data = user_data(body.get("user_data"), &mut read);
    let events = body.get("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if events.is_empty() || events.len() > MOST_EVENTS {
        read.found("events", "EXCEEDED_MAX_ENTITIES", "A request has 1 to 25 events.");
    }
    let of_request = !read.findings.is_empty();
    for (index, event) in events.iter().enumerate() {
        let path = format!("events[{index}]");
        let before = read.findings.len();
        let counted = self::event(event, &path, now, &mut read);
        if of_request || read.findings.len() > before {
            continue;
        }
        read.events.push(CountedEvent {
            client_id: client_id.to_owned(),
            consent: consent.clone(),
            has_user_data,
            ..counted
        });
    }
    read
}

fn consent(consent: Option<&Value>, read: &mut Read) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for (name, status) in consent.and_then(Value::as_object).into_iter().flatten() {
        let is_name = ["ad_user_data", "ad_personalization"].contains(&name.as_str());
        match status.as_str().filter(|status| is_name && ["GRANTED", "DENIED"].contains(status)) {
            Some(status) => drop(said.insert(name.clone(), status.to_owned())),
            None => read.found(&format!("consent.{name}"), "VALUE_INVALID", "GRANTED or DENIED of one of the two."),
        }
    }
    said
}

fn user_data(user_data: Option<&Value>, read: &mut Read) -> bool {
    let Some(user_data) = user_data else { return false };
    let hashes = user_data.as_object().into_iter().flatten();
    for (name, values) in hashes {
        let known = ["sha256_email_address", "sha256_phone_number"].contains(&name.as_str());
        let is_hash = |value: &Value| {
            value.as_str().is_some_and(|it| it.len() == 64 && it.bytes().all(|c| c.is_ascii_hexdigit()))
        };
        let values = values.as_array().filter(|values| !values.is_empty());
        if !known || !values.is_some_and(|values| values.iter().all(is_hash)) {
            read.found(&format!("user_data.{name}"), "VALUE_INVALID", "A list of SHA-256 in hexadecimal digits.");
        }
    }
    true
}

fn event(event: &Value, path: &str, now: DateTime<Utc>, read: &mut Read) -> CountedEvent {
    let name = event["name"].as_str().unwrap_or_default();
    read.name(&format!("{path}.name"), rules::flaw_of_event(name));
    let at = event["timestamp_micros"].as_i64().and_then(DateTime::from_timestamp_micros);
    match at {
        None => read.found(&format!("{path}.timestamp_micros"), "VALUE_REQUIRED", "The sandbox expects a time."),
        Some(at) if at < now - OLDEST || at > now + TimeDelta::minutes(15) => {
            read.found(&format!("{path}.timestamp_micros"), "VALUE_OUT_OF_BOUNDS", "The last 72 hours are taken.");
        }
        Some(_) => {}
    }
    let empty = Map::new();
    let params = event["params"].as_object().unwrap_or(&empty);
    let path = format!("{path}.params");
    if params.len() > MOST_PARAMS {
        read.found(&path, "EXCEEDED_MAX_ENTITIES", "An event has at most 25 parameters.");
    }
    if !params.contains_key("engagement_time_msec") {
        read.found(&path, "VALUE_REQUIRED", "Without engagement_time_msec the event is missing from reports.");
    }
    for (name, value) in params {
        let path = format!("{path}.{name}");
        read.name(&path, rules::flaw_of_param(name));
        match (name.as_str(), value) {
            ("items", Value::Array(items)) => check_items(items, &path, read),
            // Google would take it for the time of the event, or whose it is.
            ("timestamp_micros" | "user_data", _) => {
                read.found(&path, "VALUE_INVALID", "It is none of an event's own.");
            }
            _ => check_value(name, value, &path, read),
        }
    }
    let id = params.get("transaction_id").and_then(Value::as_str);
    if name == "purchase" && id.is_none_or(|id| id.trim().is_empty()) {
        read.found(&format!("{path}.transaction_id"), "VALUE_REQUIRED", "A purchase has a transaction id.");
    }
    if params.get("currency").and_then(Value::as_str).is_some_and(|it| !is_currency(it)) {
        read.found(&format!("{path}.currency"), "VALUE_INVALID", "A currency is a code of ISO 4217.");
    }
    CountedEvent {
        measurement_id: String::new(),
        transport: Transport::MeasurementProtocol,
        name: name.to_owned(),
        client_id: String::new(),
        at: at.unwrap_or(now),
        params: params.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        consent: BTreeMap::new(),
        has_user_data: false,
        received_at: now,
    }
}

fn check_value(name: &str, value: &Value, path: &str, read: &mut Read) {
    let longest = match name {
        "page_location" => 1_000,
        "page_referrer" => 420,
        "page_title" => 300,
        _ => 100,
    };
    match value {
        Value::String(text) if text.is_empty() => read.found(path, "VALUE_REQUIRED", "The value is empty."),
        Value::String(text) if rules::length(text) > longest => {
            read.found(path, "VALUE_OUT_OF_BOUNDS", "The value is too long.");
        }
        Value::String(_) | Value::Number(_) => {}
        _ => read.found(path, "VALUE_INVALID", "A value is a text or a number."),
    }
}

fn check_items(items: &[Value], path: &str, read: &mut Read) {
    if items.is_empty() || items.len() > MOST_ITEMS {
        read.found(path, "EXCEEDED_MAX_ENTITIES", "An event has at most 200 items.");
    }
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(item) = item.as_object() else {
            read.found(&path, "VALUE_INVALID", "An item is an object.");
            continue;
        };
        if !item.contains_key("item_id") && !item.contains_key("item_name") {
            read.found(&path, "VALUE_REQUIRED", "An item has an id or a name.");
        }
        if item.keys().filter(|name| rules::is_custom_of_item(name)).count() > MOST_CUSTOM_ITEM_PARAMS {
            read.found(&path, "EXCEEDED_MAX_ENTITIES", "An item has at most 10 parameters of its own.");
        }
        for (name, value) in item {
            let path = format!("{path}.{name}");
            read.name(&path, rules::flaw_of_param(name));
            check_value(name, value, &path, read);
        }
    }
}
