//! Whatever the website reports, what is sent is within every limit, on both ways.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use shared::analytics::{EventOutcome, EventToSend};
use tokio::runtime::Runtime;

use crate::trial::{BOTH_WAYS, Trial, client, code, event};

/// Sends these by a way of their own, and what the sandbox says of them must be nothing.
async fn sent(declaration: &str, events: &[EventToSend]) -> (Trial, Vec<EventOutcome>) {
    let trial = Trial::start().await;
    let lane = trial.lane(declaration);
    let (outcomes, _) = trial.send(lane.as_ref(), events).await;
    let analytics = trial.sandbox.analytics();
    assert!(analytics.findings.is_empty(), "{declaration}: {:#?}", analytics.findings);
    let taken =
        outcomes.iter().filter(|it| matches!(it, EventOutcome::Accepted { .. } | EventOutcome::Recorded)).count();
    assert_eq!(taken, analytics.events.len() + analytics.repeated_purchases, "{declaration}: {outcomes:#?}");
    for outcome in &outcomes {
        let is_ours = matches!(code(outcome).1.as_str(), "" | "invalid_event_name" | "reserved_event_name");
        assert!(is_ours, "{declaration}: {outcome:?}");
    }
    (trial, outcomes)
}

fn many(prefix: &str, count: usize, value: &Value) -> Value {
    (0..count).map(|at| (format!("{prefix}{at:03}"), value.clone())).collect::<Map<_, _>>().into()
}

/// A cart as no shop has one.
fn cart(items: usize, params: usize, text: &str) -> Value {
    let mut item = many("p", params, &json!(text));
    item["item_id"] = json!(text);
    item["price"] = json!("12.50");
    item["quantity"] = json!(2);
    item["item_name"] = json!(text);
    item["google_business_vertical"] = json!("retail");
    item["deep"] = json!({ "a": [1] });
    json!({ "transaction_id": text, "currency": "eur", "value": "1e3", "items": vec![item; items] })
}

#[tokio::test]
async fn what_is_at_a_limit_passes_and_what_is_above_is_cut_or_left_out() {
    let name = "n".repeat(40);
    let emoji = "😀".repeat(500);
    let controls = "\u{1}\u{7f}\u{202e}\u{200b}é\\\"".repeat(60);
    let bodies = [
        json!({}),
        many("p", 25, &json!("x".repeat(100))),
        many("p", 26, &json!("x".repeat(101))),
        many("p", 90, &json!(emoji)),
        json!({ name.clone(): "x", format!("{name}n"): "y", "ga_x": 1, "google_y": 2, "_z": 3, "gtag.a": 1, "1st": 1, "": 1 }),
        json!({ "session_id": "1700000000", "engagement_time_msec": 0, "timestamp_micros": 5, "user_data": { "a": 1 } }),
        json!({ "session_id": -4, "engagement_time_msec": "soon", "page_location": "https://other.example.com" }),
        json!({ "a": 1e308, "b": u64::MAX, "c": i64::MIN, "d": -0.0, "e": 5e-324, "f": true, "g": null, "h": {}, "i": [] }),
        json!({ "value": -5, "currency": "EUR" }),
        json!({ "value": 5 }),
        json!({ "value": "many", "currency": "Euro", "coupon": "  ", "transaction_id": "" }),
        json!({ "value": 1e308, "currency": "JPY", "coupon": emoji, "transaction_id": controls }),
        json!({ "items": "none", "page_title": controls, "page_referrer": emoji }),
        json!({ "items": [1, null, {}, { "price": 5 }, { "item_name": "Tee", "quantity": 1.5, "price": "free" }] }),
        cart(200, 27, &"x".repeat(100)),
        cart(500, 40, &emoji),
        cart(201, 40, &controls),
    ];
    let pages = [None, Some(format!("https://www.example.com/{}?q={}", "p".repeat(2_000), "x".repeat(9_000)))];
    for declaration in BOTH_WAYS {
        let mut events = Vec::new();
        for (at, params) in bodies.iter().enumerate() {
            for page_url in &pages {
                for name in ["generate_lead", "purchase", "refund", &name] {
                    let client_id = client(&format!("{at}.1"));
                    events.push(EventToSend { page_url: page_url.clone(), client_id, ..event(name, params) });
                }
            }
        }
        let (_, outcomes) = sent(declaration, &events).await;
        for (outcome, event) in outcomes.iter().zip(&events) {
            let is_taken = matches!(outcome, EventOutcome::Accepted { .. } | EventOutcome::Recorded);
            assert!(is_taken, "{declaration} {}: {outcome:?}", event.name);
        }
    }
}

