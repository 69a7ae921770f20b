//! Events of Google Analytics in the Data Manager API: the rules that the descriptors don't contain, and what is
//! counted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::rules::{self, MOST_CUSTOM_ITEM_PARAMS, MOST_ITEMS, MOST_PARAMS, NameFlaw};
use super::{Analytics, CountedEvent};
use crate::answer::Violation;
use crate::book::Transport;
use crate::request::{Consent, Destination, Event, EventParameter};

const OLDEST: TimeDelta = TimeDelta::hours(72);
const LONGEST_VALUE: usize = 100;
const LONGEST_TRANSACTION_ID: usize = 100;
/// Beside the id, the price and the quantity of an item.
const MOST_ITEM_PARAMS: usize = 24;

/// What Google rejects in an event that is sent to a web stream. What it rejects of every event is checked elsewhere.
pub(crate) fn check(event: &Event, now: DateTime<Utc>, path: &str, found: &mut Vec<Violation>) {
    let mut refuse = |field: &str, reason: &str, problem: &str| {
        found.push(Violation::new(format!("{path}.{field}"), reason, problem));
    };
    if event.event_name.is_empty() {
        refuse("event_name", "REQUIRED_FIELD_MISSING", "The event's name is required.");
    } else {
        match rules::flaw_of_event(&event.event_name) {
            Some(NameFlaw::Reserved) => refuse("event_name", "RESERVED_NAME_USED", "The event's name is reserved."),
            Some(NameFlaw::Invalid) => refuse("event_name", "INVALID_EVENT_NAME", "The event's name is not supported."),
            None => {}
        }
    }
    match (event.client_id.as_str(), event.app_instance_id.as_str()) {
        ("", _) => refuse("client_id", "REQUIRED_FIELD_MISSING", "The client id is required for web events."),
        (_, "") => {}
        _ => refuse("client_id", "BOTH_CLIENT_ID_AND_APP_INSTANCE_ID_NOT_ALLOWED", "Only one of the two can be set."),
    }
    if event.event_timestamp.is_some_and(|at| at < now - OLDEST) {
        refuse("event_timestamp", "EVENT_TIME_INVALID", "The event is older than 72 hours.");
    }
    if event.event_source.as_ref().is_some_and(|source| !source.is("WEB")) {
        refuse("event_source", "INVALID_STREAM_TYPE", "A web stream takes web events.");
    }
    let id = event.transaction_id.as_str();
    if !id.is_empty() && id.trim().is_empty() {
        refuse("transaction_id", "INVALID_ARGUMENT", "The transaction id is empty.");
    }
    if rules::length(id) > LONGEST_TRANSACTION_ID {
        refuse("transaction_id", "FIELD_VALUE_TOO_LONG", "The transaction id is too long.");
    }
    if event.event_name == "purchase" && id.is_empty() {
        refuse("transaction_id", "REQUIRED_FIELD_MISSING", "A purchase has a transaction id.");
    }
    check_params(&event.additional_event_parameters, &format!("{path}.additional_event_parameters"), found);
    check_cart(event, path, found);
    if params(event).len() > MOST_PARAMS {
        let problem = "An event has at most 25 parameters.";
        found.push(Violation::new(format!("{path}.additional_event_parameters"), "TOO_MANY_ELEMENTS", problem));
    }
}

fn check_params(params: &[EventParameter], path: &str, found: &mut Vec<Violation>) {
    let mut names = BTreeSet::new();
    for (index, EventParameter { parameter_name, value }) in params.iter().enumerate() {
        let mut refuse = |field: &str, reason: &str, problem: &str| {
            found.push(Violation::new(format!("{path}[{index}].{field}"), reason, problem));
        };
        match rules::flaw_of_param(parameter_name) {
            Some(NameFlaw::Reserved) => refuse("parameter_name", "RESERVED_NAME_USED", "The name is reserved."),
            Some(NameFlaw::Invalid) => refuse("parameter_name", "INVALID_FORMAT", "The name is not valid."),
            None => {}
        }
        if !names.insert(parameter_name) {
            refuse("parameter_name", "INVALID_ARGUMENT", "Another parameter has this name.");
        }
        if value.is_empty() {
            refuse("value", "REQUIRED_FIELD_MISSING", "The value is required.");
        }
        if rules::length(value) > LONGEST_VALUE {
            refuse("value", "FIELD_VALUE_TOO_LONG", "A value has at most 100 characters.");
        }
    }
}

