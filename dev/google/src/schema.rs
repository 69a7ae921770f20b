//! Google's own message descriptors, and JSON parsed strictly against them.
//!
//! `datamanager_v1.fds` holds the descriptors of `google.ads.datamanager.v1` as Google publishes them in its client
//! library `google-ads-datamanager` 0.9.4. `googleads_v26.fds` holds those of the conversion uploads, of
//! `GoogleAdsFailure` with every error enum, and of `google.rpc`, from `google-ads` 34.0.0. Both are Apache-2.0. The
//! services and options were left out: they don't change how JSON is read.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::Refusal;

static DATA_MANAGER: LazyLock<DescriptorPool> =
    LazyLock::new(|| pool(include_bytes!("datamanager_v1.fds"), "datamanager_v1.fds"));
static GOOGLE_ADS: LazyLock<DescriptorPool> =
    LazyLock::new(|| pool(include_bytes!("googleads_v26.fds"), "googleads_v26.fds"));

/// A request that carries rows.
pub(crate) struct Batch {
    /// The full name of its message.
    message: &'static str,
    /// The field of the rows, in JSON.
    rows: &'static str,
    /// The same field as the descriptor has it, which JSON may say too.
    rows_snake: &'static str,
    /// The full name of a row's message.
    row: &'static str,
}

/// `events:ingest`.
pub(crate) const INGEST: Batch = Batch {
    message: "google.ads.datamanager.v1.IngestEventsRequest",
    rows: "events",
    rows_snake: "events",
    row: "google.ads.datamanager.v1.Event",
};
/// `uploadClickConversions`. The message is the same in every version that is served.
pub(crate) const CLICK_CONVERSIONS: Batch = Batch {
    message: "google.ads.googleads.v26.services.UploadClickConversionsRequest",
    rows: "conversions",
    rows_snake: "conversions",
    row: "google.ads.googleads.v26.services.ClickConversion",
};
/// `uploadConversionAdjustments`. The message is the same in every version that is served.
pub(crate) const ADJUSTMENTS: Batch = Batch {
    message: "google.ads.googleads.v26.services.UploadConversionAdjustmentsRequest",
    rows: "conversionAdjustments",
    rows_snake: "conversion_adjustments",
    row: "google.ads.googleads.v26.services.ConversionAdjustment",
};

fn pool(file: &'static [u8], name: &str) -> DescriptorPool {
    DescriptorPool::decode(file).unwrap_or_else(|error| panic!("{name} is no FileDescriptorSet: {error}"))
}

fn descriptor(message: &str) -> MessageDescriptor {
    let pool = if message.starts_with("google.ads.datamanager.") { &DATA_MANAGER } else { &GOOGLE_ADS };
    pool.get_message_by_name(message).unwrap_or_else(|| panic!("no descriptor of {message}"))
}

/// Parses `json` as the message of this full name. A field that the message does not have is an error, as it is at
/// Google.
pub(crate) fn parse(message: &str, json: &str) -> Result<DynamicMessage, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let strict = DeserializeOptions::new().deny_unknown_fields(true);
    let parsed = DynamicMessage::deserialize_with_options(descriptor(message), &mut deserializer, &strict)?;
    deserializer.end()?;
    Ok(parsed)
}

/// Parses the body of a call, or says which of its rows is malformed.
pub(crate) fn parse_batch<T: DeserializeOwned>(batch: &Batch, body: &[u8]) -> Result<T, Refusal> {
    let body = str::from_utf8(body).map_err(|error| Refusal::malformed("", &error.to_string()))?;
    parse(batch.message, body)
        .and_then(|message| serde_json::from_value(serde_json::to_value(&message)?))
        .map_err(|error| Refusal::malformed(&place_of(batch, body), &error.to_string()))
}

/// The row that does not parse, as Google's front end writes its place. Empty when the problem is elsewhere.
fn place_of(batch: &Batch, body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let rows = body.get(batch.rows).or_else(|| body.get(batch.rows_snake));
    let rows = rows.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    rows.iter()
        .position(|row| parse(batch.row, &row.to_string()).is_err())
        .map_or_else(String::new, |index| format!("{}[{index}]", batch.rows_snake))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refusal(batch: &Batch, body: &str) -> Value {
        match parse_batch::<Value>(batch, body.as_bytes()) {
            Ok(_) => panic!("accepted: {body}"),
            Err(refusal) => refusal.json()["error"].take(),
        }
    }

    #[test]
    fn a_field_that_google_does_not_have_is_refused_with_the_place() {
        for (batch, body, place, name) in [
            (&INGEST, r#"{"events":[{},{"currencyCode":"UAH"}]}"#, "events[1]", "currencyCode"),
            (&CLICK_CONVERSIONS, r#"{"conversions":[{"currency":"UAH"}]}"#, "conversions[0]", "currency"),
            (&CLICK_CONVERSIONS, r#"{"debugEnabled":true}"#, "", "debugEnabled"),
            (&ADJUSTMENTS, r#"{"conversionAdjustments":[{"gclid":"a"}]}"#, "conversion_adjustments[0]", "gclid"),
        ] {
            let error = refusal(batch, body);
            let violation = &error["details"][0]["fieldViolations"][0];
            assert_eq!(violation["field"], place, "{body}");
            assert!(error["message"].to_string().contains(name), "{error}");
        }
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
            assert_eq!(refusal(&INGEST, body)["code"], 400, "{body}");
        }
        for body in [
            r#"{"conversions":[{"consent":{"adUserData":"CONSENT_GRANTED"}}]}"#,
            r#"{"conversions":[{"userIdentifiers":[{"hashedEmail":"a","hashedPhoneNumber":"b"}]}]}"#,
            r#"{"conversions":[{"conversionValue":"1,5"}]}"#,
            r#"{"jobId":"9999999999"}"#,
        ] {
            assert_eq!(refusal(&CLICK_CONVERSIONS, body)["code"], 400, "{body}");
        }
    }
}
