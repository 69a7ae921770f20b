//! The sandbox as its clients see it: over HTTP on the loopback interface.

use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use reqwest::{Client, Response};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::*;

mod accounts;
mod adjustments;
mod analytics;
mod bodies;
mod by_identity;
mod click_conversions;

const HASH: &str = "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a";
/// Much longer than any request here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const SIGNER: &str = "uploader@sandbox.example.com";

/// A listening sandbox with a stopped clock, and a client for it.
struct Trial {
    sandbox: GoogleSandbox,
    clock: Clock,
    url: String,
    client: Client,
}

fn now() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().expect("a time")
}

impl Trial {
    async fn start() -> Self {
        Self::with(GoogleAccount::dev()).await
    }

    async fn with(account: GoogleAccount) -> Self {
        let clock = Clock::fixed(now());
        let sandbox = GoogleSandbox::with_clock(account, clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        // Only plain HTTP is used here, but the client requires a TLS provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            sandbox,
            clock,
            url: format!("http://{address}"),
            client: Client::builder().timeout(PATIENCE).build().expect("a client"),
        }
    }

    async fn ask_token(&self, form: &[(&str, &str)]) -> reqwest::Result<Response> {
        self.client.post(format!("{}/token", self.url)).form(form).send().await
    }

    async fn token(&self) -> String {
        let response = self.ask_token(&refresh_token_form()).await;
        let (status, body) = read(response).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    async fn ingest(&self, token: &str, body: &Value) -> reqwest::Result<Response> {
        self.client.post(format!("{}/v1/events:ingest", self.url)).bearer_auth(token).json(body).send().await
    }

    /// Waits for the first event, which is accepted before this is answered.
    async fn accepts_before(&self, answer: Pin<&mut impl Future<Output = reqwest::Result<Response>>>) {
        tokio::select! {
            answer = answer => panic!("{answer:?}"),
            () = self.sandbox.wait_until(|events| !events.is_empty()) => {}
            () = sleep(PATIENCE) => panic!("the arrival was not announced"),
        }
    }

    async fn status(&self, token: &str, request_id: &str) -> (u16, Value) {
        let response = self
            .client
            .get(format!("{}/v1/requestStatus:retrieve?requestId={request_id}", self.url))
            .bearer_auth(token)
            .send()
            .await;
        read(response).await
    }

    /// Calls a method of the Google Ads API for the dev account.
    async fn ads(&self, token: &str, method: &str, body: &Value) -> (u16, Value) {
        self.ads_of("1234567890", token, method, body).await
    }

    /// Calls it for this account.
    async fn ads_of(&self, customer_id: &str, token: &str, method: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v26/customers/{customer_id}:{method}", self.url);
        read(self.client.post(url).bearer_auth(token).json(body).send().await).await
    }

    fn next(&self, on: Endpoint, kind: FaultKind) {
        let fault = Fault::once(on, kind);
        self.sandbox.script(fault).expect("a playable fault");
    }
}

async fn read(response: reqwest::Result<Response>) -> (u16, Value) {
    let response = response.expect("an answer");
    assert_eq!(response.headers()["x-adtrail-sandbox"], "google");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    let body: Value = serde_json::from_str(&text).expect(&text);
    if body["error"]["details"].is_array() {
        // REST adds the code's name to a google.rpc.Status.
        let mut error = body["error"].clone();
        error.as_object_mut().expect("an error").remove("status").expect("a name");
        schema::parse("google.rpc.Status", &error.to_string()).expect("Google's refusal");
    }
    (status, body)
}

fn refresh_token_form() -> [(&'static str, &'static str); 4] {
    [
        ("grant_type", "refresh_token"),
        ("client_id", "dev-client-id"),
        ("client_secret", "dev-client-secret"),
        ("refresh_token", "dev-refresh-token"),
    ]
}

/// A whole request with everything an uploader sends.
fn request() -> Value {
    json!({
        "destinations": [{
            "reference": "won",
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "productDestinationId": "987654321",
        }],
        "encoding": "HEX",
        "validateOnly": false,
        "events": [event("deal-9182-won")],
    })
}

fn event(transaction_id: &str) -> Value {
    json!({
        "destinationReferences": ["won"],
        "transactionId": transaction_id,
        "eventTimestamp": "2026-11-20T12:03:11Z",
        "lastUpdatedTimestamp": "2026-11-20T14:05:00+02:00",
        "eventSource": "WEB",
        "conversionValue": 1499.5,
        "currency": "UAH",
        "adIdentifiers": {"gclid": "EAIaIQobChMI_fake"},
        "userData": {"userIdentifiers": [{"emailAddress": HASH}]},
        "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"},
    })
}