fn check_cart(event: &Event, path: &str, found: &mut Vec<Violation>) {
    let cart = &event.cart_data;
    let path = format!("{path}.cart_data");
    if cart.items.len() > MOST_ITEMS {
        found.push(Violation::new(format!("{path}.items"), "TOO_MANY_ELEMENTS", "An event has at most 200 items."));
    }
    if cart.coupon_codes.len() > 1 {
        let problem = "Google Analytics takes one coupon code.";
        found.push(Violation::new(format!("{path}.coupon_codes"), "TOO_MANY_ELEMENTS", problem));
    }
    if cart.coupon_codes.iter().any(|code| rules::length(code) > LONGEST_VALUE || code.is_empty()) {
        found.push(Violation::new(
            format!("{path}.coupon_codes"),
            "INVALID_COUPON_CODE",
            "A coupon code is not valid.",
        ));
    }
    for (index, item) in cart.items.iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        let params = &item.additional_item_parameters;
        check_params(params, &format!("{path}.additional_item_parameters"), found);
        let mut refuse = |field: &str, reason: &str, problem: &str| {
            found.push(Violation::new(format!("{path}.{field}"), reason, problem));
        };
        let has_name = params.iter().any(|it| it.parameter_name == "item_name");
        if item.item_id.is_empty() && !has_name {
            refuse("item_id", "REQUIRED_FIELD_MISSING", "An item has an id or a name.");
        }
        if rules::length(&item.item_id) > LONGEST_VALUE {
            refuse("item_id", "FIELD_VALUE_TOO_LONG", "An item's id has at most 100 characters.");
        }
        let custom = params.iter().filter(|it| rules::is_custom_of_item(&it.parameter_name)).count();
        if params.len() > MOST_ITEM_PARAMS || custom > MOST_CUSTOM_ITEM_PARAMS {
            refuse("additional_item_parameters", "TOO_MANY_ELEMENTS", "An item has too many parameters.");
        }
    }
}

/// All its parameters, by the names that the Measurement Protocol has for those with fields of their own.
fn params(event: &Event) -> BTreeMap<String, Value> {
    let own = event.additional_event_parameters.iter();
    let mut params: BTreeMap<String, Value> = own.map(|it| (it.parameter_name.clone(), json!(it.value))).collect();
    for (name, value) in [("transaction_id", &event.transaction_id), ("currency", &event.currency)] {
        if !value.is_empty() {
            params.insert(name.to_owned(), json!(value));
        }
    }
    if let Some(value) = &event.conversion_value {
        params.insert("value".to_owned(), value.clone());
    }
    if !event.cart_data.items.is_empty() {
        let ids: Vec<_> = event.cart_data.items.iter().map(|item| item.item_id.as_str()).collect();
        params.insert("items".to_owned(), json!(ids));
    }
    if let [coupon, ..] = &event.cart_data.coupon_codes[..] {
        params.insert("coupon".to_owned(), json!(coupon));
    }
    params
}

impl Analytics {
    /// Counts an event that was accepted.
    pub(crate) fn ingest(&mut self, event: &Event, destination: &Destination, now: DateTime<Utc>) {
        self.count(CountedEvent {
            measurement_id: destination.product_destination_id.clone(),
            transport: Transport::DataManager,
            name: event.event_name.clone(),
            client_id: event.client_id.clone(),
            at: event.event_timestamp.unwrap_or(now),
            params: params(event),
            consent: event.consent.as_ref().map(consent).unwrap_or_default(),
            has_user_data: event.user_data.is_some(),
            received_at: now,
        });
    }
}

fn consent(consent: &Consent) -> BTreeMap<String, String> {
    let said = [("ad_user_data", &consent.ad_user_data), ("ad_personalization", &consent.ad_personalization)];
    let spelled = |(name, status): (&str, &Option<crate::request::EnumValue>)| {
        let status = status.as_ref()?;
        let word = if status.is("CONSENT_GRANTED") { "GRANTED" } else { "DENIED" };
        Some((name.to_owned(), word.to_owned()))
    };
    said.into_iter().filter_map(spelled).collect()
}
