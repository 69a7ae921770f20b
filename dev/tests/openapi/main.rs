//! `docs/openapi.yaml` is a valid document, and says what the code does: no endpoint, no status, no header and no field
//! more or less.
//!
//! The answers are those of the router that `make dev` serves, over a real Postgres.

mod answers;
mod calls;
mod document;
mod endpoints;
mod fields;
mod generated;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Request, header};
use chrono::{DateTime, Utc};
use dev::functions::{ENDPOINTS, Functions};
use dev::server::api;
use dev::settings;
use secrecy::SecretString;
use serde_json::Value;
use shared::App;
use shared::clock::Clock;
use shared::http::cookies;
use shared::money::Money;
use shared::spool::Spool;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use testing::sqs::{SPOOL, Sqs};
use tower::ServiceExt;

use answers::{Answer, WEBSITE, unhardened};
use calls::{ANY_SUCCESS, Call};
use document::Document;

/// A destination for one site and one stage.
const FRANCE: &str = "[france]\nplatform = \"google-ads\"\ncustomer_id = 2223334444\nactions = { closed = 111 }\n\
                      when = { site = \"www.example.fr\" }";

/// When the document's examples take place.
const NOW: &str = "2026-11-22T15:31:07Z";

#[test]
fn the_document_is_valid() {
    let faults = Document::read().faults();

    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_document_names_the_endpoints_of_the_code_and_no_others() {
    let document = Document::read();

    let differences = endpoints::differences(&document, ENDPOINTS);

    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
    let name =
        |component: &str| document.find(&format!("/components/{component}/name")).map(|place| place.value.clone());
    assert_eq!(name("parameters/VisitorCookie"), Some(cookies::VISITOR.host.into()));
    assert_eq!(name("parameters/AttributionCookie"), Some(cookies::ATTRIBUTION.host.into()));
}

#[test]
fn the_document_names_the_currencies_of_the_code() {
    let document = Document::read();
    let place = document.find("/components/schemas/Currency/enum").map(|place| place.value.clone());
    let documented: BTreeSet<String> = serde_json::from_value(place.unwrap_or_default()).expect("texts");
    let letters = || 'A'..='Z';
    let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    let taken: BTreeSet<_> = codes.filter(|code| Money::currency_from(code).is_ok()).collect();
    assert_eq!(documented, taken);
}

#[sqlx::test(migrations = "../migrations")]
async fn every_answer_is_documented_and_every_documented_answer_is_given(pool: PgPool) -> anyhow::Result<()> {
    let database = pool.connect_options();
    let router = router((*database).clone(), &[])?;
    // Nobody listens there.
    let cut_off = self::router(PgConnectOptions::clone(&database).host("127.0.0.1").port(1), &[])?;
    // It may do nothing.
    let powerless = self::router(PgConnectOptions::clone(&database).options([("role", "anon")]), &[])?;
    let elsewhere = self::router((*database).clone(), &[("GOOGLE_ADS_CUSTOMER_ID", ""), ("DESTINATIONS", FRANCE)])?;
    let clicks_only = self::router((*database).clone(), &[("GOOGLE_ADS_USER_DATA", "omit")])?;
    let document = Document::read();
    let mut trial = Trial::of(&document);

    trial.run(&router, vec![fields::health("healthy").says("/last/visit", Value::Null)]).await?;
    sqlx::query("insert into visitors (visitor_id) values ($1)").bind(calls::VISITOR).execute(&pool).await?;
    let bot = "insert into visitors (visitor_id, bot_score, bot_reasons) values ($1, 100, '{headless}')";
    sqlx::query(bot).bind(calls::BOT).execute(&pool).await?;
    trial.run(&router, fields::calls()).await?;
    trial.run(&router, fields::of_a_bot()).await?;
    for operation in document.operations() {
        trial.run(&router, calls::general(&document, &operation)).await?;
        trial.run(&router, calls::shown(&document, &operation)).await?;
    }
    trial.run(&elsewhere, fields::of_no_destination()).await?;
    trial.run(&clicks_only, fields::without_attribution()).await?;
    sqlx::query(
        "insert into platform_state (platform, state, reason, paused_at, next_probe_at)
         values ('google_ads', 'paused', 'Store new credentials.', now(), now())
         on conflict (platform) do update set (state, reason, paused_at, next_probe_at) =
           (excluded.state, excluded.reason, excluded.paused_at, excluded.next_probe_at)",
    )
    .execute(&pool)
    .await?;
    trial.run(&router, vec![fields::health("critical")]).await?;
    sqlx::query("update conversion_queue set status = 'uploaded', uploaded_at = now(), claims = 1")
        .execute(&pool)
        .await?;
    trial.run(&router, fields::changes_of_what_was_told()).await?;
    sqlx::query(
        "update conversion_queue set last_error_code = 'CODE', last_error = 'Mend it.' where adjusts is not null",
    )
    .execute(&pool)
    .await?;
    trial.run(&router, vec![fields::health("degraded").says("/queue/reasons/0/code", "CODE")]).await?;
    sqlx::query("update rate_counters set calls = 1000000000").execute(&pool).await?;
    trial.run(&router, calls::above_the_limit(&document)).await?;
    trial.run(&cut_off, calls::without_database(&document, 503)).await?;
    let sqs = Sqs::start().await;
    trial.run(&spooling(&database, &sqs).await?, calls::stored_for_later(&document)).await?;
    trial.run(&powerless, calls::without_database(&document, 500)).await?;
    // As on a schema that wasn't migrated.
    sqlx::query("drop schema public cascade").execute(&pool).await?;
    trial.run(&router, calls::without_database(&document, 503)).await?;
    trial.ask_elsewhere(&router).await?;

    let mut faults = trial.faults;
    faults.extend(answers::never_answered(&document, &trial.answered));
    faults.extend(answers::never_said(&document, &trial.said));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn an_endpoint_answers_at_its_aliases_as_at_its_path(pool: PgPool) -> anyhow::Result<()> {
    let router = router((*pool.connect_options()).clone(), &[])?;
    for endpoint in ENDPOINTS {
        for method in [endpoint.method.as_str(), "OPTIONS", "PUT"] {
            let at = |path: &str| Call::new(&format!("{method} {path}"), 0, "{}");
            let expected = ask(&router, &at(endpoint.path)).await?;
            // A source of leads has answers of its own.
            for alias in endpoint.aliases.iter().filter(|alias| !alias.contains('{')) {
                let answer = ask(&router, &Call { headers: at(endpoint.path).headers, ..at(alias) }).await?;
                assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{method} {alias}");
                assert_eq!(answer.headers, expected.headers, "{method} {alias}");
            }
        }
    }
    Ok(())
}

/// The same without a database, and with a spool.
async fn spooling(database: &PgConnectOptions, sqs: &Sqs) -> anyhow::Result<Router> {
    let mut functions = functions(database.clone().host("127.0.0.1").port(1), &[])?;
    functions.create_lead.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    functions.crm_conversion.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    Ok(served(functions))
}

/// The HTTP contract as `make dev` serves it, over this database, with these settings changed.
fn router(database: PgConnectOptions, changed: &[(&str, &str)]) -> anyhow::Result<Router> {
    Ok(served(functions(database, changed)?))
}

fn functions(database: PgConnectOptions, changed: &[(&str, &str)]) -> anyhow::Result<Functions> {
    let nowhere = "http://127.0.0.1:1";
    let mut values = settings::values("postgres://127.0.0.1/replaced-below", nowhere);
    values.extend(settings::crms(nowhere));
    values.insert("ALLOWED_ORIGINS".into(), SecretString::from(WEBSITE));
    values.insert("LEADS_PER_HOUR".into(), SecretString::from("10000000"));
    values.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))));
    let now: DateTime<Utc> = NOW.parse()?;
    let mut app = App::<dev::functions::Config>::new(&values, &[], Clock::fixed(now), 2)?;
    app.db = std::sync::Arc::new(shared::db::Db::new(database, 2));
    Ok(app.into())
}

