//! The real binary while the secret in Secrets Manager changes: nothing is deployed, and nothing is refused.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::{Json, Router};
use dev::lambda_runtime::LambdaRuntime;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::timeout;

use crate::stage::{binary, database_url};

const PATIENCE: Duration = Duration::from_secs(30);
const OLD: &str = "the secret of last year";
const NEW: &str = "the secret of this year";
const CALLS_PER_STEP: usize = 10;

/// Secrets Manager with one secret, and how often it was read. None: it fails.
#[derive(Clone, Default)]
struct Secret(Arc<Mutex<(Option<Value>, usize)>>);

impl Secret {
    fn set(&self, value: Option<Value>) {
        self.0.lock().unwrap().0 = value;
    }

    fn reads(&self) -> usize {
        self.0.lock().unwrap().1
    }

    async fn serve(&self) -> String {
        let secret = self.clone();
        let read = async move || {
            let mut current = secret.0.lock().unwrap();
            current.1 += 1;
            let value = current.0.as_ref().ok_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR)?;
            Ok::<_, axum::http::StatusCode>(Json(json!({"Name": "adtrail", "SecretString": value.to_string()})))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(read)).await });
        address
    }
}

/// A sandbox of the function for webhooks.
struct Sandbox {
    runtime: LambdaRuntime,
    _running: Child,
}

impl Sandbox {
    async fn start(secrets_manager: &str, ttl: Option<&str>) -> Self {
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut function = runtime.command(&binary("crm-conversion"));
        function.env("ADTRAIL_SECRET_ID", "adtrail").env("AWS_ENDPOINT_URL", secrets_manager);
        function.env("AWS_REGION", "eu-central-1").env("AWS_MAX_ATTEMPTS", "1");
        function.env("AWS_ACCESS_KEY_ID", "example").env("AWS_SECRET_ACCESS_KEY", "example");
        function.envs(ttl.map(|ttl| ("SECRETS_MANAGER_TTL", ttl)));
        let running = function.stdout(Stdio::null()).spawn().unwrap();
        Self { runtime, _running: running }
    }

    /// The answer to a deal that the CRM reports with this key.
    async fn report(&self, deal: &str, key: &str) -> i64 {
        let body = json!({"crm_deal_id": deal, "conversion_type": "closed", "email": "jane@example.com"});
        self.runtime.invoke(webhook(key, &body));
        let answer = timeout(PATIENCE, self.runtime.result()).await.expect("an answer").unwrap().unwrap();
        answer["statusCode"].as_i64().unwrap()
    }
}

/// Payload format 2.0.
fn webhook(key: &str, body: &Value) -> Value {
    let path = "/api/webhooks/crm-conversion";
    json!({
        "version": "2.0",
        "routeKey": "POST /api/webhooks/{source}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "authorization": format!("Bearer {key}"), "host": "api.example.com", "content-type": "application/json",
        },
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api",
            "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "CRM"},
            "requestId": "1", "routeKey": "POST /api/webhooks/{source}", "stage": "$default",
            "time": "22/Nov/2026:10:00:00 +0000", "timeEpoch": 1_795_341_600_000_i64,
        },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

#[sqlx::test(migrations = "../migrations")]
async fn no_webhook_is_refused_while_the_secret_changes(pool: PgPool) {
    let database = database_url(&pool);
    let keys = |keys: Value| {
        let mut secret = keys;
        secret["DATABASE_URL"] = database.clone().into();
        Some(secret)
    };
    let secret = Secret::default();
    secret.set(keys(json!({"WEBHOOK_SECRET": OLD})));
    let address = secret.serve().await;
    let sandboxes = [Sandbox::start(&address, Some("0")).await, Sandbox::start(&address, Some("0")).await];

    let both = json!({"WEBHOOK_SECRET": NEW, "WEBHOOK_SECRET_PREVIOUS": OLD});
    // What the operator does, and what the CRM signs with by then.
    let steps = [
        (keys(json!({"WEBHOOK_SECRET": OLD})), OLD),
        (keys(both.clone()), OLD),
        (keys(both), NEW),
        (keys(json!({"WEBHOOK_SECRET": NEW})), NEW),
        // Mistakes: the functions couldn't start with it, and Secrets Manager is away.
        (keys(json!({"WEBHOOK_SECRET": NEW, "STAGES": "Closed!"})), NEW),
        (Some(json!("not an object")), NEW),
        (None, NEW),
    ];
    let mut sent = 0;
    for (number, (value, key)) in steps.into_iter().enumerate() {
        secret.set(value);
        for call in 0..CALLS_PER_STEP {
            let (one, other) = (format!("D-{number}-{call}"), format!("E-{number}-{call}"));
            let answers = tokio::join!(sandboxes[0].report(&one, key), sandboxes[1].report(&other, key));
            assert_eq!(answers, (202, 202), "step {number}, call {call}");
            sent += 2;
        }
    }

    let stored: i64 = sqlx::query_scalar("select count(*) from inbox").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, sent);
    // The old one is no longer accepted.
    assert_eq!(sandboxes[0].report("D-old", OLD).await, 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_secret_is_not_read_again_at_once(pool: PgPool) {
    let secret = Secret::default();
    secret.set(Some(json!({"DATABASE_URL": database_url(&pool), "WEBHOOK_SECRET": OLD})));
    let sandbox = Sandbox::start(&secret.serve().await, None).await;

    for deal in ["D-1", "D-2", "D-3"] {
        assert_eq!(sandbox.report(deal, OLD).await, 202);
    }

    assert_eq!(secret.reads(), 1);
}
