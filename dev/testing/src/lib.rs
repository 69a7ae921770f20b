//! What the tests of the handlers and of the SQL have in common: an app on the test's own database, requests, answers,
//! rows, and bodies that nobody should send. Whatever goes wrong in here is a failed test, so it panics.

mod bad_input;
mod chance;
mod fixtures;
mod fuzz;
mod size;
pub mod sqs;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayV2httpRequestContext, ApiGatewayV2httpRequestContextHttpDescription,
};
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue};
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use secrecy::SecretString;
use serde_json::Value;
use shared::App;
use shared::clock::Clock;
use shared::conversions::{Recorded, record_matches};
use shared::crm::authentication::Sample;
use shared::crm::{self, Sources};
use shared::db::{Db, DbError, Tx};
use shared::deals::Stages;
use shared::http::cors::Origins;
use shared::http::entrance::Entrance;
use shared::http::{Endpoint, Problem, Request, Response, answer};
use shared::inbox::matching::{self, Waiting};
use shared::intake;
use shared::platforms::{Operation, Route};
use shared::settings::FromSettings;
use sqlx::PgPool;

pub use bad_input::refuses_bad_input;
pub use chance::Chance;
pub use fixtures::{DueConversion, Row, due, due_at, lead, store, store_due, waiting_deal};
pub use fuzz::{cases, fuzz};
pub use size::scaled;

/// A website that may call.
pub const ORIGIN: &str = "https://www.example.com";
pub const WEBHOOK_SECRET: &str = "test-webhook-secret";
/// Carries the webhook's signature.
pub const SIGNATURE: &str = "x-webhook-signature";
/// Opens the health endpoint.
pub const HEALTH_KEY: &str = "test-health-key";

/// The time at which every test begins.
///
/// # Panics
/// Never: it is a time.
#[must_use]
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_176_000, 0).expect("2026-11-20T12:00:00Z")
}

/// An app on this database. Its clock stands at [`start`]; both conversion types go to Google Ads.
#[must_use]
pub fn app<C: FromSettings>(pool: &PgPool) -> App<C> {
    app_with(pool, &[])
}

/// The same with other settings; an empty value unsets a setting.
///
/// # Panics
/// When a setting is wrong.
#[must_use]
pub fn app_with<C: FromSettings>(pool: &PgPool, settings: &[(&str, &str)]) -> App<C> {
    let App { config, clock, .. } = app_without_database(settings);
    App { config, clock, db: Arc::new(Db::new((*pool.connect_options()).clone(), 4)) }
}

/// The same where no database answers.
///
/// # Panics
/// When a setting is wrong.
#[must_use]
pub fn app_without_database<C: FromSettings>(settings: &[(&str, &str)]) -> App<C> {
    let mut values = BTreeMap::from([
        // The discard port: nobody listens.
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/nothing"),
        ("ALLOWED_ORIGINS", ORIGIN),
        ("IP_HASH_KEY", "test-ip-hash-key"),
        ("WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("HEALTH_KEY", HEALTH_KEY),
        ("CONSENT_UNKNOWN", "send"),
        ("GOOGLE_ADS_CUSTOMER_ID", "1234567890"),
        ("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED", "11"),
        ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "12"),
    ]);
    values.extend(settings.iter().copied());
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect();
    App::new(&values, &[], Clock::fixed(start()), 1).expect("good settings")
}

/// A request from 192.0.2.1 with a body of these bytes.
///
/// # Panics
/// Never: the path is one of ours.
#[must_use]
pub fn request(endpoint: &Endpoint, body: impl Into<Vec<u8>>) -> Request {
    let path = endpoint.path.replace("{source}", "crm-conversion");
    let builder = lambda_http::http::Request::builder().method(endpoint.method.clone()).uri(path);
    from_address(builder.body(Body::from(body.into())).expect("a request"), "192.0.2.1")
}

/// The request from this IP address.
#[must_use]
pub fn from_address(request: Request, address: &str) -> Request {
    let mut http = ApiGatewayV2httpRequestContextHttpDescription::default();
    http.source_ip = Some(address.into());
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http = http;
    request.with_request_context(RequestContext::ApiGatewayV2(context))
}

/// A request with a JSON body.
#[must_use]
pub fn json_request(endpoint: &Endpoint, body: &Value) -> Request {
    request(endpoint, body.to_string())
}

/// The request with one more header.
///
/// # Panics
/// When it can't be one.
#[must_use]
pub fn with(mut request: Request, name: &str, value: &str) -> Request {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
    request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header's value"));
    request
}

/// The request, signed with the webhook's secret.
#[must_use]
pub fn signed(request: Request) -> Request {
    let signature = signature(request.body(), WEBHOOK_SECRET);
    with(request, SIGNATURE, &signature)
}

/// What the header [`SIGNATURE`] carries for this body.
///
/// # Panics
/// Never: there is a secret.
#[must_use]
pub fn signature(body: &[u8], secret: &str) -> String {
    let source = Sources::preset(crm::DEFAULT, &Stages::default(), &|_| Some(SecretString::from(secret)))
        .expect("the default source");
    let sample = Sample { method: "POST", url: "https://api.example.com", body, id: "", at: start() };
    source.sign(&sample).expect("a secret to sign with").headers.remove(0).1
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Its body, which is JSON; null when there is none.
    pub body: Value,
}