#[tokio::test]
async fn names_that_google_does_not_take_are_refused_with_a_sentence() {
    let names = ["session_start", "first_visit", "error", "ga_lead", "_lead", "google_lead", "firebase_x"];
    let odd = ["", "1st", "with space", "läad", "gtag.lead", &"n".repeat(41)];
    for declaration in BOTH_WAYS {
        let events: Vec<_> = names.iter().chain(&odd).map(|name| event(name, &json!({}))).collect();
        let (_, outcomes) = sent(declaration, &events).await;
        for (outcome, event) in outcomes.iter().zip(&events) {
            assert!(
                matches!(outcome, EventOutcome::Rejected(it) if it.message.contains("rename it")),
                "{}",
                event.name
            );
        }
    }
}

#[tokio::test]
async fn what_the_website_says_arrives() {
    let params = json!({
        "transaction_id": "T-1", "value": 30.03, "currency": "USD", "coupon": "SUMMER", "tax": 1.11, "method": "card",
        "items": [{ "item_id": "SKU", "item_name": "Tee", "price": 10.01, "quantity": 3, "colour": "red" }],
    });
    for declaration in BOTH_WAYS {
        let (trial, _) = sent(declaration, &[event("purchase", &params)]).await;
        let counted = trial.sandbox.analytics().events.remove(0);
        for (name, value) in [
            ("transaction_id", "T-1"),
            ("value", "30.03"),
            ("currency", "USD"),
            ("coupon", "SUMMER"),
            ("tax", "1.11"),
            ("method", "card"),
            ("session_id", "1764417000"),
            ("engagement_time_msec", "1"),
            ("page_location", "https://www.example.com/lp?utm_source=google"),
        ] {
            assert_eq!(counted.param(name).as_deref(), Some(value), "{declaration} {name}");
        }
        assert!(counted.param("items").is_some_and(|items| items.contains("SKU")), "{declaration}");
        assert_eq!(counted.client_id, "1234567890.1700000000");
    }
}

#[tokio::test]
async fn an_e_mail_address_stays_here() {
    let params = json!({
        "email": "jane@example.com", "note": "call jane%40example.com", "method": "form", "transaction_id": "jane@example.com",
        "items": [{ "item_id": "SKU", "item_brand": "by jane@example.com" }],
    });
    for declaration in BOTH_WAYS {
        let page_url = Some("https://www.example.com/thanks?email=jane%40example.com".to_owned());
        let event_id = "jane@example.com".to_owned();
        let (trial, _) = sent(declaration, &[EventToSend { page_url, event_id, ..event("purchase", &params) }]).await;
        let requests = trial.sandbox.requests();
        let bodies: Vec<_> = requests.ingest.iter().chain(&requests.collect).collect();
        assert!(!bodies.is_empty() && bodies.iter().all(|body| !body.contains("jane")), "{bodies:?}");
        let counted = trial.sandbox.analytics().events.remove(0);
        assert_eq!(counted.param("page_location").as_deref(), Some("https://www.example.com/thanks"));
        assert!(counted.param("transaction_id").is_some_and(|id| id.len() == 32), "{counted:?}");
    }
}

/// A text that somebody wants to break something with.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z_]{1,45}",
        "\\PC{90,130}",
        Just("T-1".to_owned()),
        Just("😀".repeat(51)),
        "[0-9.e-]{1,12}",
        "(ga|google|firebase|gtag|)_[a-z]{0,9}",
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|it| json!(it)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 40, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((text(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn known_name() -> impl Strategy<Value = String> {
    let known = [
        "transaction_id",
        "value",
        "currency",
        "coupon",
        "items",
        "session_id",
        "engagement_time_msec",
        "page_location",
        "page_title",
        "page_referrer",
        "item_id",
        "item_name",
        "price",
        "quantity",
        "index",
        "timestamp_micros",
    ];
    prop_oneof![proptest::sample::select(known.map(str::to_owned).to_vec()), text()]
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    vec((known_name(), json_value()), 0..40).prop_map(|pairs| pairs.into_iter().collect())
}

fn reported() -> impl Strategy<Value = EventToSend> {
    let names = ["purchase", "refund", "generate_lead", "add_to_cart", "page_view", "session_start"];
    let name = prop_oneof![proptest::sample::select(names.map(str::to_owned).to_vec()), text()];
    let params = (object(), vec(object(), 0..4)).prop_map(|(mut params, items)| {
        if !items.is_empty() {
            params.insert("items".to_owned(), items.into_iter().map(Value::from).collect());
        }
        params
    });
    (name, params, proptest::option::of(text()), 0..3_u8, any::<bool>()).prop_map(
        |(name, params, page_url, of, has_session)| {
            let plain = event(&name, &json!({}));
            EventToSend {
                params,
                page_url,
                client_id: client(&format!("{of}.1")),
                session_id: plain.session_id.filter(|_| has_session),
                ..plain
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_reported_passes_or_is_refused_here(events in vec(reported(), 1..30)) {
        let runtime = Runtime::new().expect("a runtime");
        for declaration in BOTH_WAYS {
            runtime.block_on(sent(declaration, &events));
        }
    }
}