fn served(functions: Functions) -> Router {
    api(Box::leak(Box::new(functions))).layer(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 443))))
}

/// Calls made so far, and what was wrong with their answers.
struct Trial<'a> {
    document: &'a Document,
    answered: BTreeSet<(String, u16)>,
    /// Why conversions were skipped, and the states of lanes.
    said: BTreeSet<String>,
    faults: Vec<String>,
}

impl<'a> Trial<'a> {
    fn of(document: &'a Document) -> Self {
        Self { document, answered: BTreeSet::new(), said: BTreeSet::new(), faults: Vec::new() }
    }

    async fn run(&mut self, router: &Router, calls: Vec<Call>) -> anyhow::Result<()> {
        let operations = self.document.operations();
        for call in calls {
            let operation = operations.iter().find(|operation| operation.name() == call.operation);
            let Some(operation) = operation else { anyhow::bail!("{} isn't documented", call.operation) };
            let answer = ask(router, &call).await?;
            let status = answer.status.as_u16();
            let mut found = answers::surprises(self.document, operation, &answer);
            let expected = if call.status == ANY_SUCCESS { answer.status.is_success() } else { status == call.status };
            if !expected {
                found.push(format!("answered {status} instead of {}", call.status));
            }
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if let Some((pointer, expected)) = &call.says
                && said.pointer(pointer) != Some(expected)
            {
                found.push(format!("doesn't say {expected} at {pointer}"));
            }
            self.said.extend(answers::words(&said));
            if !call.body.is_empty() && (status == 400 || answer.status.is_success()) {
                let schema = format!("{}/requestBody/content/application~1json/schema", operation.pointer);
                let violations = match serde_json::from_slice(&call.body) {
                    Ok(body) => self.document.violations(&schema, &body),
                    Err(error) => vec![error.to_string()],
                };
                if (violations.is_empty() == answer.status.is_success()) != call.by_schema {
                    found.push(format!("the schema and the code don't judge the body as expected: {violations:?}"));
                }
            }
            let sent: String = String::from_utf8_lossy(&call.body).chars().take(200).collect();
            let said: String = String::from_utf8_lossy(&answer.body).chars().take(400).collect();
            self.faults.extend(
                found.into_iter().map(|fault| {
                    format!("{} {} {sent}\n  answered {status} {said}\n  {fault}", call.method, call.path)
                }),
            );
            self.answered.insert((call.operation, status));
        }
        Ok(())
    }

    /// The answer at every path that isn't documented.
    async fn ask_elsewhere(&mut self, router: &Router) -> anyhow::Result<()> {
        let place = self.document.find("/x-any-other-path");
        let place = place.ok_or_else(|| anyhow::anyhow!("x-any-other-path isn't documented"))?;
        for call in ["GET /api", "POST /api/leads/", "GET /favicon.ico"].map(|call| Call::new(call, 404, "")) {
            let answer = ask(router, &call).await?;
            let mut found = answers::body(self.document, &place, &answer);
            if answer.status.as_u16() != call.status {
                found.push(format!("answered {}", answer.status));
            }
            found.extend(unhardened(&answer.headers));
            self.faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", call.operation)));
        }
        Ok(())
    }
}

async fn ask(router: &Router, call: &Call) -> anyhow::Result<Answer> {
    let mut request = Request::builder().method(call.method.clone()).uri(&call.path);
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    if let Some(origin) = call.origin {
        request = request.header(header::ORIGIN, origin);
    }
    let response = router.clone().oneshot(request.body(Body::from(call.body.clone()))?).await?;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await?.to_vec();
    Ok(Answer { origin: call.origin, status: parts.status, headers: parts.headers, body })
}
