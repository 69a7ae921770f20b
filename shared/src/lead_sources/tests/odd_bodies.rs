//! Bodies that bring a thing in several places, or in an odd way.

use super::*;
use crate::attribution::Site;
use crate::consent::{Consent, ConsentStatus};
use crate::identity::Email;
use crate::leads::NewLead;

const SITE: &str = "[site]\nkind = \"lead\"\nauth = [{ bearer = { secret = \"SITE_SECRET\" } }]";

fn lead(source: &Source, body: impl AsRef<[u8]>) -> NewLead {
    let body = body.as_ref();
    match source.read(&config(), body, at()) {
        Ok(Reading::Lead(form, _)) => form.lead,
        Ok(Reading::Ignored) => panic!("{}", String::from_utf8_lossy(body)),
        Err(problem) => panic!("{}: {}", String::from_utf8_lossy(body), problem.sentence()),
    }
}

fn warned(lead: &NewLead, field: &str) -> bool {
    lead.warnings.iter().any(|warning| warning.field == field)
}

#[test]
fn the_click_is_found_in_any_address_that_the_lead_brings() {
    let source = source(SITE);
    for (addresses, click, site) in [
        (
            json!({"landing_page": "https://www.example.com/lp?gclid=Ab1", "url": "https://www.example.com/contact"}),
            "Ab1",
            Some("www.example.com"),
        ),
        (
            json!({"referrer": "https://www.example.com/?gclid=Ab1", "page_url": "https://www.example.com/a"}),
            "Ab1",
            Some("www.example.com"),
        ),
        (
            json!({"page_url": "https://www.example.com/?gclid=Ab1", "landing_page": "https://www.example.com/?gclid=Ab2"}),
            "Ab1",
            None,
        ),
        (
            json!({"landing_page": "https://www.example.com/?gclid=Ab1", "http_referrer": "https://www.example.com/?gclid=Ab2"}),
            "Ab1",
            None,
        ),
        (
            json!({"referer": "https://www.example.com/?gclid=Ab2", "Current URL": "https://www.example.com/#/x?gclid=Ab1"}),
            "Ab1",
            None,
        ),
        (json!({"url": "www.example.com/?gclid=Ab1"}), "Ab1", Some("www.example.com")),
        (json!({"url": "WWW.Example.com?gclid=Ab1"}), "Ab1", Some("www.example.com")),
        (json!({"page": "//www.example.com/x?gclid=Ab1"}), "Ab1", Some("www.example.com")),
        (json!({"page": "www.example.com:8443/x?gclid=Ab1"}), "Ab1", Some("www.example.com")),
        (json!({"landing_page": "/lp?gclid=Ab1", "referrer": "https://www.google.com/"}), "Ab1", None),
        (json!({"landing_page": "lp/offer.html?utm_source=x&gclid=Ab1"}), "Ab1", None),
        (json!({"url": "index.php?gclid=Ab1"}), "Ab1", None),
        (json!({"url": "?gclid=Ab1"}), "Ab1", None),
        (json!({"url": "#/thanks?gclid=Ab1"}), "Ab1", None),
        (json!({"referrer": "android-app://com.example.app/?gclid=Ab1"}), "Ab1", None),
        (json!({"url": "<https://www.example.com/?params[gclid]=Ab1>"}), "Ab1", Some("www.example.com")),
        (json!({"url": "gclid=Ab1&utm_source=google"}), "Ab1", None),
        (json!({"url": "https://exa mple.com/?gclid=Ab1"}), "Ab1", None),
        (
            json!({"url": ["https://www.example.com/", "https://www.example.com/?gclid=Ab1"]}),
            "Ab1",
            Some("www.example.com"),
        ),
        (json!({"url": "Contact us", "pageUrl": "HTTPS://www.example.com/?gclid=Ab1"}), "Ab1", Some("www.example.com")),
        (json!({"gclid": "Ab1", "url": "https://www.example.com/?gclid=Ab2&wbraid=W2"}), "Ab1", None),
        (json!({"gclid": "???", "url": "https://www.example.com/?gclid=Ab1"}), "Ab1", None),
        (json!({"hidden_gclid": ["", "Ab1"], "referrer": "https://www.example.com/?gclid=Ab2"}), "Ab1", None),
    ] {
        let mut body = addresses.clone();
        body["email"] = json!("jane@example.com");
        let lead = lead(&source, body.to_string());
        let found = lead.body.clicks.get("google").map(|it| it.ids().into_iter().collect::<Vec<_>>());
        assert_eq!(found, Some(vec![("gclid", click.to_owned())]), "{body}");
        if let Some(site) = site {
            assert_eq!(lead.site.as_ref().map(Site::as_str), Some(site), "{body}");
        }
    }
    for none in [
        json!({"url": "/lp?gclid={gclid}", "referrer": "https://www.google.com/"}),
        json!({"website_url": "https://customer.example.com/?gclid=Ab1"}),
        json!({"url": "undefined", "page": "Contact us?", "referrer": "android-app://com.google/"}),
        json!({"message": "see https://www.example.com/?gclid=Ab1"}),
    ] {
        let mut body = none.clone();
        body["email"] = json!("jane@example.com");
        assert!(lead(&source, body.to_string()).body.clicks.is_empty(), "{body}");
    }
}