fn detail(body: &Value, kind: &str) -> Value {
    let kind = format!("type.googleapis.com/google.rpc.{kind}");
    let details = body["error"]["details"].as_array().expect("details");
    let found = details.iter().find(|detail| detail["@type"] == kind.as_str());
    found.expect(&kind).clone()
}

#[tokio::test]
async fn a_good_request_is_accepted_stored_as_written_and_confirmed() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let sent = request();
    let (status, body) = read(trial.ingest(&token, &sent).await).await;
    assert_eq!(status, 200, "{body}");
    schema::parse("google.ads.datamanager.v1.IngestEventsResponse", &body.to_string()).expect("Google's answer");

    let request_id = body["requestId"].as_str().expect("a request id");
    let events = trial.sandbox.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].request_id, request_id);
    assert_eq!(events[0].transaction_id, "deal-9182-won");
    assert_eq!(events[0].received, 1);
    assert_eq!(events[0].event, sent["events"][0]);
    assert_eq!(events[0].destination, sent["destinations"][0]);

    let (status, body) = trial.status(&token, request_id).await;
    assert_eq!(status, 200, "{body}");
    schema::parse("google.ads.datamanager.v1.RetrieveRequestStatusResponse", &body.to_string())
        .expect("Google's answer");
    let answer = &body["requestStatusPerDestination"][0];
    assert_eq!(answer["requestStatus"], "SUCCESS");
    assert_eq!(answer["eventsIngestionStatus"]["recordCount"], "1");

    let requests = trial.sandbox.requests();
    assert_eq!((requests.token, requests.status), (1, 1));
    assert_eq!(requests.ingest, [sent.to_string()]);
}

#[tokio::test]
async fn the_same_transaction_id_is_one_conversion_per_action() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let mut request = request();
    read(trial.ingest(&token, &request).await).await;
    request["events"][0]["conversionValue"] = json!(900);
    request["events"][0]["destinationReferences"] = json!([]);
    let mut second = request["destinations"][0].clone();
    second["reference"] = json!("qualified");
    second["productDestinationId"] = json!("987654320");
    request["destinations"] = json!([request["destinations"][0].clone(), second]);
    let (status, body) = read(trial.ingest(&token, &request).await).await;
    assert_eq!(status, 200, "{body}");

    let shown = trial.client.get(format!("{}/sandbox/google/events", trial.url)).send().await;
    let (_, events) = read(shown).await;
    assert_eq!(events.as_array().map(Vec::len), Some(2));
    assert_eq!(events[0]["transactionId"], "deal-9182-won");
    assert_eq!(events[0]["received"], 2);
    assert_eq!(events[0]["event"]["conversionValue"], 900);
    assert_eq!(events[0]["request_id"], body["requestId"]);
    assert_eq!(events[1]["received"], 1);
    assert_eq!(events[1]["destination"]["productDestinationId"], "987654320");
}

#[tokio::test]
async fn nothing_of_a_request_with_one_bad_event_is_processed() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let mut request = request();
    request["events"] = json!([event("deal-1-won"), event("deal-2-won")]);
    request["events"][1]["userData"]["userIdentifiers"][0]["emailAddress"] = json!("xyz");
    let (status, body) = read(trial.ingest(&token, &request).await).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["status"], "INVALID_ARGUMENT");
    let violation = &detail(&body, "BadRequest")["fieldViolations"][0];
    assert_eq!(violation["field"], "events.events[1].user_data.user_identifiers[0]");
    assert_eq!(violation["reason"], "INVALID_HEX_ENCODING");
    let info = detail(&body, "ErrorInfo");
    assert_eq!(info["domain"], "datamanager.googleapis.com");
    assert_eq!(info["metadata"]["requestId"], detail(&body, "RequestInfo")["requestId"]);
    assert!(trial.sandbox.events().is_empty());
}

#[tokio::test]
async fn what_is_not_google_s_json_is_refused() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let mut unknown = request();
    unknown["events"][0]["currencyCode"] = json!("UAH");
    let (status, body) = read(trial.ingest(&token, &unknown).await).await;
    assert_eq!(status, 400);
    let violation = &detail(&body, "BadRequest")["fieldViolations"][0];
    assert_eq!(violation["field"], "events[0]");

    let url = format!("{}/v1/events:ingest", trial.url);
    let plain = trial.client.post(&url).bearer_auth(&token).body(request().to_string());
    assert_eq!(read(plain.send().await).await.0, 400);
    let huge = trial.client.post(&url).bearer_auth(&token).body(vec![b' '; 11 << 20]);
    assert_eq!(read(huge.send().await).await.0, 400);
    assert!(trial.sandbox.events().is_empty());
}

