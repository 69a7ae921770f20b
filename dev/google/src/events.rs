//! The rules for `events` that Google's descriptors don't contain.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::ads_account::AdsAccounts;
use crate::analytics::{self, Properties};
use crate::answer::Violation;
use crate::currencies::is_currency;
use crate::identifiers::{self, HashEncoding};
use crate::request::{Consent, EnumValue, Event, IngestEventsRequest};

const MOST_EVENTS: usize = 2000;
/// The longest click-through window of a conversion action.
const OLDEST_EVENT: TimeDelta = TimeDelta::days(90);
/// In characters: Google Ads Help, "Use a transaction ID to minimize duplicate conversions".
const LONGEST_TRANSACTION_ID: usize = 64;

/// What Google rejects in the events of `request`, received at `now`.
pub(crate) fn violations(
    request: &IngestEventsRequest,
    accounts: &AdsAccounts,
    properties: &Properties,
    now: DateTime<Utc>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    if request.events.is_empty() {
        let problem = "At least one event is required.";
        found.push(Violation::new("events.events", "TOO_FEW_ELEMENTS", problem));
    }
    if request.events.len() > MOST_EVENTS {
        let problem = "A request takes at most 2000 events.";
        return vec![Violation::new("events.events", "TOO_MANY_EVENTS", problem)];
    }
    let encoding = check_encoding(request, &mut found);
    check_consent(request.consent.as_ref(), "consent", &mut found);
    for (index, event) in request.events.iter().enumerate() {
        let path = format!("events.events[{index}]");
        check_references(event, request, accounts, properties, &path, &mut found);
        let is_analytics = event.targets(&request.destinations).any(|(_, target)| target.is_analytics());
        if is_analytics {
            analytics::ingested::check(event, now, &path, &mut found);
        } else {
            check_transaction_id(&event.transaction_id, request.validate_only, &path, &mut found);
        }
        check_time(event.event_timestamp, now, &path, &mut found);
        check_source(event.event_source.as_ref(), &path, &mut found);
        check_value(event, &path, &mut found);
        // An event of Google Analytics is its client's.
        if !is_analytics || event.user_data.is_some() {
            identifiers::check(event, encoding, &path, &mut found);
        }
        check_consent(event.consent.as_ref(), &format!("{path}.consent"), &mut found);
    }
    found
}

fn check_encoding(request: &IngestEventsRequest, found: &mut Vec<Violation>) -> Option<HashEncoding> {
    if request.encryption_info.is_some() {
        let problem = "The sandbox cannot decrypt user identifiers.";
        found.push(Violation::new("encryption_info", "INVALID_ARGUMENT", problem));
    }
    let Some(encoding) = &request.encoding else {
        if request.events.iter().any(|event| event.user_data.is_some()) {
            let problem = "The encoding is required when user identifiers are sent.";
            found.push(Violation::new("encoding", "REQUIRED_FIELD_MISSING", problem));
        }
        return None;
    };
    let known = HashEncoding::named(encoding);
    if known.is_none() {
        let problem = "Not an encoding.";
        found.push(Violation::new("encoding", "INVALID_ENUM_VALUE", problem));
    }
    known
}

/// Every reference names a destination, and each destination's account has its conversion action. An event without
/// references goes to all destinations.
fn check_references(
    event: &Event,
    request: &IngestEventsRequest,
    accounts: &AdsAccounts,
    properties: &Properties,
    path: &str,
    found: &mut Vec<Violation>,
) {
    let path = format!("{path}.destination_references");
    for (index, reference) in event.destination_references.iter().enumerate() {
        let mut destinations = request.destinations.iter();
        if !destinations.any(|destination| destination.reference == *reference) {
            let problem = "No destination has this reference.";
            let field = format!("{path}[{index}]");
            found.push(Violation::new(field, "INVALID_DESTINATION", problem));
        }
    }
    let is_missing = event.targets(&request.destinations).any(|(_, target)| {
        if target.is_analytics() {
            let property = properties.get(target.customer_id());
            return property.is_none_or(|it| !it.streams.contains(&target.product_destination_id));
        }
        let account = accounts.get(target.customer_id());
        account.is_none_or(|account| !account.has_action(&target.product_destination_id))
    });
    if is_missing {
        found.push(Violation::new(path, "NOT_FOUND", "Resource not found."));
    }
}

fn check_transaction_id(id: &str, validate_only: bool, path: &str, found: &mut Vec<Violation>) {
    let field = format!("{path}.transaction_id");
    if id.trim().is_empty() {
        let problem = "The transaction id is required.";
        found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", problem));
    } else if id.bytes().all(|byte| byte.is_ascii_digit()) {
        // Seen with real accounts: refused without naming the field, and let through by a request
        // that only validates.
        if !validate_only {
            let problem = "Request contains an invalid argument.";
            found.push(Violation::new(path, "INVALID_ARGUMENT", problem));
        }
    } else if id.chars().count() > LONGEST_TRANSACTION_ID {
        let problem = "A transaction id has at most 64 characters.";
        found.push(Violation::new(field, "FIELD_VALUE_TOO_LONG", problem));
    } else if id.contains('@') {
        let problem = "A transaction id must not contain an e-mail address.";
        found.push(Violation::new(field, "INVALID_ARGUMENT", problem));
    }
}

