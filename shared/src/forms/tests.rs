use std::env;

use lambda_http::Body as Bytes;
use lambda_http::http::HeaderValue;
use secrecy::SecretString;
use serde_json::{Map, json};

use super::*;
use crate::consent::ConsentStatus;
use crate::identity::vectors::SPOILT;

mod bodies;

fn config() -> Config {
    let values = [("IP_HASH_KEY".to_owned(), SecretString::from("0123456789abcdef"))].into();
    Config::from_settings(&mut Settings::new(&values), &Clock::fixed(at()))
}

fn at() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn request(body: &Value) -> Request {
    Request::new(Bytes::from(body.to_string()))
}

fn read_one(body: &Value) -> Result<NewLead, Problem> {
    read(&config(), &request(body), None, at()).map(|form| form.lead)
}

fn warned(lead: &NewLead) -> Vec<&str> {
    lead.warnings.iter().map(|warning| warning.field).collect()
}

fn google(lead: &NewLead) -> Option<&str> {
    lead.body.clicks.get("google")?.get("gclid")
}

/// Xorshift: the same leads every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % limit
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

#[test]
fn one_odd_field_costs_no_lead() {
    for (field, value) in [
        ("gclid", json!("{{gclid}}")),
        ("gclid", json!("[object Object]")),
        ("gclid", json!("Cj0Test-1&gad_source=1")),
        ("gclid", json!({"value": "x"})),
        ("gclid", json!(17)),
        ("wbraid", json!("x".repeat(600))),
        ("fbclid", json!("%fbclid%")),
        ("utm_term", json!("x".repeat(600))),
        ("utm_source", json!(["a", "b"])),
        ("utm_campaign", json!("{campaignid}")),
        ("session_attributes", json!("{\"a\":1}")),
        ("session_attributes", json!(false)),
        ("phone", json!("n/a")),
        ("phone", json!(true)),
        ("phone", json!([])),
        ("name", json!({"first": "Jane"})),
        ("message", json!("m".repeat(6_000))),
        ("transaction_id", json!("a b")),
        ("transaction_id", json!("x".repeat(200))),
        ("transaction_id", json!("undefined")),
        ("transaction_id", json!(4_711)),
        ("consent", json!("granted")),
        ("consent", json!([true])),
    ] {
        let lead = read_one(&json!({"email": "jane@example.com", field: value})).unwrap();
        assert!(warned(&lead).contains(&field), "{field}: {value}: {:?}", lead.warnings);
        assert!(crate::http::body::shared_id(&lead.transaction_id).is_ok());
        for warning in &lead.warnings {
            assert!(!warning.detail.contains("Cj0Test"), "a warning has no value");
        }
    }
    for (field, value) in
        [("gclid", json!(null)), ("gclid", json!("")), ("phone", json!(" ")), ("consent", json!(null))]
    {
        let lead = read_one(&json!({"email": "jane@example.com", field: value})).unwrap();
        assert_eq!(warned(&lead), [""; 0], "{field}: {value}");
    }
}

#[test]
fn an_answer_about_ads_counts_wherever_and_however_it_is_named() {
    for said in [
        json!({"ad_user_data": "denied"}),
        json!({"AD_USER_DATA": "No"}),
        json!({"adUserData": false}),
        json!({"ad-user-data": 0}),
        json!({"consent": {"adUserData": "denied"}}),
        json!({"Consent": {"Ad_User_Data": "DENIED"}}),
        json!({"consent": {"ad_user_data": null, "AdUserData": "denied"}}),
        json!({"consent": {"marketing": true}, "ad_user_data": "denied"}),
        json!({"consent": {"ad_user_data": "denied"}, "ad_user_data": "granted"}),
    ] {
        let mut body = said.clone();
        body["email"] = json!("jane@example.com");
        let lead = read_one(&body).unwrap();
        assert_eq!(lead.consent.ad_user_data, ConsentStatus::Denied, "{said}");
    }
}