#[tokio::test]
async fn another_account_is_forbidden() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let mut request = request();
    request["destinations"][0]["operatingAccount"]["accountId"] = json!("1111111111");
    let (status, body) = read(trial.ingest(&token, &request).await).await;
    assert_eq!(status, 403);
    assert_eq!(body["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(detail(&body, "ErrorInfo")["reason"], "PERMISSION_DENIED");
}

#[tokio::test]
async fn credentials_of_a_manager_must_say_so() {
    let mut account = GoogleAccount::dev();
    account.login_customer_id = Some("9876543210".to_owned());
    let through_manager = Trial::with(account).await;
    let directly = Trial::start().await;
    let mut with_login = request();
    with_login["destinations"][0]["loginAccount"] = json!({"accountType": "GOOGLE_ADS", "accountId": "9876543210"});
    for (trial, request, status) in [
        (&through_manager, &with_login, 200),
        (&through_manager, &request(), 403),
        (&directly, &with_login, 403),
        (&directly, &request(), 200),
    ] {
        let token = trial.token().await;
        assert_eq!(read(trial.ingest(&token, request).await).await.0, status);
    }
}

#[tokio::test]
async fn validating_only_stores_nothing_and_has_no_status() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let mut request = request();
    request["validateOnly"] = json!(true);
    let (status, body) = read(trial.ingest(&token, &request).await).await;
    assert_eq!(status, 200);
    assert!(trial.sandbox.events().is_empty());
    let request_id = body["requestId"].as_str().expect("a request id");
    let (status, body) = trial.status(&token, request_id).await;
    assert_eq!(status, 400);
    let violation = &detail(&body, "BadRequest")["fieldViolations"][0];
    assert_eq!(violation["reason"], "INVALID_REQUEST_ID");
}

#[tokio::test]
async fn only_a_token_from_here_and_of_this_hour_opens_the_api() {
    let trial = Trial::start().await;
    let reason = |(status, body): (u16, Value)| {
        assert_eq!(status, 401);
        assert_eq!(body["error"]["status"], "UNAUTHENTICATED");
        detail(&body, "ErrorInfo")["reason"].clone()
    };
    let url = format!("{}/v1/events:ingest", trial.url);
    let without = trial.client.post(&url).json(&request()).send().await;
    assert_eq!(reason(read(without).await), "CREDENTIALS_MISSING");
    let invented = trial.ingest("invented", &request()).await;
    assert_eq!(reason(read(invented).await), "ACCESS_TOKEN_TYPE_UNSUPPORTED");

    let token = trial.token().await;
    trial.clock.advance(TimeDelta::seconds(3598));
    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 200);
    trial.clock.advance(TimeDelta::seconds(1));
    let expired = trial.ingest(&token, &request()).await;
    assert_eq!(reason(read(expired).await), "ACCESS_TOKEN_EXPIRED");
    assert_eq!(reason(trial.status(&token, "any").await), "ACCESS_TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_token_without_the_scope_opens_nothing() {
    let mut account = GoogleAccount::dev();
    account.refresh_token.scopes = [access::ADWORDS.to_owned()].into();
    let trial = Trial::with(account).await;
    let token = trial.token().await;
    for (status, body) in [read(trial.ingest(&token, &request()).await).await, trial.status(&token, "any").await] {
        assert_eq!(status, 403);
        assert_eq!(detail(&body, "ErrorInfo")["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    }
    assert!(trial.sandbox.events().is_empty());
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_as_google_does() {
    let trial = Trial::start().await;
    let (status, body) = read(trial.ask_token(&refresh_token_form()).await).await;
    assert_eq!(status, 200);
    assert_eq!(body["expires_in"], 3599);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], format!("{} {}", access::ADWORDS, access::DATAMANAGER));
    assert!(body["refresh_token"].is_null());

    for (field, value, status, error) in [
        (0, "password", 400, "unsupported_grant_type"),
        (0, "", 400, "invalid_request"),
        (1, "somebody-else", 401, "invalid_client"),
        (2, "wrong", 401, "invalid_client"),
        (3, "revoked", 400, "invalid_grant"),
        (3, "", 400, "invalid_request"),
    ] {
        let mut form = refresh_token_form();
        form[field].1 = value;
        let (seen, body) = read(trial.ask_token(&form).await).await;
        assert_eq!((seen, body["error"].as_str()), (status, Some(error)));
        assert!(body["error_description"].is_string());
    }
    let url = format!("{}/token", trial.url);
    let as_json = trial.client.post(url).json(&json!({"grant_type": "refresh_token"}));
    assert_eq!(read(as_json.send().await).await.1["error"], "invalid_request");
}

/// Made once: finding the primes takes a while.
fn key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        let pkcs8 = key.to_pkcs8_der().expect("PKCS#8");
        RsaKeyPair::from_pkcs8(pkcs8.as_bytes()).expect("a key that ring takes")
    })
}

