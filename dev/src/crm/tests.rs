//! What Adtrail fetches from the sandbox, over HTTP on the loopback interface.

use axum::Json;
use axum::body::Body;
use axum::http::Uri;
use axum::response::{Html, Redirect};
use chrono::TimeDelta;
use serde_json::json;
use shared::crm::Sources;
use shared::crm::lookup::{Lookup, LookupError};
use shared::deals::Stages;
use tokio::net::TcpListener;

use super::*;

const ALL: [Crm; 3] = [Crm::Hubspot, Crm::Pipedrive, Crm::Close];

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn lookup(crm: Crm, url: &str, token: &str) -> Lookup {
    let name = name(crm);
    let stage = match crm {
        Crm::Hubspot => ", stage = \"/fetched/deal/properties/hs_is_closed_won\"",
        _ => "",
    };
    let toml = format!(
        "[crm]
         auth = [{{ bearer = {{ secret = \"CRM_TOKEN\" }} }}]
         fields = {{ deal_id = \"/id\", email = \"/fetched/emails\"{stage} }}
         rules = [{{ when = {{}}, conversion = \"closed\" }}]
         fetch.{name} = {{ token = \"CRM_TOKEN\", url = \"{url}\" }}"
    );
    let sources = Sources::parse(&toml, &Stages::default(), &|_| Some(token.into())).expect("a declaration");
    sources.get("crm").and_then(|source| source.fetch.clone()).expect("a lookup")
}

fn name(crm: Crm) -> String {
    json!(crm).as_str().expect("a name").to_owned()
}

/// A webhook's item about the record with this id.
fn item(crm: Crm, id: &Value) -> Value {
    match crm {
        Crm::Hubspot => json!({ "objectId": id, "propertyName": "dealstage" }),
        Crm::Pipedrive => json!({ "data": { "id": 7, "person_id": id } }),
        Crm::Close => json!({ "event": { "object_type": "opportunity", "lead_id": id } }),
    }
}

/// A sandbox that listens, and a way to ask it.
struct Trial {
    sandbox: CrmSandbox,
    url: String,
}

impl Trial {
    /// With one record of each kind that has the id 1, and two contacts.
    async fn start() -> Self {
        let sandbox = CrmSandbox::new();
        let url = serve(sandbox.router()).await;
        let trial = Self { sandbox, url };
        trial.put(Kind::Deal, json!({
            "id": "1",
            "properties": { "amount": "1500.00", "deal_currency_code": "EUR", "dealname": "A name", "hs_object_id": "1",
                "hs_is_closed_won": "true" },
            "associations": { "contacts": { "results": [
                { "id": "22", "type": "deal_to_contact" },
                { "id": "11", "type": "deal_to_contact" },
                { "id": "22", "type": "deal_to_contact_unlabeled" },
            ] } },
        }));
        trial.put(Kind::Contact, json!({
            "id": "22",
            "properties": { "email": "first@example.com", "hs_additional_emails": "old@example.com", "phone": null },
        }));
        trial.put(
            Kind::Contact,
            json!({
                "id": "11",
                "properties": { "email": "second@example.com", "mobilephone": "+34600000002" },
            }),
        );
        trial.put(
            Kind::Person,
            json!({
                "id": 1,
                "emails": [
                    { "value": "second@example.com", "primary": false, "label": "home" },
                    { "value": "first@example.com", "primary": true, "label": "work" },
                ],
                "phones": [{ "value": "+34600000001", "primary": true, "label": "work" }],
            }),
        );
        trial.put(
            Kind::Lead,
            json!({
                "id": "1",
                "display_name": "A name",
                "contacts": [
                    { "id": "cont_1", "emails": [{ "type": "office", "email": "first@example.com" }], "phones": [] },
                    {
                        "id": "cont_2",
                        "emails": [{ "type": "office", "email": "second@example.com" }],
                        "phones": [{ "type": "mobile", "phone": "+34600000002" }],
                    },
                ],
            }),
        );
        trial
    }

    fn put(&self, kind: Kind, record: Value) {
        self.sandbox.put(kind, [record]).expect("a record");
    }

    async fn fetch(&self, crm: Crm, id: Value) -> Result<Value, LookupError> {
        lookup(crm, &self.url, crm.token()).fetch(&item(crm, &id)).await
    }

    async fn refused(&self, crm: Crm) -> LookupError {
        self.fetch(crm, json!(1)).await.expect_err("a refusal")
    }
}

#[tokio::test]
async fn hubspot_is_asked_for_the_deal_and_its_contacts() {
    let trial = Trial::start().await;
    let fetched = trial.fetch(Crm::Hubspot, json!(1)).await.expect("a deal");
    assert_eq!(fetched["emails"], json!(["first@example.com", "old@example.com", "second@example.com"]));
    assert_eq!(fetched["phones"], json!(["+34600000002"]));
    let properties = json!({
        "amount": "1500.00", "deal_currency_code": "EUR", "hs_object_id": "1", "hs_is_closed_won": "true",
    });
    assert_eq!(fetched["deal"]["properties"], properties, "what wasn't asked for isn't there");
    assert_eq!(fetched["contacts"].as_array().map(Vec::len), Some(2));
    assert_eq!(trial.sandbox.requests(Crm::Hubspot), 2);
}

#[tokio::test]
async fn a_deal_without_contacts_takes_one_request() {
    let trial = Trial::start().await;
    trial.put(Kind::Deal, json!({ "id": "2", "properties": { "amount": "10" } }));
    let fetched = trial.fetch(Crm::Hubspot, json!("2")).await.expect("a deal");
    let expected = json!({
        "deal": { "id": "2", "properties": { "amount": "10" } }, "contacts": [], "emails": [], "phones": [],
    });
    assert_eq!(fetched, expected);
    assert_eq!(trial.sandbox.requests(Crm::Hubspot), 1);
}

#[tokio::test]
async fn contacts_deleted_in_between_are_left_out() {
    let trial = Trial::start().await;
    let contacts = json!({ "results": [{ "id": "99" }, { "id": "11" }] });
    trial.put(Kind::Deal, json!({ "id": "3", "properties": {}, "associations": { "contacts": contacts } }));
    let fetched = trial.fetch(Crm::Hubspot, json!(3)).await.expect("a deal");
    assert_eq!(fetched["emails"], json!(["second@example.com"]));
}

#[tokio::test]
async fn pipedrive_is_asked_for_the_person() {
    let trial = Trial::start().await;
    for id in [json!(1), json!("1"), json!({ "value": 1, "name": "A name" })] {
        let fetched = trial.fetch(Crm::Pipedrive, id).await.expect("a person");
        assert_eq!(fetched["emails"], json!(["first@example.com", "second@example.com"]));
        assert_eq!(fetched["phones"], json!(["+34600000001"]));
        assert_eq!(fetched["person"]["id"], 1);
    }
}

#[tokio::test]
async fn a_deal_without_a_person_takes_no_request() {
    let trial = Trial::start().await;
    let nobody = json!({ "person": null, "emails": [], "phones": [] });
    assert_eq!(trial.fetch(Crm::Pipedrive, Value::Null).await, Ok(nobody.clone()));
    let lookup = lookup(Crm::Pipedrive, &trial.url, "any");
    assert_eq!(lookup.fetch(&json!({ "data": null, "meta": { "action": "delete" } })).await, Ok(nobody));
    assert_eq!(trial.sandbox.requests(Crm::Pipedrive), 0);
}

#[tokio::test]
async fn close_is_asked_for_the_lead() {
    let trial = Trial::start().await;
    let fetched = trial.fetch(Crm::Close, json!("1")).await.expect("a lead");
    assert_eq!(fetched["emails"], json!(["first@example.com", "second@example.com"]));
    assert_eq!(fetched["phones"], json!(["+34600000002"]));
    assert_eq!(fetched["lead"]["display_name"], Value::Null);
    let other = json!({ "event": { "data": { "lead_id": "1" }, "lead_id": "lead_of_another_kind" } });
    let lookup = lookup(Crm::Close, &trial.url, Crm::Close.token());
    assert_eq!(lookup.fetch(&other).await, Ok(fetched));
}

#[tokio::test]
async fn a_wrong_token_is_said_with_the_fix_and_without_the_token() {
    let trial = Trial::start().await;
    for crm in ALL {
        let error = lookup(crm, &trial.url, "sesame").fetch(&item(crm, &json!(1))).await.expect_err("a refusal");
        let LookupError::Refused { reason } = &error else { panic!("{error:?}") };
        assert!(reason.contains("CRM_TOKEN") && reason.contains("(in "), "{reason}");
        assert!(!reason.contains("sesame"), "{reason}");
    }
}

#[tokio::test]
async fn a_missing_permission_is_said_with_the_fix() {
    let trial = Trial::start().await;
    for (crm, fix) in [(Crm::Hubspot, "crm.objects.contacts.read"), (Crm::Pipedrive, "user"), (Crm::Close, "user")] {
        trial.sandbox.fail(crm, Failure { status: 403, times: 1, retry_after: None });
        let error = trial.refused(crm).await;
        assert!(matches!(&error, LookupError::Refused { reason } if reason.contains(fix)), "{error:?}");
        assert!(trial.fetch(crm, json!(1)).await.is_ok());
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let trial = Trial::start().await;
    for (crm, record) in [(Crm::Hubspot, "deal 404"), (Crm::Pipedrive, "person 404"), (Crm::Close, "lead 404")] {
        let error = trial.fetch(crm, json!(404)).await.expect_err("nothing");
        assert!(matches!(&error, LookupError::Gone { reason } if reason.contains(record)), "{error:?}");
        trial.sandbox.fail(crm, Failure { status: 410, times: 1, retry_after: None });
        assert!(matches!(trial.refused(crm).await, LookupError::Gone { .. }));
    }
}

#[tokio::test]
async fn an_unavailable_or_rate_limiting_crm_is_asked_later() {
    let trial = Trial::start().await;
    for crm in ALL {
        for (status, retry_after, expected) in [
            (429, Some(30), Some(TimeDelta::seconds(30))),
            (429, Some(86_400), Some(TimeDelta::hours(6))),
            (429, Some(86_401), None),
            (503, Some(u32::MAX), None),
            (429, None, None),
            (503, Some(5), Some(TimeDelta::seconds(5))),
            (500, None, None),
        ] {
            trial.sandbox.fail(crm, Failure { status, times: 1, retry_after });
            let error = trial.refused(crm).await;
            assert!(matches!(error, LookupError::Later { after, .. } if after == expected), "{error:?}");
        }
    }
}

#[tokio::test]
async fn hostile_ids_are_not_sent() {
    let trial = Trial::start().await;
    for crm in ALL {
        for id in ["../../x", "1?x=y", "1/", "%2e%2e", "1 ", "1\r\nx: y", &"1".repeat(5_000)] {
            let error = trial.fetch(crm, json!(id)).await.expect_err("a refusal");
            let LookupError::Gone { reason } = &error else { panic!("{error:?}") };
            assert!(reason.len() < 100 && !reason.contains(id), "{reason}");
        }
        assert_eq!(trial.sandbox.requests(crm), 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_asked_for_later() {
    let huge = || async { Json(json!({ "data": { "contacts": [], "note": "x".repeat(2 * 1024 * 1024) } })) };
    for router in [
        Router::new().fallback(|| async { Html("<!doctype html><title>Sign in</title>") }),
        Router::new().fallback(|| async { "" }),
        Router::new().fallback(|| async { Json(json!({})) }),
        Router::new().fallback(huge),
    ] {
        let url = serve(router).await;
        for crm in ALL {
            let error = lookup(crm, &url, "any").fetch(&item(crm, &json!(1))).await.expect_err("no answer");
            assert!(matches!(&error, LookupError::Unreadable { reason } if reason.contains("unreadable")), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_broken_answer_is_an_error_with_a_short_reason() {
    let trial = Trial::start().await;
    for crm in ALL {
        for (bad, said) in [
            (BadAnswer::Endless {}, "sent an unreadable answer: must be JSON in UTF-8"),
            (BadAnswer::Padded { megabytes: 50 }, "sent an unreadable answer: must be JSON in UTF-8"),
            (BadAnswer::InvalidUtf8 {}, "sent an unreadable answer: must be JSON in UTF-8"),
            (BadAnswer::Texts { followed_by: "\0".into(), times: 1 }, "must not contain U+0000. Adtrail retries"),
            (BadAnswer::WrongLength { by: -7 }, "sent an unreadable answer: must be JSON in UTF-8"),
            (BadAnswer::WrongLength { by: 7 }, "can't be reached"),
        ] {
            trial.sandbox.spoil(crm, bad.clone(), 1);
            let reason = trial.fetch(crm, json!(1)).await.expect_err("no answer").to_string();
            assert!(reason.contains(said) && reason.len() < 250, "{bad:?}: {reason}");
        }
        trial.sandbox.spoil(crm, BadAnswer::Dated { date: "Thu, 01 Jan 1970 00:00:00 GMT".into() }, 1);
        assert!(trial.fetch(crm, json!(1)).await.is_ok());
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trial = Trial::start().await;
    let target = trial.url.clone();
    let elsewhere =
        serve(Router::new().fallback(move |uri: Uri| async move { Redirect::temporary(&format!("{target}{uri}")) }));
    let elsewhere = elsewhere.await;
    for crm in ALL {
        let error = lookup(crm, &elsewhere, crm.token()).fetch(&item(crm, &json!(1))).await.expect_err("a redirect");
        assert!(matches!(&error, LookupError::Refused { reason } if reason.contains("url")), "{error:?}");
        assert_eq!(trial.sandbox.requests(crm), 0);
    }
}

#[tokio::test]
async fn network_trouble_is_told_without_addresses() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let refusing = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let half = || async {
        let parts = [Ok("{\"contacts\":"), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
        Body::from_stream(futures_util::stream::iter(parts))
    };
    let breaking = serve(Router::new().fallback(half)).await;
    for url in [refusing, breaking] {
        for crm in ALL {
            let error = lookup(crm, &url, "sesame").fetch(&item(crm, &json!(1))).await.expect_err("no answer");
            let LookupError::Later { reason, after: None } = &error else { panic!("{error:?}") };
            for secret in ["127.0.0.1", "/api", "sesame"] {
                assert!(!reason.contains(secret), "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn records_and_failures_come_over_http_too() {
    let trial = Trial::start().await;
    let http = shared::outgoing::http_client().expect("a client");
    let post = async |path: &str, body: Value| {
        let response = http.post(format!("{}{path}", trial.url)).json(&body).send().await.expect("an answer");
        assert_eq!(response.headers()["x-adtrail-sandbox"], "crm");
        response.status().as_u16()
    };
    assert_eq!(post("/sandbox/crm/hubspot", json!({ "deals": [{ "id": 5, "properties": {} }] })).await, 204);
    assert_eq!(post("/sandbox/crm/pipedrive", json!({ "persons": [{ "id": 5 }] })).await, 204);
    assert_eq!(post("/sandbox/crm/close", json!({ "leads": [{ "id": "5", "contacts": [] }] })).await, 204);
    assert_eq!(post("/sandbox/crm/close", json!({ "leads": [{ "contacts": [] }] })).await, 400);
    for crm in ALL {
        assert!(trial.fetch(crm, json!(5)).await.is_ok());
        assert_eq!(post("/sandbox/crm/failures", json!({ "on": crm, "status": 500 })).await, 204);
        assert!(trial.fetch(crm, json!(5)).await.is_err());
    }
    let counted = http.get(format!("{}/sandbox/crm/requests", trial.url)).send().await.expect("an answer");
    let counted: Value = serde_json::from_str(&counted.text().await.expect("a text")).expect("JSON");
    assert_eq!(counted, json!({ "hubspot": 2, "pipedrive": 2, "close": 2 }));
}
