//! The real `notify-slack` and a stand-in of Slack: what arrives, and what is repeated.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use dev::lambda_runtime::LambdaRuntime;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::document::Template;
use crate::stage::binary;

const PATH: &str = "/services/T0/B0/secret-of-the-webhook";
const PATIENCE: Duration = Duration::from_secs(30);

/// What it answers next (200 when nothing is left), and the texts it got.
#[derive(Clone, Default)]
struct Slack {
    answers: Arc<Mutex<Vec<(u16, &'static str)>>>,
    texts: Arc<Mutex<Vec<String>>>,
}

impl Slack {
    fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }
}

async fn hook(State(slack): State<Slack>, headers: HeaderMap, body: String) -> impl IntoResponse {
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&body).unwrap();
    slack.texts.lock().unwrap().push(body["text"].as_str().unwrap().to_owned());
    let (status, said) = slack.answers.lock().unwrap().pop().unwrap_or((200, "ok"));
    let headers = [("retry-after", "30"), ("location", "/elsewhere")];
    (StatusCode::from_u16(status).unwrap(), headers, said)
}

/// The function with its webhook at the stand-in.
struct Notifier {
    slack: Slack,
    runtime: LambdaRuntime,
    running: tokio::process::Child,
}

impl Notifier {
    async fn start() -> Self {
        let slack = Slack::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        // Any other path is one that a redirect would have led to.
        let router = Router::new().route(PATH, axum::routing::post(hook)).with_state(slack.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut function = runtime.command(&binary("notify-slack"));
        function.env("SLACK_WEBHOOK_URL", url).stdout(Stdio::piped());
        let running = function.spawn().unwrap();
        Self { slack, runtime, running }
    }

    /// An invocation by SNS: its response or its error.
    async fn notify(&self, message: &Value) -> Result<Value, Value> {
        let sns = json!({"Type": "Notification", "Subject": "ALARM", "Message": message.to_string()});
        self.runtime.invoke(json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]}));
        timeout(PATIENCE, self.runtime.result()).await.expect("it ends").unwrap()
    }

    async fn log(mut self) -> String {
        self.running.start_kill().unwrap();
        String::from_utf8(self.running.wait_with_output().await.unwrap().stdout).unwrap()
    }
}

/// As CloudWatch tells SNS.
fn alarm(name: &str, description: &str, state: &str) -> Value {
    json!({
        "AlarmName": format!("adtrail-{name}-1A2B3C"), "AlarmDescription": description,
        "AWSAccountId": "123456789012", "NewStateValue": state, "OldStateValue": "OK",
        "NewStateReason": "Threshold Crossed: 1 datapoint [1.0] was greater than or equal to the threshold (1.0).",
        "StateChangeTime": "2026-11-29T12:00:00.000+0000", "Region": "EU (Frankfurt)",
        "AlarmArn": format!("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:adtrail-{name}-1A2B3C"),
        "Trigger": {"MetricName": "M", "Namespace": "Adtrail"},
    })
}

#[tokio::test]
async fn every_alarm_says_in_slack_what_to_do_and_when_it_is_over() {
    let template = Template::read();
    let notifier = Notifier::start().await;
    for (name, properties) in template.resources("AWS::CloudWatch::Alarm") {
        let description = properties["AlarmDescription"].as_str().unwrap();
        for state in ["ALARM", "OK"] {
            notifier.notify(&alarm(name, description, state)).await.unwrap();
        }
        let texts = notifier.slack.texts();
        let [.., fired, over] = texts.as_slice() else { panic!("{texts:?}") };
        let (says, runbook) = description.split_once(" Runbook: ").unwrap();
        for part in [name, says, runbook, "adtrail in eu-central-1", "https://eu-central-1.console.aws.amazon.com/"] {
            assert!(fired.contains(part), "{part} isn't in: {fired}");
        }
        assert!(over.contains(name) && over.contains("is over") && over != fired, "{over}");
    }
}

/// Lambda repeats an invocation that failed. One that was answered is done, whatever Slack said.
#[tokio::test]
async fn only_what_slack_may_take_later_is_repeated() {
    let notifier = Notifier::start().await;
    let answers = [(404, "no_service", true), (302, "", true), (400, "invalid_payload", true)];
    let later = [(429, "rate_limited", false), (503, "unavailable", false), (200, "ok", true)];
    for (n, (status, said, is_done)) in (1..).zip(answers.into_iter().chain(later)) {
        *notifier.slack.answers.lock().unwrap() = vec![(status, said)];
        let ended = notifier.notify(&alarm("AlarmDeadLetters", "A conversion was given up.", "ALARM")).await;
        assert_eq!(ended.is_ok(), is_done, "{status}: {ended:?}");
        assert_eq!(notifier.slack.texts().len(), n, "{status} makes one request in each invocation");
    }
    let log = notifier.log().await;
    for part in ["the webhook was removed", "no_service", "again in 30 s", "a redirect (302)"] {
        assert!(log.contains(part), "{part} isn't in: {log}");
    }
    assert!(!log.contains("secret-of-the-webhook"), "{log}");
}

#[tokio::test]
async fn without_its_webhook_or_with_another_address_it_does_not_start() {
    for (url, said) in
        [("", "SLACK_WEBHOOK_URL"), ("https://example.com/hook", "must start with https://hooks.slack.com/")]
    {
        let runtime = LambdaRuntime::start().await.unwrap();
        let ended = runtime.command(&binary("notify-slack")).env("SLACK_WEBHOOK_URL", url).output().await.unwrap();
        assert!(!ended.status.success());
        let log = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
        assert!(log.contains(said) && !log.contains("example.com"), "{log}");
    }
}
