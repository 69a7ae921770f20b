//! A conversion as an event of the Data Manager API.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::consent::ConsentStatus;
use crate::deals::Stage;
use crate::platforms::Conversion;
use crate::platforms::google_ads::Target;
use crate::platforms::google_ads::identifiers::Identifiers;

/// The event. Everything in it is the same each time it is sent, but for a changed value.
pub(super) fn event(conversion: &Conversion, identifiers: &Identifiers<'_>) -> Value {
    let mut event = json!({
        "destinationReferences": [conversion.conversion_type],
        "transactionId": conversion.transaction_id,
        "eventTimestamp": conversion.occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "eventSource": "WEB",
    });
    if let Some(money) = &conversion.money {
        event["conversionValue"] = json!(money.value());
        event["currency"] = json!(money.currency());
    }
    if let Some(at) = conversion.facts.restated_at {
        event["lastUpdatedTimestamp"] = json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
    let mut ad_identifiers = Map::new();
    if let Some((name, id)) = identifiers.click {
        ad_identifiers.insert(name.into(), json!(id));
    }
    if let Some(attributes) = identifiers.session_attributes {
        ad_identifiers.insert("sessionAttributes".into(), attributes.into());
    }
    if !ad_identifiers.is_empty() {
        event["adIdentifiers"] = ad_identifiers.into();
    }
    let user_identifiers: Vec<_> = [
        identifiers.email.map(|hash| json!({"emailAddress": hash})),
        identifiers.phone.map(|hash| json!({"phoneNumber": hash})),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !user_identifiers.is_empty() {
        event["userData"] = json!({"userIdentifiers": user_identifiers});
    }
    let consent = consent(conversion);
    if !consent.is_empty() {
        event["consent"] = consent.into();
    }
    event
}

/// What the person said; silence is left out, never turned into a yes.
fn consent(conversion: &Conversion) -> Map<String, Value> {
    let spelled = |status| match status {
        ConsentStatus::Granted => Some("CONSENT_GRANTED"),
        ConsentStatus::Denied => Some("CONSENT_DENIED"),
        ConsentStatus::Unknown => None,
    };
    [("adUserData", conversion.ad_user_data), ("adPersonalization", conversion.ad_personalization)]
        .into_iter()
        .filter_map(|(name, status)| Some((name.to_owned(), spelled(status)?.into())))
        .collect()
}

/// The request for these events, all of this type and for this conversion action.
pub(super) fn request<'a>(target: Target<'_>, kind: &Stage, events: impl Iterator<Item = &'a Value>) -> Value {
    let account = |id: &str| json!({"accountType": "GOOGLE_ADS", "accountId": id});
    let mut destination = json!({
        "reference": kind,
        "operatingAccount": account(target.customer_id),
        "productDestinationId": target.action,
    });
    if let Some(manager) = target.manager {
        destination["loginAccount"] = account(manager);
    }
    let events: Vec<_> = events.collect();
    let mut request = json!({"destinations": [destination]});
    if events.iter().any(|event| event.get("userData").is_some()) {
        request["encoding"] = "HEX".into();
    }
    request["events"] = json!(events);
    request
}

#[cfg(test)]
mod tests {

    use chrono::TimeDelta;

    use super::*;
    use crate::identity::Email;
    use crate::platforms::google_ads::GoogleAds;
    use crate::platforms::google_ads::identifiers::tests::{conversion, now};
    use crate::platforms::google_ads::identifiers::usable;
    use crate::platforms::google_ads::tests::google;
    use crate::platforms::{Facts, Operation};

    const TARGET: Target<'_> = Target { customer_id: "1234567890", action: "987654321", manager: None };

    fn event_of(conversion: &Conversion) -> Value {
        event(conversion, &usable(conversion, Operation::Upload, TimeDelta::hours(6), true, now()).unwrap())
    }

    #[test]
    fn a_conversion_becomes_the_event_google_documents() {
        let hash = Email::parse("janedoe@gmail.com").unwrap().hash();
        let conversion = conversion();
        assert_eq!(
            request(TARGET, &Stage::closed(), std::iter::once(&event_of(&conversion))),
            json!({
                "destinations": [{
                    "reference": "closed",
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                    "productDestinationId": "987654321",
                }],
                "encoding": "HEX",
                "events": [{
                    "destinationReferences": ["closed"],
                    "transactionId": "adtrail-1",
                    "eventTimestamp": "2026-11-20T13:03:11Z",
                    "eventSource": "WEB",
                    "conversionValue": 6000.0,
                    "currency": "EUR",
                    "adIdentifiers": {"gclid": "EAIa"},
                    "userData": {"userIdentifiers": [{"emailAddress": hash}]},
                    "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"},
                }],
            })
        );
    }

    #[test]
    fn a_changed_value_says_when_it_changed_and_session_attributes_go_along() {
        let restated = Conversion {
            facts: Facts { restated_at: Some(now()), ..conversion().facts },
            session_attributes: Some("CAIQ".into()),
            ..conversion()
        };
        let event = event_of(&restated);
        assert_eq!(event["lastUpdatedTimestamp"], "2026-11-21T10:00:00Z");
        assert_eq!(event["adIdentifiers"], json!({"gclid": "EAIa", "sessionAttributes": "CAIQ"}));
    }

    #[test]
    fn silence_on_consent_is_not_turned_into_a_yes() {
        let silent = Conversion {
            ad_user_data: ConsentStatus::Unknown,
            ad_personalization: ConsentStatus::Unknown,
            ..conversion()
        };
        assert!(event_of(&silent).get("consent").is_none());
    }

    #[test]
    fn the_manager_is_named_only_when_access_goes_through_one() {
        let google = |manager: Option<&str>| GoogleAds { login_customer_id: manager.map(Into::into), ..google() };
        let destination = |google: &GoogleAds| {
            let event = event_of(&conversion());
            let conversion = conversion();
            let target = google.target_of(&conversion).unwrap();
            request(target, &Stage::closed(), std::iter::once(&event))["destinations"][0].clone()
        };
        assert_eq!(destination(&google(Some("9876543210")))["loginAccount"]["accountId"], "9876543210");
        assert!(destination(&google(Some(TARGET.customer_id))).get("loginAccount").is_none());
        assert!(destination(&google(None)).get("loginAccount").is_none());
    }
}
