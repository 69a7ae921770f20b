//! A conversion and its corrections as the Google Ads API's messages.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::consent::ConsentStatus;
use crate::platforms::Conversion;
use crate::platforms::google_ads::identifiers::Identifiers;

/// `yyyy-mm-dd hh:mm:ss+|-hh:mm`
fn date_time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// `ClickConversion`. Without session attributes, which this API takes from chosen accounts only.
pub(super) fn click_conversion(conversion: &Conversion, identifiers: &Identifiers<'_>, action: &str) -> Value {
    let mut row = json!({
        "conversionAction": action,
        "conversionDateTime": date_time(conversion.occurred_at),
        "orderId": conversion.transaction_id,
        "conversionEnvironment": "WEB",
    });
    if let Some(money) = &conversion.money {
        row["conversionValue"] = json!(money.value());
        row["currencyCode"] = json!(money.currency());
    }
    if let Some((name, id)) = identifiers.click {
        row[name] = json!(id);
    }
    let user_identifiers: Vec<_> = [
        identifiers.email.map(|hash| json!({"userIdentifierSource": "FIRST_PARTY", "hashedEmail": hash})),
        identifiers.phone.map(|hash| json!({"userIdentifierSource": "FIRST_PARTY", "hashedPhoneNumber": hash})),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !user_identifiers.is_empty() {
        row["userIdentifiers"] = user_identifiers.into();
    }
    // Personalisation can't be said here. Silence is left out, never turned into a yes.
    let consent = match conversion.ad_user_data {
        ConsentStatus::Granted => Some("GRANTED"),
        ConsentStatus::Denied => Some("DENIED"),
        ConsentStatus::Unknown => None,
    };
    if let Some(status) = consent {
        row["consent"] = json!({"adUserData": status});
    }
    row
}

/// `ConversionAdjustment` to the value that stands now.
pub(super) fn restatement(conversion: &Conversion, action: &str) -> Value {
    let mut row = adjustment(conversion, action, "RESTATEMENT", conversion.facts.restated_at);
    if let Some(money) = &conversion.money {
        row["restatementValue"] = json!({"adjustedValue": money.value(), "currencyCode": money.currency()});
    }
    row
}

/// `ConversionAdjustment` that takes it back.
pub(super) fn retraction(conversion: &Conversion, action: &str) -> Value {
    adjustment(conversion, action, "RETRACTION", conversion.facts.retracted_at)
}

fn adjustment(conversion: &Conversion, action: &str, kind: &str, at: Option<DateTime<Utc>>) -> Value {
    // The same each time it is sent, and later than the conversion, or Google refuses it.
    let earliest = conversion.occurred_at + TimeDelta::seconds(1);
    json!({
        "adjustmentType": kind,
        "conversionAction": action,
        "orderId": conversion.transaction_id,
        "adjustmentDateTime": date_time(at.unwrap_or(earliest).max(earliest)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Email;
    use crate::platforms::google_ads::identifiers::tests::{conversion, now};
    use crate::platforms::google_ads::identifiers::usable;
    use crate::platforms::{Facts, Operation};

    const ACTION: &str = "customers/1234567890/conversionActions/987654321";

    fn row(conversion: &Conversion) -> Value {
        let identifiers = usable(conversion, Operation::Upload, TimeDelta::hours(6), true, now()).unwrap();
        click_conversion(conversion, &identifiers, ACTION)
    }

    #[test]
    fn a_conversion_becomes_the_row_google_documents() {
        let with_session = Conversion { session_attributes: Some("CAIQ".into()), ..conversion() };
        assert_eq!(
            row(&with_session),
            json!({
                "gclid": "EAIa",
                "conversionAction": ACTION,
                "conversionDateTime": "2026-11-20 13:03:11+00:00",
                "conversionValue": 6000.0,
                "currencyCode": "EUR",
                "orderId": "adtrail-1",
                "conversionEnvironment": "WEB",
                "userIdentifiers": [{
                    "userIdentifierSource": "FIRST_PARTY",
                    "hashedEmail": Email::parse("janedoe@gmail.com").unwrap().hash(),
                }],
                "consent": {"adUserData": "GRANTED"},
            })
        );
        let silent = Conversion { ad_user_data: ConsentStatus::Unknown, ..conversion() };
        assert!(row(&silent).get("consent").is_none());
    }

    #[test]
    fn a_correction_names_the_conversion_and_its_own_time() {
        let facts = Facts { restated_at: Some(now()), retracted_at: Some(now()), ..conversion().facts };
        let corrected = Conversion { facts, ..conversion() };
        let expected = |kind: &str, time: &str| {
            json!({
                "adjustmentType": kind,
                "conversionAction": ACTION,
                "orderId": "adtrail-1",
                "adjustmentDateTime": time,
            })
        };
        let mut restated = expected("RESTATEMENT", "2026-11-21 10:00:00+00:00");
        restated["restatementValue"] = json!({"adjustedValue": 6000.0, "currencyCode": "EUR"});
        assert_eq!(restatement(&corrected, ACTION), restated);
        assert_eq!(retraction(&corrected, ACTION), expected("RETRACTION", "2026-11-21 10:00:00+00:00"));
        let facts = Facts { retracted_at: Some(corrected.occurred_at), ..facts };
        let at_once = Conversion { facts, ..corrected };
        assert_eq!(retraction(&at_once, ACTION), expected("RETRACTION", "2026-11-20 13:03:12+00:00"));
    }
}
