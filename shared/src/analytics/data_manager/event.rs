//! An event as the Data Manager API writes those of Google Analytics ("Field mappings" of the upgrade from the
//! Measurement Protocol, and "Google Analytics recommended events").

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::analytics::fitted::{Fitted, Item, Scalar};
use crate::analytics::limits::told_at;
use crate::analytics::{EventToSend, Transport};
use crate::consent::ConsentStatus;
use crate::platforms::Reason;

/// The event. Whatever has a field of its own isn't among the parameters, which are texts.
///
/// Only purchases and refunds have a `transactionId`: with one, other events would be taken for a second source of
/// those that Google's tag sends, which is open to selected properties only.
pub(super) fn event(event: &EventToSend, now: DateTime<Utc>) -> Result<Value, Reason> {
    let fitted = Fitted::of(event, Transport::DataManager)?;
    let mut written = json!({
        "eventName": event.name,
        "clientId": event.client_id,
        "eventTimestamp": told_at(event.at, now).to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "eventSource": "WEB",
        "additionalEventParameters": params(&fitted),
    });
    if let Some(id) = &fitted.transaction_id {
        written["transactionId"] = json!(id);
    }
    if let Some(currency) = &fitted.currency {
        written["currency"] = json!(currency);
        if let Some(value) = fitted.value.filter(|value| *value >= 0.0) {
            written["conversionValue"] = json!(value);
        }
    }
    let mut cart = Map::new();
    if !fitted.items.is_empty() {
        cart.insert("items".into(), fitted.items.iter().map(item).collect());
    }
    if let Some(coupon) = &fitted.coupon {
        cart.insert("couponCodes".into(), json!([coupon]));
    }
    if !cart.is_empty() {
        written["cartData"] = cart.into();
    }
    if let Some(user_agent) = &event.user_agent {
        written["eventDeviceInfo"] = json!({ "userAgent": user_agent });
    }
    let consent = consent(event);
    if !consent.is_empty() {
        written["consent"] = consent.into();
    }
    if let Some(user_data) = user_data(event) {
        written["userData"] = user_data;
    }
    Ok(written)
}

fn params(fitted: &Fitted) -> Vec<Value> {
    // A value that has no currency, or is negative, is no conversion value.
    let value = fitted.value.filter(|value| fitted.currency.is_none() || *value < 0.0);
    let own = [
        ("session_id", fitted.session_id.map(|id| id.to_string())),
        ("engagement_time_msec", Some(fitted.engagement_time_msec.to_string())),
        ("value", value.map(|value| json!(value).to_string())),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some(param(name, &value?)));
    own.chain(fitted.others.iter().map(other)).collect()
}

fn param(name: &str, value: &str) -> Value {
    json!({ "parameterName": name, "value": value })
}

fn other((name, value): &(String, Scalar)) -> Value {
    match value {
        Scalar::Text(text) => param(name, text),
        Scalar::Number(number) => param(name, &number.to_string()),
    }
}

fn item(item: &Item) -> Value {
    let mut written = Map::new();
    if let Some(id) = &item.id {
        written.insert("itemId".into(), json!(id));
    }
    if let Some(quantity) = item.quantity {
        // An int64, which is a text in JSON.
        written.insert("quantity".into(), quantity.to_string().into());
    }
    if let Some(price) = item.price {
        written.insert("unitPrice".into(), json!(price));
    }
    if !item.others.is_empty() {
        written.insert("additionalItemParameters".into(), item.others.iter().map(other).collect());
    }
    written.into()
}

/// What the person said; silence is left out, never turned into a yes.
fn consent(event: &EventToSend) -> Map<String, Value> {
    let spelled = |status| match status {
        ConsentStatus::Granted => Some("CONSENT_GRANTED"),
        ConsentStatus::Denied => Some("CONSENT_DENIED"),
        ConsentStatus::Unknown => None,
    };
    let said = [("adUserData", event.consent.ad_user_data), ("adPersonalization", event.consent.ad_personalization)];
    said.into_iter().filter_map(|(name, status)| Some((name.to_owned(), spelled(status)?.into()))).collect()
}

/// The hashes of the person, if there are any and the person agreed.
fn user_data(event: &EventToSend) -> Option<Value> {
    if event.consent.ad_user_data != ConsentStatus::Granted {
        return None;
    }
    let identifiers = [
        event.email_hash_google.as_ref().map(|hash| json!({ "emailAddress": hash })),
        event.phone_hash.as_ref().map(|hash| json!({ "phoneNumber": hash })),
    ];
    let identifiers: Vec<_> = identifiers.into_iter().flatten().collect();
    (!identifiers.is_empty()).then(|| json!({ "userIdentifiers": identifiers }))
}

/// The request for these events, all for this stream of this property.
pub(super) fn request<'a>(property_id: &str, measurement_id: &str, events: impl Iterator<Item = &'a Value>) -> Value {
    let property = json!({ "accountType": "GOOGLE_ANALYTICS_PROPERTY", "accountId": property_id });
    let events: Vec<_> = events.collect();
    let mut request = json!({
        "destinations": [{
            "operatingAccount": property,
            "loginAccount": property,
            "productDestinationId": measurement_id,
        }],
    });
    if events.iter().any(|event| event.get("userData").is_some()) {
        request["encoding"] = "HEX".into();
    }
    request["events"] = json!(events);
    request
}