#[test]
fn consent_in_one_word_is_said_of_both_purposes() {
    use ConsentStatus::{Denied, Granted, Unknown};
    for (said, status) in [
        (json!("denied"), Denied),
        (json!("No"), Denied),
        (json!(false), Denied),
        (json!(0), Denied),
        (json!(["granted", "denied"]), Denied),
        (json!({"value": "denied"}), Denied),
        (json!({"status": false}), Denied),
        (json!("granted"), Granted),
        (json!(true), Granted),
        (json!("yes"), Granted),
        (json!({"value": "granted"}), Granted),
        (json!("perhaps"), Unknown),
        (json!(["granted", "perhaps"]), Unknown),
        (json!({"state": ["perhaps"]}), Unknown),
    ] {
        let lead = read_one(&json!({"email": "jane@example.com", "consent": said})).unwrap();
        assert_eq!((lead.consent.ad_user_data, lead.consent.ad_personalization), (status, status), "{said}");
        assert!(warned(&lead).contains(&"consent"), "{said}: {:?}", lead.warnings);
        assert_eq!(lead.consent_marketing, None, "{said}");
    }
    for (said, marketing, ad_user_data) in [
        (json!({"marketing": "denied"}), Some(false), Unknown),
        (json!({"marketing": true}), Some(true), Unknown),
        (json!([{"marketing": "no"}, "denied"]), Some(false), Denied),
        (json!({"analytics_storage": "granted"}), None, Unknown),
        (json!({"marketing": "yes", "ad_user_data": "denied"}), Some(true), Denied),
        (json!({"Marketing": 0, "adUserData": "Granted"}), Some(false), Granted),
        (json!("{\"marketing\":false,\"ad_user_data\":\"denied\"}"), Some(false), Denied),
    ] {
        let lead = read_one(&json!({"email": "jane@example.com", "consent": said})).unwrap();
        assert_eq!((lead.consent_marketing, lead.consent.ad_user_data), (marketing, ad_user_data), "{said}");
    }
}

#[test]
fn the_click_in_an_address_is_the_leads() {
    for (said, name, id) in [
        (json!({"page_url": "https://www.example.com/lp?gclid=Cj1"}), "gclid", "Cj1"),
        (json!({"pageUrl": "https://www.example.com/lp?gclid=Cj1"}), "gclid", "Cj1"),
        (json!({"url": "/lp?gclid=Cj1"}), "gclid", "Cj1"),
        (json!({"landing_page": "www.example.com/#/lp?wbraid=Cj1"}), "wbraid", "Cj1"),
        (json!({"landingPage": "https://www.example.com/?gclid=Cj1="}), "gclid", "Cj1"),
        (json!({"Current URL": "?params[gclid]=Cj1"}), "gclid", "Cj1"),
        (json!({"referrer": "https://www.example.com/?utm_source=a\\u0026gclid=Cj1"}), "gclid", "Cj1"),
        (json!({"document_referrer": "https://www.example.com/?msclkid=Cj1"}), "msclkid", "Cj1"),
        (json!({"source_url": ["", "https://www.example.com/?gclid=Cj1"]}), "gclid", "Cj1"),
        (
            json!({"page_url": "https://www.example.com/?gclid=Cj1", "referrer": "https://www.example.com/?gclid=Cj2"}),
            "gclid",
            "Cj1",
        ),
        (json!({"gclid": "Cj1", "url": "https://www.example.com/?gclid=Cj2&wbraid=Cj3"}), "gclid", "Cj1"),
        (json!({"gclid": "{{gclid}}", "url": "https://www.example.com/?gclid=Cj1"}), "gclid", "Cj1"),
        (json!({"gclid": "https://www.example.com/?wbraid=Cj1"}), "wbraid", "Cj1"),
        (json!({"_gl": "1*1abcdef*_gcl_aw*R0NMLjE3NjM2MzI4MDAuQ2ox"}), "gclid", "Cj1"),
        (json!({"gclid": "?_gl=1*1abcdef*_ga*MTIz*_gcl_aw*R0NMLjE3NjM2MzI4MDAuQ2ox.."}), "gclid", "Cj1"),
        (json!({"_gcl_aw": "GCL.1763632800.Cj1"}), "gclid", "Cj1"),
    ] {
        let lead = read_one(&said).unwrap_or_else(|it| panic!("{said} {}", it.sentence()));
        assert_eq!(lead.body.clicks.ids(), [(name, id.to_owned())].into(), "{said}");
    }
    let lead = read_one(&json!({
        "email": "jane@example.com", "utm_source": "own", "referrer": "https://www.google.com/",
        "url": "https://www.example.com/?utm_source=google&utm_medium=cpc",
    }));
    let lead = lead.unwrap();
    assert_eq!((lead.body.utm.source.as_deref(), lead.body.utm.medium.as_deref()), (Some("own"), Some("cpc")));
    assert_eq!(lead.site.as_ref().map(crate::attribution::Site::as_str), Some("www.example.com"));
    for none in [
        json!({"website": "https://www.example.net/?gclid=Cj1"}),
        json!({"company_url": "https://www.example.net/?gclid=Cj1"}),
        json!({"message": "https://www.example.net/?gclid=Cj1"}),
        json!({"linkedin_profile_url": "https://www.example.net/?gclid=Cj1"}),
        json!({"url": "home"}),
    ] {
        let mut body = none.clone();
        body["email"] = json!("jane@example.com");
        assert!(read_one(&body).unwrap().body.clicks.is_empty(), "{body}");
    }
}