impl Answer {
    /// A header; empty when it is absent.
    ///
    /// # Panics
    /// When it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    /// The cookies it sets: name, value, attributes.
    ///
    /// # Panics
    /// When one isn't well-formed.
    #[must_use]
    pub fn cookies(&self) -> Vec<(String, String, String)> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|cookie| {
                let (pair, attributes) = cookie.to_str().expect("a text").split_once("; ").expect("attributes");
                let (name, value) = pair.split_once('=').expect("a pair");
                (name.to_owned(), value.to_owned(), attributes.to_owned())
            })
            .collect()
    }

    /// The cookies it sets, as the browser sends them back.
    #[must_use]
    pub fn cookie_header(&self) -> String {
        self.cookies().into_iter().map(|(name, value, _)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The fields a problem blames.
    #[must_use]
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }
}

/// Sends a request all the way through [`shared::http::answer`].
///
/// # Panics
/// When the answer's body is no JSON.
pub async fn call<'a, C, H, F>(app: &'a App<C>, endpoint: &Endpoint, request: Request, handle: H) -> Answer
where
    H: FnOnce(&'a App<C>, Request) -> F,
    F: Future<Output = Result<Response, Problem>>,
{
    let entrance = Entrance::of(Origins::parse(ORIGIN).expect("an origin"));
    let (parts, body) = answer(&entrance, endpoint, request, |request| handle(app, request)).await.into_parts();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// The rows of a query, as JSON objects.
///
/// # Panics
/// When the query fails.
pub async fn rows(pool: &PgPool, query: &str) -> Vec<Value> {
    let query = format!("select to_jsonb(row) from ({query}) as row");
    sqlx::query_scalar(&query).fetch_all(pool).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// The only row of a query.
///
/// # Panics
/// When there is none or another one.
pub async fn row(pool: &PgPool, query: &str) -> Value {
    let mut rows = rows(pool, query).await;
    assert_eq!(rows.len(), 1, "{query} has {rows:?}");
    rows.remove(0)
}

/// How many transactions on this database wait for a lock of this type, such as `advisory`.
///
/// # Panics
/// When the database can't be asked.
pub async fn waiting_for_lock(pool: &PgPool, lock: &str) -> i64 {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock' and wait_event = $1";
    sqlx::query_scalar(waiting).bind(lock).fetch_one(pool).await.expect("an answer")
}

/// Runs statements that prepare a test.
///
/// # Panics
/// When one fails.
pub async fn execute(pool: &PgPool, statements: &str) {
    sqlx::raw_sql(statements).execute(pool).await.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// The lane of an operation of Google Ads.
#[must_use]
pub fn route(operation: Operation) -> Route {
    let destination = "google_ads".to_owned();
    let lane = operation.lane_of(&destination);
    Route { destination, lane, operation, transport: "data_manager", network: "google", quota: String::new() }
}

/// Matches the first so many waiting deals, as the schedule does with a page of them.
pub async fn match_waiting(
    tx: &mut Tx,
    config: &intake::Config,
    clock: &Clock,
    limit: u16,
) -> Result<Vec<Recorded>, DbError> {
    let intake::Config { destinations, match_by, .. } = config;
    let Some(until) = matching::end_of_page(tx, None, limit).await? else { return Ok(Vec::new()) };
    let click_ids = destinations.click_ids();
    let found = matching::find(tx, *match_by, &click_ids, Waiting::Page(None, until)).await?;
    let found: Vec<_> = found.iter().map(|it| it.inbox_id).collect();
    record_matches(tx, destinations, *match_by, &found, clock.now()).await
}

/// How many rows each table has, but for those that keep what arrived, whatever it came to.
///
/// # Panics
/// When the database can't be asked.
pub async fn consequences(pool: &PgPool) -> BTreeMap<String, i64> {
    let mut counts = row_counts(pool).await;
    for arrived in ["inbox_receipts", "inbox_events", "lead_refusals", "webhook_refusals"] {
        counts.remove(arrived);
    }
    counts
}

/// How many rows each table has.
///
/// # Panics
/// When the database can't be asked.
pub async fn row_counts(pool: &PgPool) -> BTreeMap<String, i64> {
    let tables = "select table_name::text from information_schema.tables \
                  where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'rate_counters'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.expect("the tables");
    let mut counts = BTreeMap::new();
    for table in tables {
        let count = sqlx::query_scalar(&format!("select count(*) from public.{table}")).fetch_one(pool).await;
        counts.insert(table, count.expect("a count"));
    }
    counts
}

/// Bytes as the value of the attribution cookie.
#[must_use]
pub fn cookie_value(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Every order of so many things.
#[must_use]
pub fn permutations(length: usize) -> Vec<Vec<usize>> {
    (0..length).fold(vec![Vec::new()], |shorter, item| {
        let inserted = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            (0..=order.len()).map(|at| [&order[..at], &[item], &order[at..]].concat()).collect()
        };
        shorter.iter().flat_map(inserted).collect()
    })
}