fn check_time(time: Option<DateTime<Utc>>, now: DateTime<Utc>, path: &str, found: &mut Vec<Violation>) {
    let field = format!("{path}.event_timestamp");
    match time {
        None => {
            let problem = "The event's time is required.";
            found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", problem));
        }
        // Observed with real accounts: the answer has no more details.
        Some(time) if time > now => {
            let problem = "Request contains an invalid argument.";
            found.push(Violation::new(path, "INVALID_ARGUMENT", problem));
        }
        Some(time) if time < now - OLDEST_EVENT => {
            let problem = "The event is older than 90 days.";
            found.push(Violation::new(field, "EVENT_TIME_INVALID", problem));
        }
        Some(_) => {}
    }
}

fn check_source(source: Option<&EnumValue>, path: &str, found: &mut Vec<Violation>) {
    let field = format!("{path}.event_source");
    match source {
        None => {
            let problem = "The event's source is required.";
            found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", problem));
        }
        Some(source) => check_enum(Some(source), field, found),
    }
}

fn check_value(event: &Event, path: &str, found: &mut Vec<Violation>) {
    if let Some(value) = &event.conversion_value {
        let is_amount = Value::as_f64(value).is_some_and(|value| value >= 0.0);
        if !is_amount {
            let problem = "A conversion value is finite and not negative.";
            let field = format!("{path}.conversion_value");
            found.push(Violation::new(field, "INVALID_NUMBER_FORMAT", problem));
        }
        if event.currency.is_empty() {
            let problem = "A conversion value needs a currency.";
            let field = format!("{path}.currency");
            found.push(Violation::new(field, "REQUIRED_FIELD_MISSING", problem));
        }
    }
    let currency = event.currency.as_str();
    if !currency.is_empty() && !is_currency(currency) {
        let problem = "A currency is an ISO 4217 code of three capital letters.";
        let field = format!("{path}.currency");
        found.push(Violation::new(field, "INVALID_CURRENCY_CODE", problem));
    }
}

fn check_consent(consent: Option<&Consent>, path: &str, found: &mut Vec<Violation>) {
    let Some(consent) = consent else { return };
    let ad_personalization = consent.ad_personalization.as_ref();
    check_enum(consent.ad_user_data.as_ref(), format!("{path}.ad_user_data"), found);
    check_enum(ad_personalization, format!("{path}.ad_personalization"), found);
}

