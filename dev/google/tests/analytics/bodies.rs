//! The requests byte for byte, as Google documents them.

use serde_json::{Value, json};
use shared::analytics::EventToSend;
use shared::consent::{Consent, ConsentStatus};
use shared::identity::Hash;

use crate::trial::{BOTH_WAYS, DATA_MANAGER, MEASUREMENT_PROTOCOL, Trial, event, lead};

async fn body(declaration: &str, event: &EventToSend) -> (String, Value) {
    let trial = Trial::start().await;
    let (destinations, _) = trial.connect(&trial.values(declaration));
    let shown = destinations.iter().next().expect("a destination").preview(event).expect("a request");
    let url = shown.url.replace(&trial.url, "");
    // What is shown is what is sent.
    let lane = trial.lane(declaration);
    trial.send(lane.as_ref(), std::slice::from_ref(event)).await;
    let requests = trial.sandbox.requests();
    assert_eq!(requests.ingest.iter().chain(&requests.collect).collect::<Vec<_>>(), [&shown.body]);
    (url, serde_json::from_str(&shown.body).expect("JSON"))
}

fn purchase() -> EventToSend {
    let params = json!({
        "transaction_id": "T_12345", "value": 83.99, "currency": "USD", "coupon": "SUMMER_FUN", "shipping": 3.33,
        "items": [{
            "item_id": "SKU_12345", "item_name": "Tee", "price": 10.01, "quantity": 3, "index": 0, "discount": 2.22,
        }],
    });
    let hash = Hash::of("jane@example.com");
    let consent = Consent { ad_user_data: ConsentStatus::Granted, ad_personalization: ConsentStatus::Denied };
    EventToSend { consent, email_hash_google: Some(hash), ..event("purchase", &params) }
}

#[tokio::test]
async fn a_purchase_becomes_the_event_that_google_documents() {
    let (url, body) = body(DATA_MANAGER, &purchase()).await;
    assert_eq!(url, "/v1/events:ingest");
    let property = json!({ "accountType": "GOOGLE_ANALYTICS_PROPERTY", "accountId": "123456789" });
    let param = |name: &str, value: &str| json!({ "parameterName": name, "value": value });
    assert_eq!(
        body,
        json!({
            "destinations": [{
                "operatingAccount": property,
                "loginAccount": property,
                "productDestinationId": "G-DEV1234567",
            }],
            "encoding": "HEX",
            "events": [{
                "eventName": "purchase",
                "transactionId": "T_12345",
                "conversionValue": 83.99,
                "currency": "USD",
                "eventTimestamp": "2026-11-29T11:59:00Z",
                "eventSource": "WEB",
                "clientId": "1234567890.1700000000",
                "cartData": {
                    "couponCodes": ["SUMMER_FUN"],
                    "items": [{
                        "itemId": "SKU_12345",
                        "quantity": "3",
                        "unitPrice": 10.01,
                        "additionalItemParameters": [
                            param("discount", "2.22"), param("index", "0"), param("item_name", "Tee"),
                        ],
                    }],
                },
                "additionalEventParameters": [
                    param("session_id", "1764417000"),
                    param("engagement_time_msec", "1"),
                    param("page_location", "https://www.example.com/lp?utm_source=google"),
                    param("shipping", "3.33"),
                ],
                "eventDeviceInfo": { "userAgent": "Mozilla/5.0 (X11; Linux x86_64)" },
                "consent": { "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED" },
                "userData": { "userIdentifiers": [{ "emailAddress": Hash::of("jane@example.com") }] },
            }],
        })
    );
}

#[tokio::test]
async fn the_same_by_the_measurement_protocol_without_browser_and_address() {
    let (url, body) = body(MEASUREMENT_PROTOCOL, &purchase()).await;
    assert_eq!(url, "/mp/collect?measurement_id=G-DEV1234567&api_secret=…");
    assert_eq!(
        body,
        json!({
            "client_id": "1234567890.1700000000",
            "consent": { "ad_user_data": "GRANTED", "ad_personalization": "DENIED" },
            "user_data": { "sha256_email_address": [Hash::of("jane@example.com")] },
            "events": [{
                "name": "purchase",
                "timestamp_micros": 1_795_953_540_000_000_i64,
                "params": {
                    "session_id": "1764417000",
                    "engagement_time_msec": 1,
                    "transaction_id": "T_12345",
                    "value": 83.99,
                    "currency": "USD",
                    "coupon": "SUMMER_FUN",
                    "shipping": 3.33,
                    "page_location": "https://www.example.com/lp?utm_source=google",
                    "items": [{
                        "item_id": "SKU_12345", "item_name": "Tee", "price": 10.01, "quantity": 3, "index": 0,
                        "discount": 2.22,
                    }],
                },
            }],
        })
    );
}

#[tokio::test]
async fn silence_is_not_turned_into_a_yes_and_a_no_sends_no_hashes() {
    let of = |ad_user_data| EventToSend {
        consent: Consent { ad_user_data, ad_personalization: ConsentStatus::Unknown },
        phone_hash: Some(Hash::of("+4930901820")),
        ..lead()
    };
    for declaration in BOTH_WAYS {
        let (_, silent) = body(declaration, &of(ConsentStatus::Unknown)).await;
        let (_, denied) = body(declaration, &of(ConsentStatus::Denied)).await;
        assert!(!silent.to_string().contains("onsent") && denied.to_string().contains("DENIED"), "{silent} {denied}");
        for body in [silent, denied] {
            assert!(!body.to_string().contains(Hash::of("+4930901820").as_str()), "{body}");
        }
        let (_, granted) = body(declaration, &of(ConsentStatus::Granted)).await;
        assert!(granted.to_string().contains(Hash::of("+4930901820").as_str()), "{granted}");
    }
}

#[tokio::test]
async fn an_empty_transaction_id_is_never_sent_and_other_events_have_none_of_their_own() {
    for declaration in BOTH_WAYS {
        let bought = event("purchase", &json!({ "transaction_id": " " }));
        let (_, sent) = body(declaration, &bought).await;
        assert!(sent.to_string().contains(&bought.event_id), "{sent}");
        let (_, sent) = body(declaration, &event("generate_lead", &json!({ "transaction_id": "L-1" }))).await;
        assert!(!sent.to_string().contains("transactionId") && sent.to_string().contains("L-1"), "{sent}");
    }
}
