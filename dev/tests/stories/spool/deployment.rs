//! The real binaries of the functions that use the spool, and an SQS that the story plays.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use dev::lambda_runtime::{LambdaRuntime, http_event};
use serde_json::Value;
use testing::sqs::{DEAD, SPOOL, Sqs};
use testing::{ORIGIN, SIGNATURE, signature};
use tokio::process::Child;
use tokio::time::timeout;

use crate::stage::binary;

pub const DRAIN: &str = "drain-spool";
const WEBHOOK_SECRET: &str = "0123456789abcdef-webhook";
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Deployment {
    pub sqs: Sqs,
    settings: BTreeMap<&'static str, String>,
}

/// A function in its sandbox.
pub struct Sandbox {
    process: Child,
    runtime: LambdaRuntime,
}

impl Deployment {
    pub async fn new(database_url: &str) -> Self {
        let sqs = Sqs::start().await;
        let settings = [
            ("DATABASE_URL", database_url),
            ("ALLOWED_ORIGINS", ORIGIN),
            ("CONSENT_UNKNOWN", "send"),
            ("IP_HASH_KEY", "0123456789abcdef"),
            ("LEADS_PER_HOUR", "1000000"),
            ("WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("SPOOL_QUEUE_URL", &sqs.url(SPOOL)),
            ("SPOOL_DEAD_LETTERS_URL", &sqs.url(DEAD)),
            ("AWS_ENDPOINT_URL", sqs.address()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_SECRET_ACCESS_KEY", "example"),
        ];
        let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
        Self { sqs, settings }
    }

    /// The same with another way to the database.
    pub fn through(&self, database_url: &str) -> BTreeMap<&'static str, String> {
        let mut settings = self.settings.clone();
        settings.insert("DATABASE_URL", database_url.to_owned());
        settings
    }

    /// Starts a function. Its access key is its name.
    pub async fn start(&self, function: &str) -> Sandbox {
        Sandbox::start(function, &self.settings).await
    }

    /// Hands over all that is visible, and deletes what was stored.
    pub async fn drain(&self) {
        let drain = self.start(DRAIN).await;
        while let Some(batch) = self.sqs.batch(10) {
            let answer = drain.invoke(batch.clone()).await;
            self.sqs.settle(&batch, &answer);
        }
    }

    /// Messages in the spool, and dead ones.
    pub fn counts(&self) -> (usize, usize) {
        (self.sqs.count(SPOOL), self.sqs.count(DEAD))
    }
}

impl Sandbox {
    pub async fn start(function: &str, settings: &BTreeMap<&'static str, String>) -> Self {
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut command = runtime.command(&binary(function));
        command.envs(settings).env("AWS_ACCESS_KEY_ID", function).stdout(Stdio::null());
        let process = command.spawn().unwrap();
        timeout(PATIENCE, runtime.ready()).await.expect("it starts");
        Self { process, runtime }
    }

    /// What it returns for this event.
    pub async fn invoke(&self, event: Value) -> Value {
        self.runtime.invoke(event);
        timeout(PATIENCE, self.runtime.result()).await.expect("an answer").unwrap().unwrap()
    }

    /// Killed (SIGKILL) as soon as this has happened.
    pub async fn killed_at(mut self, event: Value, moment: impl Future<Output = ()>) {
        self.runtime.invoke(event);
        timeout(PATIENCE, moment).await.expect("it works");
        self.process.kill().await.unwrap();
    }

    /// The status and the body of the answer to a form.
    pub async fn form(&self, body: &Value) -> (u64, Value) {
        self.post("/api/leads", &[("origin", ORIGIN), ("referer", "https://www.example.com/form")], body).await
    }

    /// The same of a deal.
    pub async fn deal(&self, body: &Value) -> (u64, Value) {
        let signature = signature(body.to_string().as_bytes(), WEBHOOK_SECRET);
        self.post("/api/webhooks/crm-conversion", &[(SIGNATURE, &signature)], body).await
    }

    /// As API Gateway does.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (u64, Value) {
        let answer = self.invoke(http_event("POST", path, headers, &body.to_string())).await;
        let body = answer["body"].as_str().unwrap_or_default();
        (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(body).unwrap())
    }
}
