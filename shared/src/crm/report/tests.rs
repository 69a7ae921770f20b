mod clicks;
mod ids;
mod money;
mod stages;

use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::crm::{DEFAULT, Sources};
use crate::deals::Stages;
use crate::identity::vectors::SPOILT;
use crate::identity::{Email, Region};

fn secret(setting: &str) -> Option<SecretString> {
    (!setting.ends_with("_PREVIOUS")).then(|| SecretString::from("0123456789abcdef0123456789abcdef"))
}

/// A source with these fields and rules, and with further settings.
pub(super) fn source(more: &str, fields: &str, rules: &str) -> Source {
    told_by(more, &format!("deal_id = \"/id\"\n{fields}"), rules)
}

/// The same, where the fields say how a deal is told.
fn told_by(more: &str, fields: &str, rules: &str) -> Source {
    let toml = format!(
        "[acme]\n{more}\n[[acme.auth]]\nbearer = {{ secret = \"ACME_TOKEN\" }}\n[acme.fields]\n{fields}\n{rules}"
    );
    let mut sources = Sources::parse(&toml, &Stages::default(), &secret).unwrap_or_else(|refused| panic!("{refused}"));
    sources.0.remove("acme").unwrap()
}

pub(super) const ALWAYS: &str = "[[acme.rules]]\nwhen = {}\nconversion = \"closed\"";
const MONEY: &str = "value = \"/value\"\ncurrency = \"/currency\"\nprobability = { at = \"/likely\", divide_by = 100 }";

pub(super) fn circumstances() -> Circumstances {
    Circumstances {
        received_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        region: None,
        payload_hash: Hash::of("body"),
        event_id: None,
        has_replaced: false,
    }
}

fn read(source: &Source, item: &Value) -> Reading {
    source.read(item, &circumstances())
}

fn deal(source: &Source, item: &Value) -> Deal {
    match read(source, item).meaning {
        Meaning::Report(Report::Reached(deal)) => deal,
        other => panic!("{item}: {other:?}"),
    }
}

fn refused(source: &Source, item: &Value) -> Vec<(String, String)> {
    match read(source, item).meaning {
        Meaning::Unusable(errors) => errors.into_iter().map(|error| (error.pointer, error.detail)).collect(),
        other => panic!("{item}: {other:?}"),
    }
}

fn worth(deal: &Deal) -> Option<(f64, &str)> {
    deal.money.as_ref().map(|money| (money.value(), money.currency()))
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = r#"
        [[acme.rules]]
        when = { status = "deleted" }
        conversion = "ignore"
        [[acme.rules]]
        when = { status = "won", pipeline = [1, "2"] }
        conversion = "closed"
        [[acme.rules]]
        when = { "/tags" = "vip", status = ["won", "open"] }
        conversion = "qualified"
        [[acme.rules]]
        when = { "/refunded" = true }
        conversion = "refunded"
    "#;
    let source = source("", "status = \"/status\"\npipeline = \"/pipeline\"", rules);
    for (item, rule, means) in [
        (json!({"status": "won", "pipeline": 1}), "rule 2: status = won, pipeline = 1 or 2", "Stage(\"closed\")"),
        (
            json!({"status": "won", "pipeline": "2", "tags": ["vip"]}),
            "rule 2: status = won, pipeline = 1 or 2",
            "Stage(\"closed\")",
        ),
        (
            json!({"status": ["open", " won "], "pipeline": [3, 1]}),
            "rule 2: status = won, pipeline = 1 or 2",
            "Stage(\"closed\")",
        ),
        (
            json!({"status": "open", "tags": ["new", "vip"]}),
            "rule 3: status = won or open, /tags = vip",
            "Stage(\"qualified\")",
        ),
        (json!({"refunded": true}), "rule 4: /refunded = true", "Lost"),
        (json!({"refunded": "true"}), "rule 4: /refunded = true", "Lost"),
        (json!({"status": "deleted"}), "rule 1: status = deleted", "rule 1 ignores it: status = deleted"),
    ] {
        let mut item = item;
        item["id"] = json!(7);
        let reading = read(&source, &item);
        assert_eq!(reading.rule.as_deref(), Some(rule), "{item}");
        assert!(format!("{:?}", reading.meaning).contains(means), "{item} {:?}", reading.meaning);
    }
    let nothing = read(&source, &json!({"id": 7, "status": "open", "pipeline": 4}));
    let Meaning::Ignored(why) = nothing.meaning else { panic!("{nothing:?}") };
    assert_eq!(why, "no rule matches: status = open, pipeline = 4, /refunded is absent, /tags is absent");
    assert_eq!((nothing.rule, nothing.crm_deal_id.as_deref()), (None, Some("7")));
}

