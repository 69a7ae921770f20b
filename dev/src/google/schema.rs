//! Google's own message descriptors, and JSON parsed strictly against them.
//!
//! `datamanager_v1.fds` holds the descriptors of `google.ads.datamanager.v1` as Google publishes
//! them in its client library `google-ads-datamanager` 0.9.4 (Apache-2.0).

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde_json::Value;

use super::answer::Refusal;
use super::request::IngestEventsRequest;

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(&include_bytes!("datamanager_v1.fds")[..])
        .expect("datamanager_v1.fds is a FileDescriptorSet")
});

fn descriptor(message: &str) -> MessageDescriptor {
    DESCRIPTORS
        .get_message_by_name(&format!("google.ads.datamanager.v1.{message}"))
        .expect("datamanager_v1.fds has every message named in this crate")
}

/// Parses `json` as a message of `google.ads.datamanager.v1`. A field that the message does not
/// have is an error, as it is at Google.
pub(super) fn parse(message: &str, json: &str) -> Result<DynamicMessage, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let strict = DeserializeOptions::new().deny_unknown_fields(true);
    let parsed = DynamicMessage::deserialize_with_options(descriptor(message), &mut deserializer, &strict)?;
    deserializer.end()?;
    Ok(parsed)
}

/// Parses the body of an ingest call, or says which event is malformed.
pub(super) fn parse_ingest(body: &str) -> Result<IngestEventsRequest, Refusal> {
    parse("IngestEventsRequest", body)
        .and_then(|message| serde_json::from_value(serde_json::to_value(&message)?))
        .map_err(|error| Refusal::malformed(&place_of(body), &error.to_string()))
}

/// The event that does not parse, as Google's front end writes its place. Empty when the problem
/// is elsewhere.
fn place_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let events = body["events"].as_array().map_or(&[][..], Vec::as_slice);
    events
        .iter()
        .position(|event| parse("Event", &event.to_string()).is_err())
        .map_or_else(String::new, |index| format!("events[{index}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refusal(body: &str) -> Value {
        match parse_ingest(body) {
            Ok(_) => panic!("accepted: {body}"),
            Err(refusal) => refusal.json()["error"].take(),
        }
    }

    #[test]
    fn a_field_that_google_does_not_have_is_refused_with_the_place() {
        let error = refusal(r#"{"events":[{},{"currencyCode":"UAH"}]}"#);
        let violation = &error["details"][0]["fieldViolations"][0];
        assert_eq!(violation["field"], "events[1]");
        assert!(error["message"].to_string().contains("currencyCode"));
    }

    #[test]
    fn what_the_descriptors_rule_out_is_refused() {
        for body in [
            "",
            "[]",
            "{} {}",
            r#"{"partialFailure":true}"#,
            r#"{"destinations":[{"productDestinationId":987654321}]}"#,
            r#"{"events":[{"gclid":"abc"}]}"#,
            r#"{"events":[{"eventSource":"CRM"}]}"#,
            r#"{"events":[{"consent":{"adUserData":"GRANTED"}}]}"#,
            r#"{"events":[{"eventTimestamp":"2026-11-20 14:03:11+02:00"}]}"#,
            r#"{"events":[{"eventTimestamp":"2026-11-20T14:03:11"}]}"#,
            r#"{"events":[{"userData":{"userIdentifiers":[{"hashedEmail":"a"}]}}]}"#,
            r#"{"events":[{"userData":{"userIdentifiers":[{"emailAddress":"a","phoneNumber":"b"}]}}]}"#,
        ] {
            assert_eq!(refusal(body)["code"], 400, "{body}");
        }
    }
}