#[test]
fn each_network_and_the_campaign_come_from_the_first_address_that_has_them() {
    let body = json!({
        "email": "jane@example.com", "url": "https://www.example.com/form?fbclid=F1",
        "landing_page": "www.example.com/lp?gclid=G1&wbraid=W1&utm_source=google&utm_medium=cpc",
        "referrer": "https://www.example.com/?gclid=G2&gbraid=B2&fbclid=F2&msclkid=M2&utm_source=other&utm_term=x",
    });
    let lead = lead(&source(SITE), body.to_string());
    let ids = lead.body.clicks.ids();
    let expected = [("gclid", "G1"), ("wbraid", "W1"), ("fbclid", "F1"), ("msclkid", "M2")];
    assert_eq!(ids, expected.map(|(name, id)| (name, id.to_owned())).into());
    let utm = lead.body.utm;
    assert_eq!((utm.source.as_deref(), utm.medium.as_deref(), utm.term), (Some("google"), Some("cpc"), None));
}

#[test]
fn what_cannot_be_stored_costs_nothing_but_itself() {
    let source = source(SITE);
    for (body, name) in [
        (&br#"{"email":"jane@example.com","name":"Ja\u0000ne"}"#[..], Some("Ja\u{fffd}ne")),
        (br#"{"email":"jane@example.com","name":"Jane \ud83d"}"#, Some("Jane \u{fffd}")),
        (br#"{"email":"jane@example.com","name":"\udc00\ud83d\ude00"}"#, Some("\u{fffd}\u{1F600}")),
        (br#"{"email":"jane@example.com","no\u0000te":{"x":["\u0000"]}}"#, None),
        (b"{\"email\":\"jane@example.com\",\"name\":\"Ja\0ne\"}", Some("Ja\u{fffd}ne")),
        (b"{\"email\":\"jane@example.com\",\"name\":\"J\xfcrgen\"}", Some("Jürgen")),
        (b"{\"email\":\"jane@example.com\",\"name\":\"Jane\",\"name\":\"\"}", Some("Jane")),
        (b"email=jane%40example.com&name=Ja%00ne", Some("Jane")),
    ] {
        let lead = lead(&source, body);
        assert_eq!(lead.email.as_ref().map(Email::as_str), Some("jane@example.com"));
        assert_eq!(lead.name.as_deref(), name, "{}", String::from_utf8_lossy(body));
        assert!(warned(&lead, "body"), "{}", String::from_utf8_lossy(body));
    }
    let deep = format!("{{\"x\":{}{},\"email\":\"jane@example.com\"}}", "[".repeat(30), "]".repeat(30));
    assert!(warned(&lead(&source, deep), "body"));
}

#[test]
fn of_several_addresses_the_first_counts_with_a_warning() {
    let plain = source(SITE);
    let pointed = source(&format!("{SITE}\n[site.fields]\nemail = [\"/a\", \"/b\"]"));
    for (source, body, email, is_warned) in [
        (&plain, r#"{"email":"jane@example.com","email_2":"joe@example.com"}"#, "jane@example.com", true),
        (&plain, r#"{"email":["jane@example.com","joe@example.com"]}"#, "jane@example.com", true),
        (&plain, r#"{"email":["jane","joe@example.com"]}"#, "joe@example.com", false),
        (&plain, r#"{"work_mail":"joe@example.com","email":"jane@example.com"}"#, "jane@example.com", true),
        (&plain, r#"{"email":"jane@example.com; joe@example.com"}"#, "jane@example.com", true),
        (&plain, r#"{"email":"jane@example.com","confirm_email":"JANE@example.com "}"#, "jane@example.com", false),
        (&plain, r#"{"email":"jane@example.com","email":"joe@example.com"}"#, "jane@example.com", true),
        (&plain, "email=jane%40example.com&email=joe%40example.com", "jane@example.com", true),
        (&plain, "email=jane+x@example.com&your-email=jane%2Bx%40example.com", "jane+x@example.com", false),
        (&plain, "f[email]=jane%40example.com&f[mail][]=joe%40example.com", "jane@example.com", true),
        (&plain, r#"{"email":"none","contact_email":"jane@example.com"}"#, "jane@example.com", false),
        (&pointed, r#"{"a":"jane@example.com","email":"joe@example.com"}"#, "jane@example.com", false),
        (&pointed, r#"{"a":"n/a","b":"jane@example.com"}"#, "jane@example.com", false),
        (&pointed, r#"{"a":"call me","b":"jane@example.com"}"#, "jane@example.com", false),
        (&pointed, r#"{"a":["jane@example.com","joe@example.com"]}"#, "jane@example.com", true),
        (&pointed, r#"{"a":"?","email":"jane@example.com"}"#, "jane@example.com", false),
    ] {
        let lead = lead(source, body);
        assert_eq!(lead.email.as_ref().map(Email::as_str), Some(email), "{body}");
        assert_eq!(warned(&lead, "email"), is_warned, "{body}: {:?}", lead.warnings);
    }
}

#[test]
fn consent_in_one_word_is_of_both_purposes_and_a_no_is_never_lost() {
    use ConsentStatus::{Denied, Granted, Unknown};
    let site = source(SITE);
    let webflow = source("[it]\nkind = \"lead\"\npreset = \"webflow\"");
    let pointed = source(&format!("{SITE}\n[site.fields]\nconsent = \"/privacy/ads\""));
    for (source, said, ad_user_data, ad_personalization, is_warned) in [
        (&site, json!({"consent": "denied"}), Denied, Denied, false),
        (&site, json!({"consent": "granted"}), Granted, Granted, false),
        (&site, json!({"Consent": "DENIED"}), Denied, Denied, false),
        (&site, json!({"consent": false}), Denied, Denied, false),
        (&site, json!({"consent": "no"}), Denied, Denied, false),
        (&site, json!({"data": {"consent": " Granted "}}), Granted, Granted, false),
        (&site, json!({"consent": "perhaps"}), Unknown, Unknown, true),
        (&site, json!({"consent": "I agree to be called"}), Unknown, Unknown, true),
        (&site, json!({"consent": "unknown"}), Unknown, Unknown, false),
        (&site, json!({"consent": ""}), Unknown, Unknown, false),
        (&site, json!({"consent": ["granted", "denied"]}), Denied, Denied, false),
        (&site, json!({"consent": "denied", "ad_user_data": "granted"}), Granted, Denied, false),
        (&site, json!({"consent": "denied", "ad_user_data": "perhaps"}), Denied, Denied, false),
        (&site, json!({"consent": "granted", "ad_personalization": "denied"}), Granted, Denied, false),
        (&site, json!({"ad_user_data": ["yes", "no"]}), Denied, Unknown, false),
        (&site, json!({"ad_user_data": "whatever"}), Unknown, Unknown, true),
        (&site, json!({"consent": {"ad_user_data": "denied"}}), Denied, Unknown, false),
        (&site, json!({"consent": {"adUserData": false, "adPersonalization": true}}), Denied, Granted, false),
        (&site, json!({"marketing_consent": "granted"}), Unknown, Unknown, false),
        (&webflow, json!({"consent": {"ad_user_data": "denied"}}), Denied, Unknown, false),
        (&webflow, json!({"Consent": "denied"}), Denied, Denied, false),
        (&pointed, json!({"privacy": {"ads": "denied"}}), Denied, Denied, false),
    ] {
        let mut body = said.clone();
        body["email"] = json!("jane@example.com");
        let body = match source.preset {
            Some(_) => json!({"triggerType": "form_submission", "payload": {"data": body}}),
            None => body,
        };
        let lead = lead(source, body.to_string());
        assert_eq!(lead.consent, Consent { ad_user_data, ad_personalization }, "{body}");
        let warned = warned(&lead, "consent/ad_user_data") || warned(&lead, "consent/ad_personalization");
        assert_eq!(warned, is_warned, "{body}: {:?}", lead.warnings);
    }
    for (form, status) in [("consent=denied", Denied), ("consent=granted", Granted), ("consent=0&consent=1", Denied)] {
        let lead = lead(&site, format!("email=jane%40example.com&{form}"));
        assert_eq!(lead.consent, Consent { ad_user_data: status, ad_personalization: status }, "{form}");
    }
}