fn claims() -> Value {
    let now = now().timestamp();
    json!({
        "iss": SIGNER,
        "scope": "https://www.googleapis.com/auth/datamanager https://www.googleapis.com/auth/adwords",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    })
}

fn assertion(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let mut signature = vec![0; key().public().modulus_len()];
    key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("a signature");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_service_account_s_assertion_is_verified() {
    let mut account = GoogleAccount::dev();
    account.service_account =
        Some(ServiceAccount { client_email: SIGNER.to_owned(), public_key_der: key().public().as_ref().to_vec() });
    let trial = Trial::with(account).await;
    let ask = async |assertion: &str| {
        let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let form = [("grant_type", grant_type), ("assertion", assertion)];
        read(trial.ask_token(&form).await).await
    };
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"});
    let good = assertion(&header, &claims());
    let (status, body) = ask(&good).await;
    assert_eq!(status, 200, "{body}");
    let token = body["access_token"].as_str().expect("a token");
    assert_eq!(read(trial.ingest(token, &request()).await).await.0, 200);

    let now = now().timestamp();
    for (claim, value, error) in [
        ("iss", json!("stranger@example.com"), "invalid_grant"),
        ("aud", json!("https://example.com/"), "invalid_grant"),
        ("exp", json!(now + 3700), "invalid_grant"),
        ("iat", json!(now + 400), "invalid_grant"),
        ("scope", json!("https://www.googleapis.com/auth/drive"), "invalid_scope"),
        ("scope", json!(""), "invalid_scope"),
    ] {
        let mut claims = claims();
        claims[claim] = value;
        let (status, body) = ask(&assertion(&header, &claims)).await;
        assert_eq!((status, body["error"].as_str()), (400, Some(error)), "{claim}: {body}");
    }
    let unsigned = assertion(&json!({"alg": "none"}), &claims());
    assert_eq!(ask(&unsigned).await.1["error"], "invalid_grant");
    assert_eq!(ask("not-a-jwt").await.1["error"], "invalid_grant");

    let mut other_claims = claims();
    other_claims["exp"] = json!(now + 60);
    let other = assertion(&header, &other_claims);
    let (message, _) = good.rsplit_once('.').expect("three parts");
    let (_, signature) = other.rsplit_once('.').expect("three parts");
    let (_, body) = ask(&format!("{message}.{signature}")).await;
    assert_eq!(body["error_description"], "Invalid JWT Signature.");

    trial.clock.advance(TimeDelta::seconds(3600));
    assert_eq!(ask(&good).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_lost_reply_breaks_the_connection_after_the_event_was_accepted() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.next(Endpoint::Ingest, FaultKind::ReplyLost {});
    let error = trial.ingest(&token, &request()).await.expect_err("no answer");
    assert!(!error.is_timeout() && !error.is_connect() && !error.is_status(), "{error:?}");
    assert_eq!(trial.sandbox.events()[0].received, 1);

    assert_eq!(read(trial.ingest(&token, &request()).await).await.0, 200);
    assert_eq!(trial.sandbox.events()[0].received, 2);
}

#[tokio::test]
async fn a_dropped_connection_means_that_nothing_was_processed() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.next(Endpoint::Ingest, FaultKind::Drop {});
    trial.next(Endpoint::Token, FaultKind::Drop {});
    trial.ingest(&token, &request()).await.expect_err("no answer");
    trial.ask_token(&refresh_token_form()).await.expect_err("no answer");
    assert!(trial.sandbox.events().is_empty());
    assert_eq!(trial.sandbox.requests().ingest.len(), 1);
}

#[tokio::test]
async fn an_acceptance_can_be_awaited_while_the_answer_never_comes() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.next(Endpoint::Ingest, FaultKind::NoReply {});
    let request = request();
    trial.accepts_before(pin!(trial.ingest(&token, &request))).await;
    assert_eq!(trial.sandbox.events()[0].transaction_id, "deal-9182-won");
}