#[test]
fn items_of_another_kind_are_ignored() {
    let source = source("only = { \"/entity\" = [\"deal\", \"opportunity\"] }", "", ALWAYS);
    assert_eq!(deal(&source, &json!({"id": 7, "entity": "deal"})).crm_deal_id, "7");
    let Meaning::Ignored(why) = read(&source, &json!({"entity": "person"})).meaning else { panic!("not ignored") };
    assert_eq!(why, "only /entity = deal or opportunity is processed; /entity = person");
}

#[test]
fn a_strict_source_refuses_an_unknown_stage_and_says_what_else_is_wrong() {
    let source = Sources::preset(DEFAULT, &Stages::default(), &secret).unwrap();
    let words = "must be qualified, closed, lost or refunded";
    for (stage, why) in
        [(json!("won"), words), (json!(1), words), (json!(null), "is required"), (json!(""), "is required")]
    {
        let item = json!({"crm_deal_id": 1042, "conversion_type": stage, "email": "jane@example.com"});
        assert_eq!(refused(&source, &item), [("/conversion_type".into(), why.into())]);
    }
    let pointers: Vec<_> = refused(&source, &json!({"value": 1, "updated_at": 7, "occurred_at": "now"}))
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(pointers, ["/crm_deal_id", "/occurred_at", "/updated_at", "/conversion_type", "/email", "/currency"]);
}

#[test]
fn the_default_source_refuses_what_its_contract_refuses() {
    let source = Sources::preset(DEFAULT, &Stages::default(), &secret).unwrap();
    for (pointer, value) in [
        ("/crm_deal_id", json!(-1)),
        ("/crm_deal_id", json!(1.5)),
        ("/crm_deal_id", json!({})),
        ("/crm_deal_id", json!("x".repeat(201))),
        ("/crm_deal_id", json!("a\u{1}b")),
        ("/email", json!("jane")),
        ("/email", json!(7)),
        ("/phone", json!("call me")),
        ("/lead_id", json!("7")),
        ("/value", json!(-1)),
        ("/value", json!(1e12)),
        ("/value", json!("6000")),
        ("/value", json!(true)),
        ("/currency", json!("eur")),
        ("/currency", json!(null)),
        ("/currency", json!(978)),
        ("/occurred_at", json!(1_795_176_000)),
        ("/occurred_at", json!("2026-11-20T12:00:00+0000")),
        ("/occurred_at", json!("1999-12-31T23:59:59Z")),
        ("/updated_at", json!("2026-11-19T10:03:11")),
    ] {
        let mut item = json!({
            "crm_deal_id": "D-1042", "conversion_type": "closed", "email": "jane@example.com", "phone": "+49 30 901820",
            "lead_id": Uuid::nil(), "value": 6000, "currency": "EUR",
        });
        assert_eq!(worth(&deal(&source, &item)), Some((6000.0, "EUR")));
        item[&pointer[1..]] = value;
        let pointers: Vec<_> = refused(&source, &item).into_iter().map(|it| it.0).collect();
        assert_eq!(pointers, [pointer], "{item}");
    }
    for (phone, pointer, why) in
        [(json!(""), "/email", "unless"), (json!("030 901820"), "/phone", "PHONE_DEFAULT_REGION")]
    {
        let item = json!({"crm_deal_id": "D-1", "conversion_type": "closed", "phone": phone});
        let refused = refused(&source, &item);
        assert!(refused.len() == 1 && refused[0].0 == pointer && refused[0].1.contains(why), "{refused:?}");
    }
    let reading = read(&source, &json!({"crm_deal_id": " D-1 ", "conversion_type": "lost", "email": 7, "value": "no"}));
    let Meaning::Report(Report::Lost(loss)) = reading.meaning else { panic!("{reading:?}") };
    assert_eq!((&*loss.crm_deal_id, loss.lost_at), ("D-1", circumstances().received_at));
}