#[test]
fn an_id_that_cannot_be_stored_still_tells_a_repeated_form() {
    let id =
        |text: &str| read_one(&json!({"email": "jane@example.com", "transaction_id": text})).unwrap().transaction_id;
    assert_eq!(id("order 1"), id("order 1"));
    assert_ne!(id("order 1"), id("order 2"));
    assert_ne!(id("undefined"), id("undefined"), "everybody's isn't anybody's");
}

#[test]
fn a_spoilt_number_is_the_persons_or_nobodys() {
    let config = Config { phone_region: Region::parse("DE").ok(), ..config() };
    for (written, number) in SPOILT {
        let phone: Value = serde_json::from_str(written).unwrap();
        let body = json!({"email": "jane@example.com", "phone": phone});
        let lead = read(&config, &request(&body), None, at()).unwrap().lead;
        let hash = lead.phone.as_ref().and_then(|phone| phone.hash().ok());
        assert_eq!(hash, number.map(Hash::of).as_ref(), "{written}");
        assert!(number.is_some() || warned(&lead).contains(&"phone"), "{written}");
    }
}

#[test]
fn a_lead_is_known_by_any_sign_of_a_person() {
    for body in [
        json!({"email": "jane@example.com"}),
        json!({"Email": "jane@example.com"}),
        json!({"phone": "+49 30 23125123"}),
        json!({"phone": 493_023_125_123_u64}),
        json!({"email": "no", "phone": "+49 30 23125123"}),
        json!({"gclid": "Click-1"}),
        json!({"GCLID": "Click-1", "email": "n/a", "phone": "n/a"}),
        json!({"wbraid": "Click-1"}),
        json!({"msclkid": "Click-1"}),
        json!({"fbc": "fb.1.1763632800000.IwAR2F4-dbP0l7Mn1IawQQ"}),
    ] {
        assert!(read_one(&body).is_ok(), "{body}");
    }
    for (body, pointers) in [
        (json!({}), vec!["/email"]),
        (json!({"email": null, "name": "Jane"}), vec!["/email"]),
        (json!({"email": "jane"}), vec!["/email"]),
        (json!({"email": "null", "phone": "undefined", "gclid": "{{gclid}}"}), vec!["/email", "/phone", "/gclid"]),
        (json!({"phone": "call me"}), vec!["/email", "/phone"]),
        // Nothing that could be matched.
        (json!({"phone": "07700 937733"}), vec!["/email", "/phone"]),
        (json!({"phone": "030 901820", "name": "Jane"}), vec!["/email", "/phone"]),
        (json!({"phone": "+49 30"}), vec!["/email", "/phone"]),
        (json!({"phone": "1234"}), vec!["/email", "/phone"]),
        (json!({"phone": "07700 937733", "email": "n/a"}), vec!["/email", "/phone"]),
        (json!({"page_url": "https://www.example.com/?utm_source=google"}), vec!["/email"]),
        (json!({"gad_source": "1", "utm_source": "google"}), vec!["/email"]),
        (json!({"fbp": "fb.1.1763632800000.1098115397"}), vec!["/email"]),
    ] {
        let problem = read_one(&body).unwrap_err();
        let document: Value = serde_json::from_slice(problem.into_response().body()).unwrap();
        let found: Vec<_> = document["errors"].as_array().unwrap().iter().map(|it| it["pointer"].clone()).collect();
        assert_eq!(found, pointers, "{body}");
    }
    let problem = read_one(&json!({"phone": "07700 937733"})).unwrap_err();
    assert!(problem.sentence().contains("PHONE_DEFAULT_REGION"), "{}", problem.sentence());
    let number = "020 7946 0018";
    let in_gb = Config { phone_region: Region::parse("GB").ok(), ..config() };
    assert!(read(&in_gb, &request(&json!({"phone": number})), None, at()).is_ok());
    for beside in [json!({"email": "jane@example.com"}), json!({"gclid": "Click-1"}), json!({"url": "?gclid=Click-1"})]
    {
        let mut body = beside.clone();
        body["phone"] = json!("07700 937733");
        assert!(read_one(&body).unwrap().phone.is_some(), "{body}");
    }
    let mut with_cookie = request(&json!({"email": "jane"}));
    with_cookie.headers_mut().insert("cookie", HeaderValue::from_static("_gcl_aw=GCL.1763632800.Cookie-1"));
    assert!(read(&config(), &with_cookie, None, at()).is_ok(), "the click is a sign");
}