fn check_enum(value: Option<&EnumValue>, field: String, found: &mut Vec<Violation>) {
    if value.is_some_and(|value| !value.is_defined()) {
        let problem = "Not a value of this enum.";
        found.push(Violation::new(field, "INVALID_ENUM_VALUE", problem));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ads_account::AdsAccount;

    fn now() -> DateTime<Utc> {
        "2026-11-22T12:00:00Z".parse().expect("a time")
    }

    fn request() -> Value {
        let account = json!({"accountType": "GOOGLE_ADS", "accountId": "1234567890"});
        json!({
            "destinations": [
                {"reference": "won", "operatingAccount": account, "productDestinationId": "987654321"},
                {"reference": "other", "operatingAccount": account, "productDestinationId": "987654320"},
            ],
            "events": [{
                "destinationReferences": ["won"],
                "transactionId": "deal-9182-won",
                "eventTimestamp": "2026-11-20T12:03:11Z",
                "eventSource": "WEB",
                "conversionValue": 1499.5,
                "currency": "UAH",
                "adIdentifiers": {"gclid": "EAIaIQobChMI_fake"},
            }],
        })
    }

    fn found(request: Value) -> Vec<(String, String)> {
        let request = serde_json::from_value(request).expect("a request");
        let mut accounts = AdsAccounts::default();
        accounts.add(AdsAccount::new("1234567890", ["987654320", "987654321"]));
        accounts.add(AdsAccount::new("2223334444", ["111"]));
        violations(&request, &accounts, &Properties::default(), now())
            .into_iter()
            .map(|violation| (violation.field, violation.reason))
            .collect()
    }

    /// Changes one field of a good event and returns what is wrong with it.
    fn found_with(field: &str, value: Value) -> Vec<(String, String)> {
        let mut request = request();
        request["events"][0][field] = value;
        found(request)
    }

    fn one(field: &str, reason: &str) -> Vec<(String, String)> {
        vec![(format!("events.events[0]{field}"), reason.to_owned())]
    }

    #[test]
    fn a_good_event_passes() {
        assert_eq!(found(request()), []);
        assert_eq!(found_with("conversionValue", json!(0)), []);
        assert_eq!(found_with("eventTimestamp", json!("2026-11-22T12:00:00Z")), []);
        assert_eq!(found_with("eventTimestamp", json!("2026-08-25T12:00:00Z")), []);
        assert_eq!(found_with("transactionId", json!("x".repeat(64))), []);
    }

    #[track_caller]
    fn assert_found(field: &str, value: impl Into<Value>, place: &str, reason: &str) {
        let value = value.into();
        let found = found_with(field, value.clone());
        assert_eq!(found, one(place, reason), "{field}: {value}");
    }

    #[test]
    fn a_bad_transaction_id_is_named() {
        let check = |id: &str, place, reason| {
            assert_found("transactionId", json!(id), place, reason);
        };
        check("", ".transaction_id", "REQUIRED_FIELD_MISSING");
        check("9182", "", "INVALID_ARGUMENT");
        check("alexz@example.com", ".transaction_id", "INVALID_ARGUMENT");
        check(&"x".repeat(65), ".transaction_id", "FIELD_VALUE_TOO_LONG");
    }

    #[test]
    fn a_bad_time_is_named() {
        let check = |time: Value, place, reason| {
            assert_found("eventTimestamp", time, place, reason);
        };
        check(Value::Null, ".event_timestamp", "REQUIRED_FIELD_MISSING");
        check(json!("2026-11-22T12:00:01Z"), "", "INVALID_ARGUMENT");
        check(json!("2026-08-24T11:59:59Z"), ".event_timestamp", "EVENT_TIME_INVALID");
    }

    #[test]
    fn a_bad_value_or_currency_is_named() {
        for value in [json!("NaN"), json!("Infinity"), json!(-0.01)] {
            assert_found("conversionValue", value, ".conversion_value", "INVALID_NUMBER_FORMAT");
        }
        assert_found("currency", json!(""), ".currency", "REQUIRED_FIELD_MISSING");
        for currency in ["uah", "XYZ", "UAH USD", "980"] {
            assert_found("currency", json!(currency), ".currency", "INVALID_CURRENCY_CODE");
        }
    }

    #[test]
    fn a_bad_field_is_named() {
        assert_found("eventSource", Value::Null, ".event_source", "REQUIRED_FIELD_MISSING");
        assert_found("eventSource", json!(77), ".event_source", "INVALID_ENUM_VALUE");
        let consent = json!({"adUserData": 9});
        assert_found("consent", consent, ".consent.ad_user_data", "INVALID_ENUM_VALUE");
        assert_found("adIdentifiers", json!({}), "", "NO_IDENTIFIERS_PROVIDED");
        let references = json!(["won", "lost"]);
        let place = ".destination_references[1]";
        assert_found("destinationReferences", references, place, "INVALID_DESTINATION");
    }

    #[test]
    fn validating_only_lets_a_numeric_transaction_id_pass() {
        let mut request = request();
        request["events"][0]["transactionId"] = json!("9182");
        request["validateOnly"] = json!(true);
        assert_eq!(found(request), []);
    }

    #[test]
    fn an_unknown_conversion_action_is_not_found_for_the_events_that_go_there() {
        let mut request = request();
        request["destinations"][1]["productDestinationId"] = json!("555");
        assert_eq!(found(request.clone()), []);
        request["events"][0]["destinationReferences"] = json!([]);
        assert_eq!(found(request), one(".destination_references", "NOT_FOUND"));
    }

    #[test]
    fn a_conversion_action_of_another_account_is_not_found() {
        for (customer_id, action, is_found) in [
            ("2223334444", "111", true),
            ("2223334444", "987654321", false),
            ("1234567890", "111", false),
            ("1111111111", "111", false),
        ] {
            let mut request = request();
            request["destinations"][0]["operatingAccount"]["accountId"] = json!(customer_id);
            request["destinations"][0]["productDestinationId"] = json!(action);
            let missing = one(".destination_references", "NOT_FOUND");
            assert_eq!(found(request), if is_found { vec![] } else { missing }, "{customer_id} {action}");
        }
    }

    #[test]
    fn user_data_needs_an_encoding() {
        let hash = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a";
        let mut request = request();
        request["events"][0]["userData"] = json!({"userIdentifiers": [{"emailAddress": hash}]});
        let missing = ("encoding".to_owned(), "REQUIRED_FIELD_MISSING".to_owned());
        assert_eq!(found(request.clone()), [missing]);
        request["encoding"] = json!("HEX");
        assert_eq!(found(request), []);
    }

    #[test]
    fn a_request_has_one_to_2000_events_and_every_bad_one_is_named() {
        let with = |count: usize| {
            let mut request = request();
            request["events"] = json!(vec![request["events"][0].clone(); count]);
            request
        };
        assert_eq!(found(with(0))[0].1, "TOO_FEW_ELEMENTS");
        assert_eq!(found(with(2000)), []);
        assert_eq!(found(with(2001))[0].1, "TOO_MANY_EVENTS");

        let mut request = with(3);
        request["events"][1]["eventSource"] = Value::Null;
        request["events"][2]["currency"] = json!("hryvnia");
        let fields: Vec<String> = found(request).into_iter().map(|(field, _)| field).collect();
        let expected = ["events.events[1].event_source", "events.events[2].currency"];
        assert_eq!(fields, expected);
    }
}