#[tokio::test]
async fn a_slow_answer_comes_late_and_the_event_at_once() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.next(Endpoint::Ingest, FaultKind::Slow { seconds: 1 });
    let request = request();
    let mut answer = pin!(trial.ingest(&token, &request));
    trial.accepts_before(answer.as_mut()).await;
    assert_eq!(read(answer.await).await.0, 200);
}

#[tokio::test]
async fn held_answers_come_when_the_faults_are_cleared() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    trial.next(Endpoint::Ingest, FaultKind::Held {});
    let request = request();
    let mut answer = pin!(trial.ingest(&token, &request));
    trial.accepts_before(answer.as_mut()).await;
    trial.sandbox.clear_faults();
    assert_eq!(read(answer.await).await.0, 200);
}

#[tokio::test]
async fn answers_can_be_spoiled() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let spoiled = async |kind: FaultKind| {
        trial.next(Endpoint::Ingest, kind);
        let answer = trial.ingest(&token, &request()).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-adtrail-sandbox"], "google");
        answer.text().await.expect("a body")
    };
    assert!(spoiled(FaultKind::Html {}).await.starts_with("<!doctype html>"));
    assert!(trial.sandbox.events().is_empty());
    assert_eq!(spoiled(FaultKind::Empty {}).await, "");
    assert_eq!(trial.sandbox.events()[0].received, 1);
    let half = spoiled(FaultKind::Truncated {}).await;
    assert!(half.starts_with(r#"{"requestId":"#), "{half}");
    serde_json::from_str::<Value>(&half).expect_err("half a document");
    assert_eq!(trial.sandbox.events()[0].received, 2);
}

#[tokio::test]
async fn answers_are_broken_as_scripted() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let spoiled = async |bad: BadAnswer| {
        trial.next(Endpoint::Ingest, FaultKind::BadAnswer(bad));
        trial.ingest(&token, &request()).await.expect("an answer")
    };
    let id = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["requestId"].to_string();

    let mut endless = spoiled(BadAnswer::Endless {}).await;
    for _ in 0..100 {
        assert!(!endless.chunk().await.expect("more").expect("more").is_empty());
    }
    drop(endless);
    let padded = spoiled(BadAnswer::Padded { megabytes: 3 }).await.text().await.expect("a text");
    assert!(padded.len() > 3 * 1024 * 1024 && !id(&padded).is_empty());
    let longer = BadAnswer::Texts { followed_by: "\0".into(), times: 2 };
    assert!(id(&spoiled(longer).await.text().await.expect("a text")).ends_with("\\u0000\\u0000\""));
    let bytes = spoiled(BadAnswer::InvalidUtf8 {}).await.chunk().await.expect("bytes").expect("bytes");
    std::str::from_utf8(&bytes).expect_err("not UTF-8");
    spoiled(BadAnswer::WrongLength { by: 7 }).await.text().await.expect_err("shorter than its length");
    let cut = spoiled(BadAnswer::WrongLength { by: -7 }).await.text().await.expect("a text");
    serde_json::from_str::<Value>(&cut).expect_err("not all of it");
    let date = "Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(spoiled(BadAnswer::Dated { date: date.into() }).await.headers()["date"], date);
    assert_eq!(trial.sandbox.events()[0].received, 7, "each was accepted");
}