#[test]
fn who_wants_it_strict_is_refused() {
    for (preference, is_strict) in [
        ("handling=strict", true),
        ("Handling = \"Strict\"", true),
        ("respond-async, handling=strict; x=1", true),
        ("handling=lenient", false),
        ("strict", false),
    ] {
        let mut odd = request(&json!({"email": "jane@example.com", "gclid": "{{gclid}}"}));
        odd.headers_mut().insert("prefer", HeaderValue::from_static(preference));
        let read = read(&config(), &odd, None, at());
        assert_eq!(read.is_err(), is_strict, "{preference}");
        if let Err(problem) = read {
            assert_eq!(problem.into_response().headers()["preference-applied"], "handling=strict");
        }
    }
}

#[test]
fn a_nul_costs_nothing_but_itself() {
    let lead =
        read_one(&json!({"email": "jane@example.com", "message": "a\u{0}b \\u0000", "gclid": "a\u{0}b"})).unwrap();
    assert_eq!((lead.message.as_deref(), google(&lead)), (Some("a\u{fffd}b \\u0000"), None));
}

/// What a person's field may hold, and what of it is to be stored.
const EMAILS: &[(&str, Option<&str>)] = &[
    ("jane@example.com", Some("jane@example.com")),
    (" Jane.Doe@Example.com ", Some("jane.doe@example.com")),
    ("jane+ads@example.co.uk", Some("jane+ads@example.co.uk")),
    ("jane@", None),
    ("n/a", None),
    ("{{email}}", None),
    ("", None),
    ("call me", None),
];
const PHONES: &[(&str, bool)] = &[
    ("+49 30 23125123", true),
    ("030 23125123", true),
    ("+1 (800) 555-0100", true),
    ("n/a", false),
    ("undefined", false),
    ("", false),
    ("{phone}", false),
    ("later", false),
];
const CLICKS: &[(&str, Option<&str>)] = &[
    ("EAIaIQobChMI-_09", Some("EAIaIQobChMI-_09")),
    (" Cj0KCQ-1\n", Some("Cj0KCQ-1")),
    ("Cj0KCQ-2&gad_source=1", Some("Cj0KCQ-2")),
    ("https://www.example.com/?gclid=Cj0KCQ-3", Some("Cj0KCQ-3")),
    ("undefined", None),
    ("{{gclid}}", None),
    ("[object Object]", None),
    ("", None),
    ("Cj0KCQ…", None),
];