#[test]
fn a_time_is_limited_to_now_unless_it_orders_reports() {
    let source = source("", "occurred_at = [\"/won\", \"/at\"]\nupdated_at = \"/at\"\nzone = \"+01:00\"", ALWAYS);
    let soon = deal(&source, &json!({"id": 7, "won": "", "at": "2026-11-20 13:05:00"}));
    assert_eq!(soon.occurred_at, Some(circumstances().received_at));
    assert_eq!(soon.updated_at.unwrap().to_rfc3339(), "2026-11-20T12:05:00+00:00");
    assert_eq!(deal(&source, &json!({"id": 7})).occurred_at, None);
    let first = deal(&source, &json!({"id": 7, "won": "1795168800", "at": 1_795_172_400_000_i64}));
    assert_eq!(first.occurred_at.unwrap().to_rfc3339(), "2026-11-20T10:00:00+00:00");
    // What can't be read falls to the next, then to the arrival, and each time says so.
    for at in [json!(946_684_799), json!("next week"), json!({}), json!(1e300), json!("2026-13-01"), json!([1, 2])] {
        let item = json!({"id": 7, "won": at, "at": "2026-11-20 12:05:00"});
        let reading = read(&source, &item);
        assert!(
            reading.warnings.iter().any(|it| it.field == "occurred_at" && it.detail.contains("/won")),
            "{reading:?}"
        );
        assert_eq!(deal(&source, &item).occurred_at.unwrap().to_rfc3339(), "2026-11-20T11:05:00+00:00", "{at}");
        let alone = deal(&source, &json!({"id": 7, "won": at}));
        assert_eq!((alone.occurred_at, alone.updated_at), (None, None), "{at}");
    }
    for nothing in [json!(false), json!("null"), json!("N/A"), json!("-"), json!("false"), json!("{{won_at}}")] {
        let reading = read(&source, &json!({"id": 7, "won": nothing}));
        assert!(reading.warnings.iter().all(|it| it.field == "email"), "{nothing} {reading:?}");
    }
    let ahead = read(&source, &json!({"id": 7, "won": "2026-11-20T13:10:00Z"}));
    assert!(ahead.warnings.iter().any(|it| it.field == "occurred_at" && it.detail.contains("zone")), "{ahead:?}");
}

#[test]
fn consent_is_read_from_words_and_check_boxes() {
    use crate::consent::ConsentStatus::{Denied, Granted, Unknown};
    let declared = source("", "email = \"/email\"\nad_user_data = \"/ads\"", ALWAYS);
    for (sent, expected) in [
        (json!("granted"), Granted),
        (json!(" Yes "), Granted),
        (json!(true), Granted),
        (json!("denied"), Denied),
        (json!("no"), Denied),
        (json!(false), Denied),
        (json!("unknown"), Unknown),
        (json!(""), Unknown),
        (json!(null), Unknown),
    ] {
        let item = json!({"id": 7, "email": "jane@example.com", "ads": sent});
        assert!(read(&declared, &item).warnings.is_empty(), "{sent}");
        let consent = deal(&declared, &item).consent;
        assert_eq!((consent.ad_user_data, consent.ad_personalization), (expected, Unknown), "{sent}");
    }
    let odd = json!({"id": 7, "email": "jane@example.com", "ads": "maybe"});
    assert_eq!(read(&declared, &odd).warnings.iter().map(|it| it.field).collect::<Vec<_>>(), ["ad_user_data"]);
    assert_eq!(deal(&declared, &odd).consent.ad_user_data, Unknown, "what isn't understood is no answer");
}

#[test]
fn a_spoilt_number_is_the_persons_or_nobodys() {
    let source = source("", "email = \"/email\"\nphone = \"/phone\"", ALWAYS);
    let germany = Circumstances { region: Region::parse("DE").ok(), ..circumstances() };
    for (written, number) in SPOILT {
        let phone: Value = serde_json::from_str(written).unwrap();
        let reading = source.read(&json!({"id": 7, "email": "jane@example.com", "phone": phone}), &germany);
        let Meaning::Report(Report::Reached(deal)) = reading.meaning else { panic!("{written}") };
        let hash = deal.phone.as_ref().and_then(|phone| phone.hash().ok());
        assert_eq!(hash, number.map(Hash::of).as_ref(), "{written}");
        assert!(number.is_some() || reading.warnings.iter().any(|it| it.field == "phone"), "{written}");
    }
}

