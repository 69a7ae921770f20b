//! The real binary while the secret in Secrets Manager changes: nothing is deployed, and nothing is refused.

use std::process::Stdio;
use std::time::Duration;

use dev::lambda_runtime::{LambdaRuntime, http_event};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Child;
use tokio::time::timeout;

use crate::secrets_manager::SecretsManager;
use crate::stage::{binary, database_url};

const PATIENCE: Duration = Duration::from_secs(30);
const OLD: &str = "the secret of last year";
const NEW: &str = "the secret of this year";
const CALLS_PER_STEP: usize = 10;

/// A sandbox of the function for webhooks.
struct Sandbox {
    runtime: LambdaRuntime,
    _running: Child,
}

impl Sandbox {
    async fn start(aws: &SecretsManager, ttl: Option<&str>) -> Self {
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut function = runtime.command(&binary("crm-conversion"));
        aws.lead(&mut function);
        function.env("ADTRAIL_SECRET_ID", "adtrail");
        function.envs(ttl.map(|ttl| ("SECRETS_MANAGER_TTL", ttl)));
        let running = function.stdout(Stdio::null()).spawn().unwrap();
        Self { runtime, _running: running }
    }

    /// The answer to a deal that the CRM reports with this key.
    async fn report(&self, deal: &str, key: &str) -> i64 {
        let body = json!({"crm_deal_id": deal, "conversion_type": "closed", "email": "jane@example.com"});
        let headers = [("authorization", &*format!("Bearer {key}")), ("content-type", "application/json")];
        let path = "/api/webhooks/crm-conversion";
        self.runtime.invoke(http_event("POST", path, &headers, &body.to_string()));
        let answer = timeout(PATIENCE, self.runtime.result()).await.expect("an answer").unwrap().unwrap();
        answer["statusCode"].as_i64().unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn no_webhook_is_refused_while_the_secret_changes(pool: PgPool) {
    let database = database_url(&pool);
    let keys = |mut keys: Value| {
        keys["DATABASE_URL"] = database.clone().into();
        keys
    };
    let (old, new) = (keys(json!({"WEBHOOK_SECRET": OLD})), keys(json!({"WEBHOOK_SECRET": NEW})));
    let both = keys(json!({"WEBHOOK_SECRET": NEW, "WEBHOOK_SECRET_PREVIOUS": OLD}));
    let aws = SecretsManager::start().await;
    aws.put("adtrail", &old.to_string());
    let sandboxes = [Sandbox::start(&aws, Some("0")).await, Sandbox::start(&aws, Some("0")).await];

    // What the operator does, and what the CRM signs with by then.
    let steps = [
        (old, OLD),
        (both.clone(), OLD),
        (both, NEW),
        (new, NEW),
        // Mistakes: the functions couldn't start with these.
        (keys(json!({"WEBHOOK_SECRET": NEW, "STAGES": "Closed!"})), NEW),
        (json!("not an object"), NEW),
        // Secrets Manager refuses.
        (Value::Null, NEW),
    ];
    let mut sent = 0;
    for (number, (value, key)) in steps.into_iter().enumerate() {
        match value {
            Value::Null => aws.refuse("GetSecretValue", "AccessDeniedException"),
            value => aws.put("adtrail", &value.to_string()),
        }
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
    let aws = SecretsManager::start().await;
    aws.put("adtrail", &json!({"DATABASE_URL": database_url(&pool), "WEBHOOK_SECRET": OLD}).to_string());
    let sandbox = Sandbox::start(&aws, None).await;

    for deal in ["D-1", "D-2", "D-3"] {
        assert_eq!(sandbox.report(deal, OLD).await, 202);
    }

    assert_eq!(aws.count("GetSecretValue"), 1);
}
