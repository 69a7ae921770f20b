//! Google Analytics as a destination of events, by both ways.

use super::*;

fn property() -> Value {
    json!({"accountType": "GOOGLE_ANALYTICS_PROPERTY", "accountId": "123456789"})
}

fn request() -> Value {
    json!({
        "destinations": [{
            "operatingAccount": property(),
            "loginAccount": property(),
            "productDestinationId": "G-DEV1234567",
        }],
        "events": [{
            "eventName": "generate_lead",
            "clientId": "1.2",
            "eventTimestamp": "2026-11-22T11:59:00Z",
            "eventSource": "WEB",
            "consent": {"adUserData": "CONSENT_GRANTED"},
            "additionalEventParameters": [{"parameterName": "method", "value": "form"}],
        }],
    })
}

/// The places and reasons of what is refused.
fn violations(answer: &Value) -> Vec<(String, String)> {
    let details = answer["error"]["details"].as_array().into_iter().flatten();
    let violations = details.flat_map(|detail| detail["fieldViolations"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    violations.map(|it| (text(&it["field"]), text(&it["reason"]))).collect()
}

#[tokio::test]
async fn an_event_of_analytics_is_accepted_counted_and_confirmed() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let (status, body) = read(trial.ingest(&token, &request()).await).await;
    assert_eq!(status, 200, "{body}");
    let counted = trial.sandbox.analytics().events;
    assert_eq!(counted.len(), 1);
    assert_eq!(counted[0].param("method").as_deref(), Some("form"));
    assert!(trial.sandbox.conversions().is_empty() && trial.sandbox.events().is_empty());
    let (_, status) = trial.status(&token, body["requestId"].as_str().expect("an id")).await;
    assert_eq!(status["requestStatusPerDestination"][0]["requestStatus"], "SUCCESS");
}

#[tokio::test]
async fn what_google_rejects_of_events_is_named() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let many: Vec<_> = (0..26).map(|at| json!({"parameterName": format!("p{at}"), "value": "x"})).collect();
    for (pointer, value, field, reason) in [
        ("/events/0/eventName", json!(""), "events.events[0].event_name", "REQUIRED_FIELD_MISSING"),
        ("/events/0/eventName", json!("session_start"), "events.events[0].event_name", "RESERVED_NAME_USED"),
        ("/events/0/eventName", json!("a b"), "events.events[0].event_name", "INVALID_EVENT_NAME"),
        ("/events/0/clientId", json!(""), "events.events[0].client_id", "REQUIRED_FIELD_MISSING"),
        (
            "/events/0/eventTimestamp",
            json!("2026-11-19T11:00:00Z"),
            "events.events[0].event_timestamp",
            "EVENT_TIME_INVALID",
        ),
        ("/events/0/eventTimestamp", Value::Null, "events.events[0].event_timestamp", "REQUIRED_FIELD_MISSING"),
        ("/events/0/eventSource", Value::Null, "events.events[0].event_source", "REQUIRED_FIELD_MISSING"),
        ("/events/0/transactionId", json!(" "), "events.events[0].transaction_id", "INVALID_ARGUMENT"),
        (
            "/events/0/additionalEventParameters",
            json!(many),
            "events.events[0].additional_event_parameters",
            "TOO_MANY_ELEMENTS",
        ),
        (
            "/events/0/additionalEventParameters/0/value",
            json!("😀".repeat(51)),
            "events.events[0].additional_event_parameters[0].value",
            "FIELD_VALUE_TOO_LONG",
        ),
        (
            "/events/0/additionalEventParameters/0/parameterName",
            json!("ga_x"),
            "events.events[0].additional_event_parameters[0].parameter_name",
            "RESERVED_NAME_USED",
        ),
        (
            "/destinations/0/productDestinationId",
            json!("123"),
            "destinations[0].product_destination_id",
            "INVALID_STREAM_TYPE",
        ),
        (
            "/destinations/0/loginAccount/accountId",
            json!("1"),
            "destinations[0].login_account",
            "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH",
        ),
        (
            "/destinations/0/productDestinationId",
            json!("G-UNKNOWN"),
            "events.events[0].destination_references",
            "NOT_FOUND",
        ),
    ] {
        let mut body = request();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).expect("a parent")[name] = value;
        let (status, answer) = read(trial.ingest(&token, &body).await).await;
        assert_eq!(status, 400, "{pointer}: {answer}");
        assert_eq!(violations(&answer), [(field.to_owned(), reason.to_owned())], "{pointer}");
    }
    let mut elsewhere = request();
    for account in ["operatingAccount", "loginAccount"] {
        elsewhere["destinations"][0][account]["accountId"] = json!("1");
    }
    let (status, _) = read(trial.ingest(&token, &elsewhere).await).await;
    assert_eq!(status, 403);
    assert!(trial.sandbox.analytics().events.is_empty());
}

