use lambda_http::{Body, http};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::crm::authentication::Refusal;
use crate::settings::FromSettings;

mod odd_bodies;

fn at() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn config() -> forms::Config {
    let none = BTreeMap::new();
    let mut settings = Settings::new(&none);
    forms::Config::from_settings(&mut settings, &Clock::fixed(at()))
}

fn sources(toml: &str) -> Result<Sources, String> {
    Sources::parse(toml, &|_| Some(SecretString::from("the-key")))
}

fn source(toml: &str) -> Source {
    sources(toml).unwrap().0.into_values().next().unwrap()
}

/// What becomes of a body: the form that the website would have sent, with what its pages say.
fn read(source: &Source, body: &str) -> Value {
    match source.read(&config(), body.as_bytes(), at()) {
        Ok(Reading::Ignored) => json!("ignored"),
        Ok(Reading::Lead(form, request)) => {
            let mut sent: Value = serde_json::from_slice(request.body()).unwrap();
            for (name, id) in form.lead.body.clicks.ids() {
                sent[name] = json!(id);
            }
            sent["utm_source"] = json!(form.lead.body.utm.source);
            sent
        }
        Err(problem) => serde_json::from_slice(problem.into_response().body()).unwrap(),
    }
}

#[test]
fn every_preset_reads_what_its_sender_sends() {
    for name in names() {
        let source = source(&format!("[landing]\nkind = \"lead\"\npreset = \"{name}\""));
        let form = read(&source, sample(name).unwrap());
        assert_eq!(form["email"], "jane@example.com", "{name}: {form}");
        assert_eq!(form["phone"], "+4930901820", "{name}: {form}");
        assert_eq!(form["name"], "Jane Doe", "{name}: {form}");
        let click = form["gclid"].as_str().unwrap_or_else(|| panic!("{name}: {form}"));
        assert!(click.contains("sample-1"), "{name}: {form}");
        assert_eq!(form, read(&source, sample(name).unwrap()), "{name}: the same again is another");
        let id = form["transaction_id"].as_str().unwrap();
        assert!(id.starts_with("landing:"), "{name}: {id}");
    }
}

