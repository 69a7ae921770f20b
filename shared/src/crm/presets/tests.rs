use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;
use crate::crm::{Circumstances, Meaning, Reading, Report, Source, Sources};
use crate::identity::{Email, Hash};

fn received_at() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// The items of the sample and what they mean before anything is fetched.
fn read(source: &Source, item: &Value) -> Reading {
    let when = Circumstances {
        received_at: received_at(),
        region: None,
        payload_hash: Hash::of("body"),
        event_id: None,
        has_replaced: false,
    };
    source.read(item, &when)
}

fn sample_items(name: &str) -> (Source, Vec<Value>) {
    let source = Sources::preset(name, &Stages::default(), &|_| None).unwrap();
    let items = source.items(sample(name).unwrap().body.as_bytes()).unwrap();
    let items = items.into_iter().map(|item| item.value).collect::<Vec<_>>();
    (source, items)
}

/// The results of the lookups.
fn fetched() -> Value {
    let properties = json!({"amount": "6000.50", "deal_currency_code": "EUR", "dealstage": "closedwon"});
    json!({"emails": ["jane@example.com", "j@example.com"], "phones": [], "deal": {"id": "7", "properties": properties}})
}

#[test]
fn every_sample_is_read_to_the_deal_it_is_about() {
    // Name, deal, event, value, currency, second of the day; all were won, and are jane@example.com's.
    let at = "2026-11-20T11:03:11Z";
    let cases = [
        (
            "close",
            "oppo_7H4example00000000000000000000000000000000001",
            Some("ev_2sYKRexample0000000001-2026-11-20T11:03:11.395000"),
            6000.5,
            "EUR",
            "2026-11-20T11:03:11.395Z",
        ),
        ("crm-conversion", "D-1042", None, 6000.0, "EUR", at),
        ("gohighlevel", "exampleOpportunity01", None, 6000.5, "USD", "2026-11-20T12:00:00Z"),
        ("hubspot-app", "17812345678", Some("3816279340-17812345678-dealstage-1795172591000"), 6000.5, "EUR", at),
        ("hubspot-workflow", "17812345678", None, 6000.5, "EUR", at),
        ("make", "1042", None, 6000.5, "EUR", at),
        ("n8n", "1042", None, 6000.5, "EUR", at),
        ("nethunt", "65f1c0ffee0000000000a001", None, 6000.0, "EUR", at),
        ("pipedrive", "178", Some("8818e477-0000-4000-8000-000000000002"), 6000.5, "EUR", at),
        ("salesforce-flow", "006000000000001AAA", None, 6000.5, "EUR", at),
        ("standard-webhooks", "deal_1042", None, 6000.5, "EUR", at),
        ("zapier", "1042", None, 6000.5, "EUR", at),
        ("zoho", "4150868000003194003", None, 6000.5, "EUR", at),
    ];
    assert!(names().eq(cases.iter().map(|case| case.0)), "each has a case");
    for (name, deal_id, event_id, value, currency, at) in cases {
        let (source, mut items) = sample_items(name);
        let mut reading = read(&source, &items[0]);
        let must_fetch = ["close", "hubspot-app", "pipedrive"].contains(&name);
        assert_eq!(matches!(reading.meaning, Meaning::Fetch), must_fetch, "{name}: {:?}", reading.meaning);
        if must_fetch {
            items[0]["fetched"] = fetched();
            reading = read(&source, &items[0]);
        }
        assert!(reading.warnings.is_empty(), "{name}: {:?}", reading.warnings);
        assert_eq!(reading.event_id.as_deref(), event_id, "{name}");
        let Meaning::Report(Report::Reached(deal)) = reading.meaning else { panic!("{name}: {:?}", reading.meaning) };
        assert_eq!(deal.crm_deal_id, deal_id, "{name}");
        assert_eq!(deal.conversion_type.as_str(), "closed", "{name}");
        assert_eq!(
            deal.money.map(|it| (it.value(), it.currency().to_owned())),
            Some((value, currency.into())),
            "{name}"
        );
        assert_eq!(
            deal.occurred_at.or(deal.event_at).unwrap_or(received_at()),
            at.parse::<DateTime<Utc>>().unwrap(),
            "{name}"
        );
        assert_eq!(deal.email.as_ref().map(Email::as_str), Some("jane@example.com"), "{name}");
        assert_eq!(deal.other_emails.len(), usize::from(must_fetch), "{name}");
    }
}