fn hit() -> Value {
    let at = now().timestamp_micros();
    let params = json!({"transaction_id": "T-1", "engagement_time_msec": 1});
    json!({"client_id": "1.2", "events": [{"name": "purchase", "timestamp_micros": at, "params": params}]})
}

#[tokio::test]
async fn the_measurement_protocol_answers_204_whatever_comes_and_counts_what_is_right() {
    let trial = Trial::start().await;
    let post = |path: &str, body: String| trial.client.post(format!("{}{path}", trial.url)).body(body).send();
    let right = "/mp/collect?measurement_id=G-DEV1234567&api_secret=dev-ga4-secret";
    for body in [hit().to_string(), hit().to_string(), "{".into(), "[]".into(), "{}".into()] {
        let answer = post(right, body).await.expect("an answer");
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["x-adtrail-sandbox"], "google");
    }
    for path in ["/mp/collect", "/mp/collect?measurement_id=G-DEV1234567&api_secret=wrong"] {
        assert_eq!(post(path, hit().to_string()).await.expect("an answer").status(), 204);
    }
    let analytics = trial.sandbox.analytics();
    assert_eq!((analytics.events.len(), analytics.repeated_purchases), (1, 1), "counted once");
    assert!(analytics.findings.len() >= 5, "{:?}", analytics.findings);
    let shown = trial.client.get(format!("{}/sandbox/google/analytics", trial.url)).send().await;
    let (_, shown) = read(shown).await;
    assert_eq!((&shown["events"][0]["name"], &shown["repeated_purchases"]), (&json!("purchase"), &json!(1)), "{shown}");
}

#[tokio::test]
async fn the_validation_server_says_what_is_wrong_and_counts_nothing() {
    let trial = Trial::start().await;
    let messages = async |body: &Value| {
        let answer = trial.client.post(format!("{}/debug/mp/collect", trial.url)).body(body.to_string()).send().await;
        let (_, answer) = read(answer).await;
        let messages = answer["validationMessages"].as_array().expect("messages").clone();
        messages.into_iter().map(|it| it["validationCode"].as_str().expect("a code").to_owned()).collect::<Vec<_>>()
    };
    assert!(messages(&hit()).await.is_empty());
    for (pointer, value, code) in [
        ("/client_id", json!(""), "VALUE_REQUIRED"),
        ("/ip_override", json!("192.0.2.1"), "VALUE_INVALID"),
        ("/consent", json!({"ad_user_data": "granted"}), "VALUE_INVALID"),
        ("/user_data", json!({"sha256_email_address": ["jane@example.com"]}), "VALUE_INVALID"),
        ("/events/0/name", json!("first_visit"), "NAME_RESERVED"),
        ("/events/0/timestamp_micros", json!(1), "VALUE_OUT_OF_BOUNDS"),
        ("/events/0/params/transaction_id", json!(""), "VALUE_REQUIRED"),
        ("/events/0/params/google_x", json!("y"), "NAME_RESERVED"),
        ("/events/0/params/list", json!([1]), "VALUE_INVALID"),
        ("/events/0/params/long", json!("x".repeat(101)), "VALUE_OUT_OF_BOUNDS"),
    ] {
        let mut body = hit();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).expect("a parent")[name] = value;
        let found = messages(&body).await;
        assert!(found.iter().any(|it| it == code), "{pointer}: {found:?}");
    }
    assert!(trial.sandbox.analytics().events.is_empty() && trial.sandbox.analytics().findings.is_empty());
}
