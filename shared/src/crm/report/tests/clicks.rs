//! Click ids that a CRM kept.

use super::*;
use crate::attribution::networks::{Kind, NETWORKS};

fn contract() -> Source {
    Sources::preset(DEFAULT, &Stages::default(), &secret).unwrap()
}

/// A deal of jane@example.com in the contract's format, with these fields.
fn with(fields: &Value) -> Value {
    let mut item = json!({"crm_deal_id": "D-1", "conversion_type": "closed", "email": "jane@example.com"});
    item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    item
}

/// The clicks, and which fields are warned of.
fn clicks(source: &Source, item: &Value) -> (Value, Vec<&'static str>) {
    let warned = read(source, item).warnings.iter().map(|it| it.field).collect();
    (json!(deal(source, item).clicks), warned)
}

/// A value that this parameter can have.
fn sample(name: &str) -> &'static str {
    if name == "fbc" { "fb.1.1763632800000.IwAR2F4-dbP0l7Mn1IawQQ" } else { "IwAR2F4-dbP0l7Mn1IawQQ" }
}

#[test]
fn the_contract_has_every_value_of_every_network_under_its_own_name() {
    let contract = contract();
    for network in NETWORKS {
        let values: serde_json::Map<_, _> =
            network.parameters.iter().map(|it| (it.name.to_owned(), json!(sample(it.name)))).collect();
        let mut expected = json!({ network.id: values });
        if network.parameters.iter().any(|it| it.name == "fbc") {
            expected[network.id]["at"] = json!("2025-11-20T10:00:00Z");
        }
        let item = with(&json!(values));
        assert_eq!(clicks(&contract, &item), (expected, vec![]));
    }
}

#[test]
fn what_cannot_be_a_networks_value_is_warned_of_and_the_deal_counts() {
    let contract = contract();
    let lenient = Sources::preset("make", &Stages::default(), &secret).unwrap();
    let junk = [json!(["a"]), json!({"a": 1}), json!(true), json!(1.5), json!("x".repeat(10_000)), json!("a\u{1}b")];
    for parameter in NETWORKS.iter().flat_map(|network| network.parameters) {
        for value in &junk {
            let item = with(&json!({ parameter.name: value }));
            for source in [&contract, &lenient] {
                assert_eq!(clicks(source, &item), (json!({}), vec![parameter.name]), "{value}");
            }
            let reading = read(&contract, &item);
            assert!(reading.warnings[0].detail.contains("at most 512 characters"), "{:?}", reading.warnings);
        }
        for absent in [json!(null), json!(""), json!("  "), json!([]), json!(false)] {
            let item = with(&json!({ parameter.name: absent }));
            assert_eq!(clicks(&contract, &item), (json!({}), vec![]), "{} {absent}", parameter.name);
        }
        let number = clicks(&contract, &with(&json!({"gclid": "a", parameter.name: 7}))).1;
        let may_be_a_number = parameter.kind == Kind::Detail && parameter.name != "fbc";
        assert_eq!(number.is_empty(), may_be_a_number, "{}", parameter.name);
    }
    // The one doesn't take the other along.
    let mixed = with(&json!({"gclid": " EAIa-1 ", "gad_campaignid": 21_345_678_901_u64, "msclkid": "a b", "fbp": "p"}));
    let expected = json!({"google": {"gclid": "EAIa-1", "gad_campaignid": "21345678901"}, "meta": {"fbp": "p"}});
    assert_eq!(clicks(&contract, &mixed), (expected, vec!["msclkid"]));
    assert_eq!(deal(&contract, &mixed).crm_deal_id, "D-1");
}

#[test]
fn a_click_happened_when_the_crm_says() {
    let fields =
        "email = \"/email\"\nzone = \"+01:00\"\ngclid = \"/click/google\"\nclicked_at = [\"/click/at\", \"/at\"]";
    let source = source("", fields, ALWAYS);
    let click = |at: Value| {
        let item = json!({"id": 7, "email": "jane@example.com", "click": {"google": "one", "at": at}});
        let (clicks, warned) = clicks(&source, &item);
        assert_eq!(clicks["google"]["gclid"], "one");
        (clicks["google"]["at"].clone(), warned)
    };
    for (at, expected) in [
        (json!("2026-11-19T10:00:00Z"), json!("2026-11-19T10:00:00Z")),
        (json!("2026-11-19 11:00:00"), json!("2026-11-19T10:00:00Z")),
        (json!(1_795_082_400), json!("2026-11-19T10:00:00Z")),
        // A clock that is a little ahead.
        (json!("2026-11-20T12:05:00Z"), json!("2026-11-20T12:00:00Z")),
        (json!(null), json!(null)),
        (json!(""), json!(null)),
        (json!(false), json!(null)),
    ] {
        assert_eq!(click(at.clone()), (expected, vec![]), "{at}");
    }
    for at in [json!("2026-11-21T10:00:00Z"), json!("yesterday"), json!({}), json!("x".repeat(10_000)), json!(7)] {
        assert_eq!(click(at.clone()), (json!(null), vec!["clicked_at"]), "{at}");
    }
    // Meta's cookie says it itself.
    let item = with(&json!({"fbc": sample("fbc"), "gclid": "one", "clicked_at": "2026-11-19T10:00:00Z"}));
    let (of_each, _) = clicks(&contract(), &item);
    assert_eq!(of_each["meta"]["at"], "2025-11-20T10:00:00Z");
    assert_eq!(of_each["google"]["at"], "2026-11-19T10:00:00Z");
}

#[test]
fn a_field_may_be_in_several_places_and_a_loss_has_no_clicks() {
    let fields = "email = \"/email\"\ngclid = [\"/first\", \"/second\"]";
    let source = source("", fields, ALWAYS);
    for first in [json!(null), json!(""), json!(false)] {
        let item = json!({"id": 7, "email": "jane@example.com", "first": first, "second": "two"});
        assert_eq!(clicks(&source, &item), (json!({"google": {"gclid": "two"}}), vec![]), "{first}");
    }
    let lost = json!({"crm_deal_id": "D-1", "conversion_type": "lost", "gclid": 7, "clicked_at": "never"});
    let reading = read(&contract(), &lost);
    assert!(matches!(reading.meaning, Meaning::Report(Report::Lost(_))) && reading.warnings.is_empty(), "{reading:?}");
}
