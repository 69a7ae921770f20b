//! What every story plays on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use dev::crm::CrmSandbox;
use dev::functions::Functions;
use dev::{server, settings};
use google_sandbox::{GoogleAccount, GoogleSandbox};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crm::authentication::Signed;
use shared::settings::Values;
use sqlx::{ConnectOptions, PgPool};
use testing::{due_at, store_due};
use tokio::net::TcpListener;

/// Adtrail and the sandbox Google on one loopback port.
pub struct Stage {
    pub google: GoogleSandbox,
    pub crm: CrmSandbox,
    pub pool: PgPool,
    pub base: String,
    pub clock: Clock,
    pub functions: &'static Functions,
    http: reqwest::Client,
}

/// An answer, as far as stories look at it.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub set_cookies: Vec<String>,
    /// When to ask again, in seconds.
    pub retry_after: Option<u32>,
    pub body: Value,
}

impl Stage {
    pub async fn new(pool: PgPool) -> Self {
        Self::with_account(pool, GoogleAccount::dev(), |_| {}).await
    }

    /// With another Google account, and settings changed by `change`.
    pub async fn with_account(pool: PgPool, account: GoogleAccount, change: impl FnOnce(&mut Values)) -> Self {
        Self::with_clock(pool, account, Clock::system(), change).await
    }

    /// The same, where everybody lives by this clock.
    pub async fn with_clock(
        pool: PgPool,
        account: GoogleAccount,
        clock: Clock,
        change: impl FnOnce(&mut Values),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let google = GoogleSandbox::with_clock(account, clock.clone());
        let mut values = settings::values(&database_url(&pool), &base);
        values.extend(settings::crms(&base));
        change(&mut values);
        let functions = settings::functions(&values, clock.clone(), 16).unwrap_or_else(|error| panic!("{error}"));
        let functions: &'static Functions = Box::leak(Box::new(functions));
        let crm = CrmSandbox::new();
        let router = server::router(functions, &google, &crm, settings::exports(&values));
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { google, crm, pool, base, clock, functions, http: shared::outgoing::http_client().unwrap() }
    }

    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let cookies = response.headers().get_all("set-cookie").iter();
        let set_cookies = cookies.map(|cookie| cookie.to_str().unwrap().to_owned()).collect();
        let retry_after =
            response.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        let status = response.status();
        let text = response.text().await.unwrap();
        Answer { status, set_cookies, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.call(Method::POST, path, headers, body.to_string()).await
    }

    /// A signed report of the CRM.
    pub async fn deal(&self, report: &Value) -> Answer {
        self.webhook("crm-conversion", report.to_string()).await
    }

    /// A webhook as the CRM of this source signs it.
    pub async fn webhook(&self, source: &str, body: String) -> Answer {
        let url = format!("{}/api/webhooks/{source}", self.base);
        self.signed(&settings::sign(source, &url, body.as_bytes(), self.clock.now()), body).await
    }

    /// A webhook as somebody has signed it for this address.
    pub async fn signed(&self, signed: &Signed, body: String) -> Answer {
        let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.call(Method::POST, signed.url.strip_prefix(&self.base).unwrap(), &headers, body).await
    }

    pub async fn tick(&self) -> Value {
        let answer = self.post("/dev/tick", &[], &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }

    pub async fn health(&self) -> Value {
        let key = format!("Bearer {}", settings::HEALTH_KEY);
        self.call(Method::GET, "/api/health/tracking", &[("authorization", &key)], String::new()).await.body
    }

    /// The one value this statement selects.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn row(&self, table: &str) -> Value {
        self.value(&format!("select to_jsonb(t) from {table} t")).await
    }

    /// Puts conversions that are due into the queue, without their history.
    pub async fn queue(&self, count: i32) {
        let now = self.clock.now();
        let due = (0..count).map(|n| {
            let click = json!({"gclid": format!("Click-{n}"), "click_at": now - TimeDelta::days(1)});
            due_at(now).conversion(&click)
        });
        store_due(&self.pool, due).await;
    }
}

/// A function's real binary. `make test` has built it: cargo builds only the binaries of the package it tests.
pub fn binary(function: &str) -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_dev")).with_file_name(function);
    let is_current = is_newer_than_its_sources(&binary).unwrap_or_default();
    assert!(is_current, "{} is missing or out of date: run `cargo build` first", binary.display());
    binary
}

/// Cargo lists a binary's sources beside it, as a rule for make.
fn is_newer_than_its_sources(binary: &Path) -> std::io::Result<bool> {
    let built = binary.metadata()?.modified()?;
    let rule = std::fs::read_to_string(binary.with_extension("d"))?.replace("\\ ", "\0");
    for source in rule.split_whitespace().skip(1) {
        if Path::new(&source.replace('\0', " ")).metadata()?.modified()? > built {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How others reach the database of this test.
pub fn database_url(pool: &PgPool) -> String {
    pool.connect_options().to_url_lossy().to_string()
}

/// Many at once; answers in the order they were asked for.
pub async fn all<T: Send + 'static>(tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let running: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut done = Vec::with_capacity(running.len());
    for task in running {
        done.push(task.await.unwrap());
    }
    done
}