fn consents() -> Vec<(Value, ConsentStatus)> {
    use ConsentStatus::{Denied, Granted, Unknown};
    vec![
        (json!("granted"), Granted),
        (json!("Yes"), Granted),
        (json!(true), Granted),
        (json!("denied"), Denied),
        (json!("NO"), Denied),
        (json!(false), Denied),
        (json!("maybe"), Unknown),
        (json!({}), Unknown),
        (json!(null), Unknown),
        (json!("undefined"), Unknown),
    ]
}

fn odd_fields() -> Vec<(&'static str, Value)> {
    let texts =
        ["name", "message", "transaction_id", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];
    let odd = [json!(7), json!(true), json!([]), json!({"a": 1}), json!("x".repeat(7_000)), json!("a\u{7}\u{0}b")];
    let mut fields: Vec<_> = texts.iter().flat_map(|name| odd.iter().map(|value| (*name, value.clone()))).collect();
    for name in
        ["session_attributes", "honeypot", "fill_ms", "gbraid", "fbclid", "fbp", "gad_source", "_wpnonce", "Ünï"]
    {
        fields.extend([json!("{\"a\":1}"), json!([1]), json!("ä b"), json!(null)].map(|value| (name, value)));
    }
    fields
}

#[test]
fn of_many_odd_leads_none_is_lost_and_none_is_wrong() {
    let leads = if env::var_os("ADTRAIL_TEST_LONG").is_some() { 100_000 } else { 10_000 };
    let (config, odd, consents) = (config(), odd_fields(), consents());
    let (mut chance, mut known) = (Chance(0x9E37_79B9_7F4A_7C15), 0);
    for nth in 0..leads {
        let (email, has_email) = chance.one(EMAILS);
        let (phone, has_phone) = chance.one(PHONES);
        let (click, has_click) = chance.one(CLICKS);
        let (said, consent) = chance.one(&consents);
        let mut body = Map::new();
        body.insert("email".into(), json!(email));
        body.insert("phone".into(), json!(phone));
        body.insert("gclid".into(), json!(click));
        body.insert("consent".into(), json!({"ad_user_data": said}));
        for _ in 0..chance.below(6) {
            let (name, value) = chance.one(&odd);
            body.insert((*name).to_owned(), value.clone());
        }
        // A value that can be an id of another network's is one.
        let is_known = has_email.is_some() || phone.starts_with('+') || has_click.is_some();
        let body = Value::Object(body);
        match read(&config, &request(&body), None, at()) {
            Ok(Form { lead, .. }) => {
                known += 1;
                assert!(is_known, "{nth}: nobody is stored: {body}");
                assert_eq!(lead.email.as_ref().map(Email::as_str), *has_email, "{nth}: {body}");
                assert_eq!(lead.phone.is_some(), *has_phone, "{nth}: {body}");
                assert_eq!(google(&lead), *has_click, "{nth}: {body}");
                assert_eq!(lead.consent.ad_user_data, *consent, "{nth}: {body}");
                assert_eq!(lead.consent.ad_personalization, ConsentStatus::Unknown, "{nth}: {body}");
            }
            Err(problem) => assert!(!is_known, "{nth}: lost: {body}: {}", problem.sentence()),
        }
    }
    assert!(known > leads / 2, "{known} of {leads}");
}
