use lambda_http::http::HeaderMap;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::crm::Sources;
use crate::deals::Stages;
use crate::forms;
use crate::settings::{FromSettings, Settings};

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_176_000, 0).unwrap()
}

fn config() -> forms::Config {
    let values = [("IP_HASH_KEY".to_owned(), SecretString::from("0123456789abcdef"))].into();
    forms::Config::from_settings(&mut Settings::new(&values), &Clock::fixed(at()))
}

fn request(body: &Value, headers: &[(&'static str, &'static str)]) -> Request {
    let mut request = http::Request::new(Body::Text(body.to_string()));
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

/// As a message that was sent and received.
fn sent(message: &Message) -> Message {
    let text = message.to_text();
    assert!(text.is_ascii(), "SQS refuses some characters: {text}");
    Message::parse(&text).unwrap()
}

#[test]
fn a_form_is_read_from_the_spool_as_it_was_read_from_its_request() {
    let config = config();
    let address = config.rate_limit.hashed("192.0.2.1".parse().ok());
    let visitor = "adtrail_visitor=b5a1f0de-0c1f-4d63-8f0e-6f3d0a9c2e11; theme=\u{1F600}";
    let request = request(
        &json!({
            "email": "jane@example.com", "phone": "+49 30 23125123", "name": "J\u{ffff}", "message": "Line\none",
            "consent": {"marketing": true, "ad_user_data": "granted"}, "gclid": "EAIaIQ-example_1",
        }),
        &[
            ("cookie", "_fbc=fb.1.1763632800000.IwAR2F4-example_1; session=secret; adtrail_attribution=e30"),
            ("referer", "https://www.example.com/form?email=jane@example.com"),
            ("authorization", "Bearer secret"),
            ("sec-gpc", "1"),
        ],
    );
    let mut request = request;
    request.headers_mut().append("cookie", HeaderValue::from_bytes(visitor.as_bytes()).unwrap());
    let form = forms::read(&config, &request, address.as_ref(), at()).unwrap();

    let message = sent(&Message::of_form(&request, &form, address.clone()));
    let Content::Lead(spooled) = &message.content else { panic!("{message:?}") };
    let again = forms::read(&config, &spooled.request(), spooled.address.as_ref(), message.received_at).unwrap();

    assert_eq!(format!("{again:?}"), format!("{form:?}"));
    assert!(form.lead.gpc && form.lead.visitor_id.is_some() && form.lead.site.is_some());
    assert!(form.lead.transaction_id.starts_with("lead-"), "the generated one is the one that was answered");
    let text = serde_json::to_string(&message).unwrap();
    assert!(!text.contains("session") && !text.contains("Bearer") && !text.contains("192.0.2.1"), "{text}");
}

#[test]
fn a_form_that_had_to_be_mended_is_not_lost_in_the_spool() {
    for body in [
        &b"{\"email\":\"jane@example.com\",\"message\":\"one\ntwo\"}"[..],
        b"{\"email\":\"jane@example.com\",\"name\":\"J\xfcrgen\"}",
        b"{\"name\":\"x\\ud83d\",\"email\":\"jane@example.com\"}",
        b"{\"email\":\"\",\"a\":1,\"email\":\"jane@example.com\",\"a\":2}",
        b"{\"email\":[\"jane\",\"jane@example.com\"],\"EMAIL\":\"\"}",
    ] {
        let request = http::Request::new(Body::Binary(body.to_vec()));
        let form = forms::read(&config(), &request, None, at()).unwrap();
        let message = sent(&Message::of_form(&request, &form, None));
        let Content::Lead(spooled) = &message.content else { panic!("{message:?}") };
        let again = forms::read(&config(), &spooled.request(), None, message.received_at).unwrap();
        let told = |lead: &crate::leads::NewLead| format!("{:?} {:?} {:?}", lead.email, lead.name, lead.message);
        assert_eq!(told(&again.lead), told(&form.lead));
        assert_eq!(again.lead.transaction_id, form.lead.transaction_id);
    }
}

#[test]
fn a_webhook_keeps_how_it_was_verified_and_no_secret() {
    let secret = |_: &str| Some(SecretString::from("0123456789abcdef"));
    let source = Sources::preset("crm-conversion", &Stages::default(), &secret).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-webhook-signature", HeaderValue::from_static("sha256=secret"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let verified =
        Verified { scheme: "hmac".into(), secret: "WEBHOOK_SECRET_PREVIOUS".into(), event_id: Some("e-1".into()) };
    // Not UTF-8: it was signed, and the inbox shall have it byte for byte.
    let (body, headers) = (&b"{\"crm_deal_id\": \"D-\xff\"}"[..], KeptHeaders::from(&headers));
    let webhook = Webhook { source: &source, verified, body, headers: &headers, received_at: at() };

    let message = sent(&Message::of_webhook(&webhook));
    let Content::Webhook(spooled) = &message.content else { panic!("{message:?}") };
    let again = spooled.webhook(&source, message.received_at);

    assert_eq!((again.body, again.headers, &again.verified), (body, &headers, &webhook.verified));
    assert_eq!((message.kind(), message.source(), message.received_at), ("webhook", Some("crm-conversion"), at()));
    assert!(!message.to_text().contains("sha256=secret"));
}

#[test]
fn the_largest_webhook_is_a_message_that_sqs_takes() {
    let source = Sources::preset("crm-conversion", &Stages::default(), &|_| None).unwrap();
    let verified = Verified { scheme: "hmac".into(), secret: "WEBHOOK_SECRET".into(), event_id: None };
    let (body, headers) = (vec![1; 256 * 1024], KeptHeaders::default());
    let webhook = Webhook { source: &source, verified, body: &body, headers: &headers, received_at: at() };

    assert!(Message::of_webhook(&webhook).to_text().len() < MESSAGE_LIMIT / 2);
}

#[test]
fn what_is_no_message_says_why_and_nothing_of_itself() {
    let lead = json!({"version": 1, "kind": "lead", "received_at": at(), "body": "e30=", "cookies": "", "gpc": false});
    let with = |name: &str, value: Value| {
        let mut changed = lead.clone();
        changed[name] = value;
        changed.to_string()
    };
    assert!(Message::parse(&lead.to_string()).is_ok(), "what is optional may be left out");
    for (text, why) in [
        ("jane@example.com".to_owned(), "isn't JSON"),
        ("{}".to_owned(), "has no version"),
        (with("version", json!("jane@example.com")), "has no version"),
        (with("version", json!(2)), "has version 2, and this Adtrail reads version 1"),
        (with("kind", json!("jane@example.com")), "a part is missing or malformed"),
        (with("received_at", json!("jane@example.com")), "a part is missing or malformed"),
        (with("body", json!("jane@example.com")), "a part is missing or malformed"),
        (with("address", json!("jane@example.com")), "a part is missing or malformed"),
    ] {
        let said = Message::parse(&text).unwrap_err();
        assert!(said.contains(why) && !said.contains("jane"), "{text}: {said}");
    }
}

#[test]
fn the_url_of_a_queue_is_one() {
    let read = |url: &str| {
        let values = [(QUEUE.to_owned(), SecretString::from(url))].into();
        let mut settings = Settings::new(&values);
        let read = queue_url(&mut settings, QUEUE);
        settings.finish(read).map_err(|error| error.to_string())
    };
    for url in ["https://sqs.eu-central-1.amazonaws.com/123456789012/adtrail", "http://127.0.0.1:4566/0/adtrail"] {
        assert_eq!(read(url).as_deref(), Ok(url));
    }
    for wrong in ["adtrail", "arn:aws:sqs:eu-central-1:123456789012:adtrail", "http://sqs.example.com/0/adtrail"] {
        assert!(read(wrong).unwrap_err().contains("SPOOL_QUEUE_URL must be the URL of a queue"), "{wrong}");
    }
}