#[test]
fn forms_of_any_builder_are_read_by_what_their_fields_are_called() {
    let source = source("[site]\nkind = \"lead\"\nauth = [{ bearer = { secret = \"SITE_SECRET\" } }]");
    for (body, expected) in [
        (r#"{"Email":"a@example.com","GCLID":"Ab1"}"#, json!({"email": "a@example.com", "gclid": "Ab1"})),
        (r#"{"E-mail address":"a@example.com","Telefon":"+4930901820"}"#, json!({"phone": "+4930901820"})),
        (r#"{"workEmail":"a@example.com","firstName":"Jane","lastName":"Doe"}"#, json!({"name": "Jane Doe"})),
        (r#"[{"data":{"Ihre Mail":"a@example.com","hidden_gclid":"Ab1"}}]"#, json!({"gclid": "Ab1"})),
        ("your-email=a%40example.com&your-message=Hello&wbraid=W1", json!({"message": "Hello", "wbraid": "W1"})),
        ("form_fields[email]=a%40example.com&form_fields[tel]=%2B4930901820", json!({"phone": "+4930901820"})),
        ("email=a%40example.com&phone=+49+30+901820", json!({"phone": "+49 30 901820"})),
        ("form_fields[email]=a%40example.com&form_fields[tel]=+447911123456", json!({"phone": "+447911123456"})),
        ("email=a%40example.com&phone=+030+901820", json!({"phone": "030 901820"})),
        (
            r#"{"email":"a@example.com","pageUrl":"https://www.example.com/x#/offer?gclid=Ab1&utm_source=google"}"#,
            json!({"gclid": "Ab1", "utm_source": "google"}),
        ),
        (r#"{"Wie erreichen wir dich?":"a@example.com"}"#, json!({"email": "a@example.com"})),
        (r#"{"email":"undefined","contact_email":"a@example.com","gclid":"{{gclid}}"}"#, json!({"gclid": null})),
        (
            r#"{"email":"a@example.com","ad_user_data":"denied","ad_personalization":"granted"}"#,
            json!({"consent": {"ad_user_data": "denied", "ad_personalization": "granted"}}),
        ),
        (r#"{"email":"a@example.com","transaction_id":"own-7"}"#, json!({"transaction_id": "own-7"})),
        ("\u{feff} {\"email\":\"a@example.com\"}", json!({"email": "a@example.com"})),
    ] {
        let form = read(&source, body);
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&form[field], value, "{body}: {form}");
        }
        assert_eq!(form["email"], "a@example.com", "{body}: {form}");
    }
}

#[test]
fn whatever_can_be_read_of_a_form_is() {
    let source = source("[site]\nkind = \"lead\"\nauth = [{ bearer = { secret = \"SITE_SECRET\" } }]");
    for (body, expected) in [
        ("email=a@example.com&name=Jane Doe", json!({"name": "Jane Doe"})),
        ("email=a%40example.com&name=J%FCrgen", json!({"name": "Jürgen"})),
        ("email=a%40example.com%00&=x&name=Ja%00ne", json!({"name": "Jane"})),
        ("email=&email=a%40example.com&your-message=", json!({"message": null})),
        ("f[0][name]=email&f[0][value]=a%40example.com&f[1][name]=gclid&f[1][value]=Ab1", json!({"gclid": "Ab1"})),
        ("f[a][email]=a%40example.com&f[a][roofs][]=flat&f[a][roofs][]=steep", json!({"message": null})),
        ("f[message][title]=Message&f[message][value]=Hello&email=a%40example.com", json!({"message": "Hello"})),
        ("email=a%40example.com&f[message=Hello", json!({"message": "Hello"})),
        ("\u{feff}email=a%40example.com", json!({"email": "a@example.com"})),
        ("{\"email\":\"a@example.com\",\"message\":\"One\ntwo\"}", json!({"message": "One\ntwo"})),
    ] {
        let form = read(&source, body);
        assert_eq!(form["email"], "a@example.com", "{body}: {form}");
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&form[field], value, "{body}: {form}");
        }
    }
}

#[test]
fn an_id_of_0_is_none() {
    let source =
        source("[site]\nkind = \"lead\"\nid = \"/entry_id\"\nauth = [{ bearer = { secret = \"SITE_SECRET\" } }]");
    let id = |email: &str, entry: u8| {
        let form = read(&source, &format!(r#"{{"entry_id":{entry},"email":"{email}"}}"#));
        form["transaction_id"].as_str().unwrap().to_owned()
    };
    assert_ne!(id("jane@example.com", 0), id("john@example.com", 0));
    assert_eq!(id("jane@example.com", 0), id("jane@example.com", 0));
    assert_eq!(id("jane@example.com", 7), "site:7");
}

#[test]
fn the_person_is_who_filled_the_form_in() {
    let source = source("[site]\nkind = \"lead\"\nauth = [{ bearer = { secret = \"SITE_SECRET\" } }]");
    for (body, email, phone) in [
        ("your-email=jane+ads@example.com", "jane+ads@example.com", Value::Null),
        ("email=jane%2Bads%40example.com&company_email=x@example.org", "jane+ads@example.com", Value::Null),
        (r#"{"admin_email":"rep@example.org","your-email":"jane@example.com"}"#, "jane@example.com", Value::Null),
        (
            r#"{"assigned_to_email":"rep@example.org","email":"jane@example.com","company_phone":"+49 30 111111",
                "phone":"+49 30 901820"}"#,
            "jane@example.com",
            json!("+49 30 901820"),
        ),
        (r#"{"a_mail":"x","mail":"jane@example.com"}"#, "jane@example.com", Value::Null),
    ] {
        let form = read(&source, body);
        assert_eq!((&form["email"], &form["phone"]), (&json!(email), &phone), "{body}: {form}");
    }
}

/// The signature is made with Python's hmac, of the time, a dot and the sample.
#[test]
fn calendlys_signature_holds_for_its_time_and_body() {
    let calendly = source("[calendly]\nkind = \"lead\"\npreset = \"calendly\"");
    let signed = |header: &str, body: &str, at: DateTime<Utc>| {
        let mut request = http::Request::new(Body::from(body));
        request.headers_mut().insert("Calendly-Webhook-Signature", header.parse().unwrap());
        calendly.verify(&request, at)
    };
    let (body, v1) = (sample("calendly").unwrap(), "f02afb01596a9bdba4c12c0db0f5be2f89ef2438078e09b8b5c121d415888b16");
    let right = format!("t=1795176000,v1={v1}");
    assert_eq!(signed(&right, body, at()), Ok(()));
    assert_eq!(signed(&right, body, at() + chrono::TimeDelta::hours(1)), Err(Refusal::Expired));
    for (header, body, refusal) in [
        (right.clone(), &*body.replace("jane@", "joan@"), Refusal::Wrong),
        (right.replace("t=1795176000", "t=1795176001"), body, Refusal::Wrong),
        (format!("v1={v1}"), body, Refusal::TimestampMissing),
        (right.replace("v1=", "v2="), body, Refusal::Malformed),
    ] {
        assert_eq!(signed(&header, body, at()), Err(refusal), "{header}");
    }
    assert_eq!(calendly.verify(&http::Request::new(Body::from(body)), at()), Err(Refusal::Missing));
}

#[test]
fn tests_and_other_events_make_no_lead() {
    for (preset, from, to) in [
        ("google-lead-form", r#""is_test": false"#, r#""is_test": true"#),
        ("google-lead-form", r#""is_test": false"#, r#""is_test": "true""#),
        ("calendly", "invitee.created", "invitee.canceled"),
        ("typeform", r#""event_type": "form_response""#, r#""event_type": "form_response_partial""#),
        ("webflow", "form_submission", "site_publish"),
        ("tally", "FORM_RESPONSE", "FORM_VIEW"),
    ] {
        let source = source(&format!("[it]\nkind = \"lead\"\npreset = \"{preset}\""));
        let body = sample(preset).unwrap().replace(from, to);
        assert_ne!(body, sample(preset).unwrap());
        assert_eq!(read(&source, &body), json!("ignored"), "{preset}");
    }
}

#[test]
fn googles_key_is_checked() {
    let google = source("[google]\nkind = \"lead\"\npreset = \"google-lead-form\"");
    let request = |key: &str| {
        let body = sample(GOOGLE).unwrap().replace("the-key", key);
        http::Request::new(Body::Text(body))
    };
    assert_eq!(google.verify(&request("the-key"), at()), Ok(()));
    for key in ["", "the-keY", "the-key ", "the-ke", "another"] {
        assert_eq!(google.verify(&request(key), at()), Err(Refusal::Wrong), "{key}");
    }
    let sources = sources("[google]\nkind = \"lead\"\npreset = \"google-lead-form\"").unwrap();
    let lead = |key: &str| google_lead(request(key).body()).unwrap();
    for key in ["the-key", "another"] {
        assert_eq!(sources.google(&lead(key)).map(|it| &*it.name), Some("google"), "{key}");
    }
    assert!(Sources::default().google(&lead("another")).is_none());
}

#[test]
fn a_wrong_declaration_says_the_fix() {
    for (toml, said) in [
        ("[a]\nkind = \"lead\"", "says nowhere how it authenticates"),
        ("[a]\nkind = \"lead\"\npreset = \"typo\"", "it is one of calendly"),
        ("[A]\nkind = \"lead\"\npreset = \"tally\"", "lower-case"),
        ("[a]\nkind = \"lead\"\npreset = \"tally\"\nid = \"data\"", "begins with /"),
        ("[a]\nkind = \"lead\"\npreset = \"tally\"\nid = \"/data/**\"", "write one * for each"),
        ("[a]\nkind = \"lead\"\npreset = \"tally\"\nfields = { email = \"/fields/*/value\" }", "name one place"),
        ("[a]\nkind = \"lead\"\npreset = \"tally\"\nonly = { \"/fields[id=x\" = \"1\" }", "write fields[id=x]"),
        ("[a]\nkind = \"lead\"\npreset = \"tally\"\nfields = { mail = \"/x\" }", "has a field mail"),
        ("[a]\nkind = \"lead\"\npreset = \"tally\"\nrules = []", "unknown field"),
    ] {
        let refusal = sources(toml).unwrap_err();
        assert!(refusal.contains(said), "{toml}: {refusal}");
        assert!(!refusal.contains("the-key"), "{refusal}");
    }
    let unset = Sources::parse("[a]\nkind = \"lead\"\npreset = \"google-lead-form\"", &|_| None).unwrap_err();
    assert!(unset.contains("GOOGLE_LEAD_FORM_KEY is not set"), "{unset}");
    let others = sources("[crm]\npreset = \"make\"\n[a]\nkind = \"lead\"\npreset = \"tally\"").unwrap();
    assert!(others.get("crm").is_none() && others.get("a").is_some());
}
