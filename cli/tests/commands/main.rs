//! The commands as an operator calls them, over a real database where they need one.

#![expect(clippy::unwrap_used, reason = "a test may end that way")]

mod attach;
mod destinations;
mod dry_run;
mod explain;
mod import;
mod lead;
mod list;
mod migrate;
mod process;
mod retry;
mod sign;
mod sources;
mod spool;

use lambda_http::RequestExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::crm::{Sources, presets};
use shared::deals::Stages;
use shared::settings::Values;
use sqlx::{ConnectOptions, PgPool};
use testing::{Answer, WEBHOOK_SECRET, call, lead, with};
use uuid::Uuid;

/// A source of the operator's own, with a secret of today and one of yesterday.
const ACME: &str = r#"
[acme]
[[acme.auth]]
hmac = { header = "x-signature", secret = "ACME_SECRET", prefix = "sha256=" }
[acme.fields]
deal_id = "/deal/id"
stage = "/deal/stage"
value = "/deal/value"
currency = { text = "EUR" }
email = "/person/email"
[[acme.rules]]
when = { stage = "won" }
conversion = "closed"
[[acme.rules]]
when = { stage = "lost" }
conversion = "lost"
"#;
const ACME_SECRET: &str = "the secret of acme";

/// A deal of jane@example.com as acme reports it.
const DEAL: &str =
    r#"{"deal": {"id": "D-7", "stage": "won", "value": 6000.5}, "person": {"email": "jane@example.com"}}"#;

/// The settings of an operator who declares acme; an empty value unsets a setting.
fn values(pool: Option<&PgPool>, settings: &[(&str, &str)]) -> Values {
    let usual = [
        ("CRM_SOURCES", ACME),
        ("ACME_SECRET", ACME_SECRET),
        ("WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("GOOGLE_ADS_CUSTOMER_ID", "1234567890"),
        ("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED", "11"),
        ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "12"),
        ("CONSENT_UNKNOWN", "send"),
    ];
    let all = usual.iter().chain(settings);
    let mut values: Values = all.map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
    if let Some(pool) = pool {
        values.insert("DATABASE_URL".into(), pool.connect_options().to_url_lossy().to_string().into());
    }
    values
}

/// The settings that the presets name, each with a secret of the shape it must have.
fn secrets_of_presets() -> Vec<(String, String)> {
    let names = std::cell::RefCell::new(Vec::new());
    for name in presets::names() {
        let note = |name: &str| {
            names.borrow_mut().push(name.to_owned());
            None
        };
        Sources::preset(name, &Stages::default(), &note).unwrap();
    }
    let mut names = names.into_inner();
    names.retain(|name| !name.ends_with("_PREVIOUS") && name != "WEBHOOK_SECRET");
    names.sort();
    names.dedup();
    let secret = |name: &str| match name {
        "STANDARD_WEBHOOKS_SECRET" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        "CLOSE_SIGNATURE_KEY" => "00112233445566778899aabbccddeeff".to_owned(),
        name => format!("hush-{}", name.to_lowercase()),
    };
    names.into_iter().map(|name| (name.clone(), secret(&name))).collect()
}

/// What a command prints, or what it says when it fails; with everything it had printed by then.
async fn run(values: &Values, arguments: &[&str]) -> (String, Result<(), String>) {
    let mut out = Vec::new();
    let arguments = std::iter::once("adtrail").chain(arguments.iter().copied()).map(str::to_owned);
    let ended = cli::run(arguments, std::future::ready(Ok(values.clone())), &mut out).await;
    (String::from_utf8(out).unwrap(), ended.map_err(|failure| failure.to_string()))
}

/// What a command that does what it was asked for prints.
async fn printed(values: &Values, arguments: &[&str]) -> String {
    let (out, ended) = run(values, arguments).await;
    assert_eq!(ended, Ok(()), "{arguments:?} printed {out}");
    out
}

/// The same as its document.
async fn document(values: &Values, arguments: &[&str]) -> Value {
    let out = printed(values, &[&["--json"], arguments].concat()).await;
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// What a command that fails says, having printed nothing.
async fn refused(values: &Values, arguments: &[&str]) -> String {
    let (out, ended) = run(values, arguments).await;
    assert_eq!(out, "", "{arguments:?}");
    ended.unwrap_err()
}

/// A file of a test, by its path.
fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Has acme deliver this, at [`testing::start`].
async fn deliver(pool: &PgPool, body: &str) -> Answer {
    let settings = [("CRM_SOURCES", ACME), ("ACME_SECRET", ACME_SECRET)];
    let app = testing::app_with(pool, &settings);
    let signed = document(&values(None, &[]), &["crm", "sign", "acme", &file("body", body)]).await;
    let mut request = testing::request(&crm_conversion::ENDPOINT, body);
    *request.uri_mut() = "/api/webhooks/acme".parse().unwrap();
    for header in signed["headers"].as_array().unwrap() {
        request = with(request, header["name"].as_str().unwrap(), header["value"].as_str().unwrap());
    }
    assert!(request.request_context_ref().is_some(), "it looks as if it came through API Gateway");
    call(&app, &crm_conversion::ENDPOINT, request, crm_conversion::handle).await
}