/// The changes to a sample, by pointer.
type Change = (&'static str, Value);

#[test]
fn other_stages_of_the_samples_have_the_right_outcome() {
    let cases: [(&str, &[Change], &str); 25] = [
        ("close", &[("/event/data/status_type", json!("lost"))], "Lost"),
        (
            "close",
            &[("/event/data/status_type", json!("active")), ("/event/data/status_label", json!("Demo Completed"))],
            "Stage(\"qualified\")",
        ),
        ("close", &[("/event/data/status_type", json!("active"))], "no rule matches: stage = Won, status = active"),
        ("close", &[("/event/object_type", json!("lead"))], "only /event/object_type = opportunity is processed"),
        ("gohighlevel", &[("/status", json!("abandoned"))], "Lost"),
        (
            "gohighlevel",
            &[("/status", json!("open")), ("/pipleline_stage", json!("Qualified"))],
            "Stage(\"qualified\")",
        ),
        ("gohighlevel", &[("/status", json!("open"))], "is_reopened: true"),
        ("hubspot-app", &[("/propertyValue", json!("closedlost"))], "Lost"),
        ("hubspot-app", &[("/propertyValue", json!("qualifiedtobuy"))], "Stage(\"qualified\")"),
        ("hubspot-app", &[("/propertyValue", json!("appointmentscheduled"))], "is_reopened: true"),
        ("hubspot-app", &[("/propertyValue", json!("123456"))], "no rule matches"),
        ("hubspot-app", &[("/subscriptionType", json!("deal.creation"))], "only /subscriptionType"),
        ("hubspot-workflow", &[("/properties/dealstage/value", json!("closedlost"))], "Lost"),
        ("hubspot-workflow", &[("/properties/dealstage", json!("contractsent"))], "Stage(\"qualified\")"),
        ("nethunt", &[("/stage", json!("Lost"))], "Lost"),
        ("nethunt", &[("/stage", json!("qualified"))], "Stage(\"qualified\")"),
        ("pipedrive", &[("/data/status", json!("lost"))], "Lost"),
        ("pipedrive", &[("/data/status", json!("open"))], "Stage(\"qualified\")"),
        ("pipedrive", &[("/data/status", json!("open")), ("/previous/status", json!("won"))], "is_reopened: true"),
        (
            "pipedrive",
            &[("/data/status", json!("open")), ("/data/stage_id", json!(1))],
            "no rule matches: stage = 1, status = open",
        ),
        ("salesforce-flow", &[("/IsWon", json!(false))], "Lost"),
        (
            "salesforce-flow",
            &[("/IsWon", json!(false)), ("/IsClosed", json!(false)), ("/StageName", json!("Negotiation/Review"))],
            "Stage(\"qualified\")",
        ),
        ("standard-webhooks", &[("/type", json!("deal.refunded"))], "Lost"),
        ("zapier", &[("/conversion_type", json!("won"))], "no rule matches: stage = won"),
        ("zoho", &[("/stage", json!("Closed Lost"))], "Lost"),
    ];
    for (name, changes, means) in cases {
        let (source, mut items) = sample_items(name);
        for (pointer, value) in changes {
            *items[0].pointer_mut(pointer).unwrap() = value.clone();
        }
        items[0]["fetched"] = fetched();
        let meaning = format!("{:?}", read(&source, &items[0]).meaning);
        assert!(meaning.contains(means), "{name} {changes:?}: {meaning}");
    }
}

#[test]
fn a_new_amount_of_a_hubspot_deal_counts_once_it_is_won() {
    let (source, mut items) = sample_items("hubspot-app");
    assert!(matches!(read(&source, &items[1]).meaning, Meaning::Fetch));
    items[1]["fetched"] = fetched();
    let reading = read(&source, &items[1]);
    assert!(matches!(&reading.meaning, Meaning::Report(Report::Reached(_))), "{reading:?}");
    items[1]["fetched"]["deal"]["properties"]["dealstage"] = json!("contractsent");
    assert!(matches!(read(&source, &items[1]).meaning, Meaning::Ignored(_)));
}

#[test]
fn a_hubspot_deal_has_the_clicks_of_its_first_contact() {
    let (source, mut items) = sample_items("hubspot-app");
    let contact = |properties: Value| json!({"id": "1", "properties": properties});
    items[0]["fetched"] = fetched();
    items[0]["fetched"]["contacts"] = json!([
        contact(json!({"email": "jane@example.com", "hs_google_click_id": "one", "hs_facebook_click_id": "two"})),
        contact(json!({"email": "j@example.com", "hs_google_click_id": "three"})),
    ]);
    let reading = read(&source, &items[0]);
    let Meaning::Report(Report::Reached(deal)) = reading.meaning else { panic!("{:?}", reading.meaning) };
    assert_eq!(json!(deal.clicks), json!({"google": {"gclid": "one"}, "meta": {"fbclid": "two"}}));
}

#[test]
fn deals_of_two_crms_are_kept_apart_by_a_prefix() {
    let toml = "[hubspot]\npreset = \"hubspot-app\"\n[hubspot.fields]\ndeal_id = { join = [\"hs-\", \"/objectId\"] }";
    let sources =
        Sources::parse(toml, &Stages::default(), &|_| Some("0123456789abcdef0123456789abcdef".into())).unwrap();
    let source = sources.get("hubspot").unwrap();
    let items = source.items(sample("hubspot-app").unwrap().body.as_bytes()).unwrap();
    assert_eq!(read(source, &items[0].value).crm_deal_id.as_deref(), Some("hs-17812345678"));
}

/// It was right while deletions were ignored, and Pipedrive turns a webhook off that answers with errors.
#[test]
fn a_deletion_in_which_an_older_declaration_finds_no_id_is_ignored() {
    let toml = "[pipedrive]\npreset = \"pipedrive\"\n[pipedrive.fields]\ndeal_id = { join = [\"pd-\", \"/data/id\"] }";
    let sources = Sources::draft(toml, &Stages::default(), &|_| None).unwrap();
    let (_, mut items) = sample_items("pipedrive");
    items[0]["meta"]["action"] = json!("delete");
    items[0]["data"] = json!(null);
    let meaning = read(sources.get("pipedrive").unwrap(), &items[0]).meaning;
    assert!(matches!(&meaning, Meaning::Ignored(why) if why.contains("deal_id finds no id")), "{meaning:?}");
}

/// What ends, restores, reopens or merges deals, in words.
fn in_words(meaning: &Meaning) -> String {
    match meaning {
        Meaning::Report(Report::Deleted(it)) => format!("deleted {}", it.crm_deal_id),
        Meaning::Report(Report::Restored(it)) => format!("restored {}", it.crm_deal_id),
        Meaning::Report(Report::Merged(it)) => format!("merged {} into {}", it.from.join(", "), it.into),
        Meaning::Report(Report::Lost(it)) if it.is_reopened => format!("reopened {}", it.crm_deal_id),
        Meaning::Report(Report::Lost(it)) => format!("lost {}", it.crm_deal_id),
        Meaning::Ignored(_) => "ignored".into(),
        Meaning::Unusable(_) => "unusable".into(),
        other => format!("{other:?}"),
    }
}

/// What became of deals after their win, as each CRM sends it, and what it means.
#[test]
fn what_becomes_of_a_won_deal_is_known() {
    let deleted = |id: &str| format!("deleted {id}");
    let cases: [(&str, &str, Value, String); 21] = [
        ("hubspot-app", "deal.deletion", json!({"objectId": 7}), deleted("7")),
        ("hubspot-app", "object.deletion", json!({"objectId": 7, "objectTypeId": "0-3"}), deleted("7")),
        ("hubspot-app", "object.deletion", json!({"objectId": 7, "objectTypeId": "0-1"}), "ignored".into()),
        ("hubspot-app", "deal.restore", json!({"objectId": 7}), "restored 7".into()),
        ("hubspot-app", "object.restore", json!({"objectId": 7, "objectTypeId": "0-3"}), "restored 7".into()),
        (
            "hubspot-app",
            "deal.merge",
            json!({"primaryObjectId": 7, "mergedObjectIds": [8, 9], "newObjectId": 10}),
            "merged 7, 8, 9 into 10".into(),
        ),
        (
            "hubspot-app",
            "deal.merge",
            json!({"objectId": 7, "primaryObjectId": 7, "mergedObjectIds": [8], "newObjectId": null}),
            "merged 8 into 7".into(),
        ),
        (
            "hubspot-app",
            "object.merge",
            json!({"objectTypeId": "0-3", "primaryObjectId": 7, "mergedObjectIds": [8], "newObjectId": 7}),
            "merged 8 into 7".into(),
        ),
        (
            "hubspot-app",
            "object.merge",
            json!({"objectTypeId": "0-2", "primaryObjectId": 7, "mergedObjectIds": [8]}),
            "ignored".into(),
        ),
        ("hubspot-app", "deal.merge", json!({"mergedObjectIds": [8]}), "unusable".into()),
        ("pipedrive", "delete", json!({"data": null, "previous": {"id": 7, "status": "won"}}), deleted("7")),
        ("pipedrive", "delete", json!({"data": null, "previous": null}), deleted("178")),
        ("pipedrive", "delete", json!({"data": {"id": 7, "status": "won"}, "previous": {}}), deleted("7")),
        (
            "pipedrive",
            "delete",
            json!({"data": null, "previous": {"id": 7, "status": "won"}, "meta": {"merged_to_id": "8"}}),
            "merged 178 into 8".into(),
        ),
        ("pipedrive", "delete", json!({"data": null, "meta": {"merged_to_id": ""}}), deleted("178")),
        (
            "pipedrive",
            "change",
            json!({"data": {"id": 7, "status": "won", "is_deleted": false}, "previous": {"is_deleted": true}}),
            "restored 7".into(),
        ),
        ("pipedrive", "change", json!({"data": {"id": 7, "status": "won", "is_deleted": true}}), deleted("7")),
        (
            "pipedrive",
            "change",
            json!({"data": {"id": 7, "status": "open", "stage_id": 4}, "previous": {"status": "won"}}),
            "reopened 7".into(),
        ),
        ("gohighlevel", "OpportunityDelete", json!({"id": "o7", "customData": null, "status": "won"}), deleted("o7")),
        (
            "gohighlevel",
            "OpportunityStatusUpdate",
            json!({"id": "o7", "customData": null, "status": "open"}),
            "reopened o7".into(),
        ),
        (
            "gohighlevel",
            "OpportunityUpdate",
            json!({"id": "o7", "customData": null, "status": "lost"}),
            "lost o7".into(),
        ),
    ];
    for (name, word, changes, means) in cases {
        let (source, mut items) = sample_items(name);
        let item = &mut items[0];
        match name {
            "hubspot-app" => {
                // These events have no property.
                for field in ["objectId", "propertyName", "propertyValue"] {
                    item.as_object_mut().unwrap().remove(field);
                }
                item["subscriptionType"] = json!(word);
            }
            "pipedrive" => item["meta"]["action"] = json!(word),
            _ => item["type"] = json!(word),
        }
        for (field, value) in changes.as_object().unwrap() {
            match (&mut item[field], value) {
                (Value::Object(old), Value::Object(new)) if field == "meta" => old.extend(new.clone()),
                (old, new) => *old = new.clone(),
            }
        }
        let reading = read(&source, item);
        let meaning = in_words(&reading.meaning);
        assert_eq!(meaning, means, "{name} {word} {changes}");
        assert!(reading.warnings.is_empty(), "{name} {word} {changes}: {:?}", reading.warnings);
    }
}

#[test]
fn a_body_that_is_no_list_is_told_that_it_must_be_one() {
    let source = Sources::preset("hubspot-app", &Stages::default(), &|_| None).unwrap();
    for (body, found) in
        [("{}", "the body is an object"), ("null", "is null"), ("\"x\"", "is a text"), ("7", "is another value")]
    {
        let refused = source.items(body.as_bytes()).unwrap_err().remove(0).to_string();
        assert!(refused.starts_with("must be an array of objects") && refused.contains(found), "{body}: {refused}");
    }
}