#[tokio::test]
async fn error_statuses_have_google_s_shape() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    for (status, name, reason) in [
        (401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"),
        (403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
        (429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL", "INTERNAL_ERROR"),
        (503, "UNAVAILABLE", "INTERNAL_ERROR"),
    ] {
        trial.next(Endpoint::Ingest, FaultKind::Http { status, retry_after: Some(7), reason: None, body: None });
        let answer = trial.ingest(&token, &request()).await.expect("an answer");
        assert_eq!(answer.headers()["retry-after"], "7");
        let (seen, body) = read(Ok(answer)).await;
        assert_eq!(seen, status);
        assert_eq!(body["error"]["status"], name);
        assert_eq!(body["error"]["code"], status);
        assert_eq!(detail(&body, "ErrorInfo")["reason"], reason);
    }
    trial.next(
        Endpoint::Status,
        FaultKind::Http { status: 403, retry_after: None, reason: Some("SERVICE_DISABLED".to_owned()), body: None },
    );
    let (_, body) = trial.status(&token, "any").await;
    assert_eq!(detail(&body, "ErrorInfo")["reason"], "SERVICE_DISABLED");
}

#[tokio::test]
async fn an_event_is_rejected_in_every_style() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let rejected = async |field_style: FieldStyle| {
        trial.next(
            Endpoint::Ingest,
            FaultKind::RejectEvent { index: 1, reason: "INVALID_EVENT".to_owned(), field_style },
        );
        let (status, body) = read(trial.ingest(&token, &request()).await).await;
        assert_eq!(status, 400);
        body
    };
    for (style, field) in [(FieldStyle::EventsEvents, "events.events[1]"), (FieldStyle::Events, "events[1]")] {
        let violations = detail(&rejected(style).await, "BadRequest");
        assert_eq!(violations["fieldViolations"][0]["field"], field);
        assert_eq!(violations["fieldViolations"][0]["reason"], "INVALID_EVENT");
    }
    let body = rejected(FieldStyle::None).await;
    assert_eq!(detail(&body, "ErrorInfo")["reason"], "INVALID_EVENT");
    assert!(!body.to_string().contains("fieldViolations"));
}

#[tokio::test]
async fn a_verdict_is_final_unless_it_is_processing() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let (_, body) = read(trial.ingest(&token, &request()).await).await;
    let request_id = body["requestId"].as_str().expect("a request id");
    let verdict = |status, reason: Option<&str>| {
        FaultKind::Verdict(Verdict { status, reason: reason.map(str::to_owned), record_count: None })
    };
    let ask = async || {
        let (_, body) = trial.status(&token, request_id).await;
        schema::parse("google.ads.datamanager.v1.RetrieveRequestStatusResponse", &body.to_string())
            .expect("Google's answer");
        body["requestStatusPerDestination"][0].clone()
    };
    trial.next(Endpoint::Status, verdict(RequestStatus::Processing, None));
    let too_recent = "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK";
    trial.next(Endpoint::Status, verdict(RequestStatus::Failed, Some(too_recent)));
    assert_eq!(ask().await["requestStatus"], "PROCESSING");
    for _ in 0..2 {
        let answer = ask().await;
        assert_eq!(answer["requestStatus"], "FAILED");
        let counts = &answer["errorInfo"]["errorCounts"][0];
        assert_eq!(counts, &json!({"recordCount": "1", "reason": too_recent}));
    }
}

#[tokio::test]
async fn faults_are_scripted_over_http() {
    let trial = Trial::start().await;
    let url = format!("{}/sandbox/google/faults", trial.url);
    let fault = json!({
        "on": "token", "times": 2,
        "fault": {"kind": "oauth", "error": "invalid_grant", "description": "revoked"},
    });
    let (status, body) = read(trial.client.post(&url).json(&fault).send().await).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["armed"][0]["fault"]["kind"], "oauth");

    let (status, body) = read(trial.ask_token(&refresh_token_form()).await).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("invalid_grant")));
    let (_, body) = read(trial.client.get(&url).send().await).await;
    assert_eq!(body["armed"][0]["times"], 1);

    trial.client.delete(&url).send().await.expect("an answer");
    trial.token().await;

    let wrong = json!({"on": "ads", "fault": {"kind": "drop"}});
    let (status, body) = read(trial.client.post(&url).json(&wrong).send().await).await;
    assert_eq!(status, 400);
    assert_eq!(body["allowed"]["on"][0], "token");
}

#[tokio::test]
async fn clearing_forgets_events_but_answers_for_them() {
    let trial = Trial::start().await;
    let token = trial.token().await;
    let processing = FaultKind::Verdict(Verdict { status: RequestStatus::Processing, ..Verdict::default() });
    let fault = Fault::once(Endpoint::Status, processing).times(2);
    trial.sandbox.script(fault).expect("a playable fault");
    trial.sandbox.clear_faults();
    let (_, body) = read(trial.ingest(&token, &request()).await).await;
    let request_id = body["requestId"].as_str().expect("a request id");

    let url = format!("{}/sandbox/google/events", trial.url);
    let answer = trial.client.delete(&url).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    assert!(trial.sandbox.events().is_empty());
    assert!(trial.sandbox.requests().ingest.is_empty());
    let (_, body) = trial.status(&token, request_id).await;
    assert_eq!(body["requestStatusPerDestination"][0]["requestStatus"], "SUCCESS");
    read(trial.ingest(&token, &request()).await).await;
    assert_eq!(trial.sandbox.events()[0].received, 1);
}