#[test]
fn a_person_is_read_from_emails_phones_and_the_lead_id() {
    let fields = "email = [\"/email\", \"/emails\"]\nphone = \"/phone\"\nlead_id = \"/lead\"";
    let lenient = source("", fields, ALWAYS);
    let several =
        json!({"id": 7, "emails": ["Jane@example.com", "", null, "no", 7, "j@example.com", "jane@example.com"]});
    let reading = read(&lenient, &several);
    assert_eq!(reading.warnings.iter().map(|it| it.field).collect::<Vec<_>>(), ["email", "email"]);
    let deal = deal(&lenient, &several);
    assert_eq!(deal.email.unwrap().as_str(), "jane@example.com");
    assert_eq!(deal.other_emails.iter().map(Email::as_str).collect::<Vec<_>>(), ["j@example.com"]);

    let phones = self::deal(&lenient, &json!({"id": 7, "phone": ["030 901820", "+49 30 901820"]}));
    assert_eq!(phones.phone.unwrap().as_str(), "+49 30 901820");

    let nobody = read(&lenient, &json!({"id": 7, "phone": "030 23125123", "lead": "no"}));
    assert_eq!(nobody.warnings.iter().map(|it| it.field).collect::<Vec<_>>(), ["lead_id", "email", "phone"]);
    assert!(matches!(nobody.meaning, Meaning::Report(Report::Reached(_))));
    assert!(!format!("{:?}", nobody.warnings).contains("23125123"));

    let strict = source("strict = true", fields, ALWAYS);
    let pointers: Vec<_> = refused(&strict, &several).into_iter().map(|it| it.0).collect();
    assert_eq!(pointers, ["/emails/3", "/emails/4"]);
    assert_eq!(refused(&strict, &json!({"id": 7}))[0].0, "/email");
}

#[test]
fn missing_fields_are_fetched_only_if_they_matter() {
    let fields = "status = \"/status\"\nvalue = [\"/value\", \"/fetched/deal/value\"]\ncurrency = \"/currency\"
        email = [\"/email\", \"/fetched/emails\"]";
    let rules = r#"
        [[acme.rules]]
        when = { status = "changed", "/fetched/deal/status" = "won" }
        conversion = "closed"
        [[acme.rules]]
        when = { status = "won" }
        conversion = "closed"
        [[acme.rules]]
        when = { status = "lost" }
        conversion = "lost"
        [acme.fetch]
        get = { url = "https://api.example.com/deals/{/id}" }
    "#;
    let source = source("", fields, rules);
    let won = json!({"id": 7, "status": "won", "currency": "EUR", "value": 1, "email": "jane@example.com"});
    let with = |more: Value| {
        let mut item = won.clone();
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    };
    let must_fetch = |item: &Value| matches!(read(&source, item).meaning, Meaning::Fetch);
    assert!(!must_fetch(&won), "everything is there");
    assert!(must_fetch(&with(json!({"email": null}))) && must_fetch(&with(json!({"value": null}))));
    assert!(must_fetch(&with(json!({"status": "changed"}))), "a condition can't be answered yet");
    assert!(!must_fetch(&with(json!({"status": "lost", "email": null}))), "nobody needs the person");
    assert!(!must_fetch(&with(json!({"status": "open", "email": null}))), "no rule can match");
    assert_eq!(refused(&source, &with(json!({"id": null, "email": null})))[0].0, "/id");

    let fetched = with(
        json!({"email": null, "value": null, "fetched": {"emails": ["joan@example.com"], "deal": {"value": "2"}}}),
    );
    let deal = deal(&source, &fetched);
    assert_eq!((deal.email.as_ref().unwrap().as_str(), worth(&deal)), ("joan@example.com", Some((2.0, "EUR"))));
    let other = with(json!({"status": "changed", "fetched": {"emails": [], "deal": {"status": "open"}}}));
    assert!(matches!(read(&source, &other).meaning, Meaning::Ignored(_)));
    let nobody = read(&source, &with(json!({"email": null, "fetched": {"emails": []}})));
    assert!(matches!(nobody.meaning, Meaning::Report(Report::Reached(_))) && nobody.warnings.len() == 1);
}
