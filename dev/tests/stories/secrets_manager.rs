//! A stand-in for AWS Secrets Manager, as far as Adtrail uses it: a program is led there by `AWS_ENDPOINT_URL`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Notify;

const REGION: &str = "eu-central-1";

/// Its secrets, and what it does beside answering.
#[derive(Clone, Default)]
pub struct SecretsManager {
    address: String,
    state: Arc<Mutex<State>>,
    /// A call has come that is held.
    pub held: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// By name: the texts of its versions.
    secrets: BTreeMap<String, Vec<String>>,
    /// What the next calls of `GetSecretValue` get instead. The last one stays.
    script: VecDeque<String>,
    calls: Vec<String>,
    hold: Option<(&'static str, When)>,
    refuse: Option<(&'static str, &'static str)>,
}

/// Whether a call that gets no answer has had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

type Answer = Result<Value, (&'static str, &'static str)>;

impl SecretsManager {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let it = Self { address, ..Self::default() };
        let answering = it.clone();
        let router = Router::new().fallback(async move |headers: HeaderMap, body: String| {
            answering.answer(&headers, serde_json::from_str(&body).unwrap()).await
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        it
    }

    /// One whose only secret is each of these, one after the other; then the last one.
    pub async fn with_script(secrets: &[Value]) -> Self {
        let it = Self::start().await;
        it.state.lock().unwrap().script = secrets.iter().map(Value::to_string).collect();
        it
    }

    /// Leads a program here, with credentials that are good.
    pub fn lead(&self, command: &mut Command) {
        command.env("AWS_ENDPOINT_URL", &self.address).env("AWS_REGION", REGION);
        command.env("AWS_ACCESS_KEY_ID", "example").env("AWS_SECRET_ACCESS_KEY", "example");
    }

    pub fn put(&self, name: &str, text: &str) {
        self.state.lock().unwrap().secrets.entry(name.into()).or_default().push(text.into());
    }

    /// The newest version.
    pub fn get(&self, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        state.secrets.get(name)?.last().map(|text| serde_json::from_str(text).unwrap())
    }

    /// How often it was asked to do this, such as `CreateSecret`.
    pub fn count(&self, call: &str) -> usize {
        self.state.lock().unwrap().calls.iter().filter(|it| *it == call).count()
    }

    /// Leaves calls of this kind without an answer.
    pub fn hold(&self, call: &'static str, when: When) {
        self.state.lock().unwrap().hold = Some((call, when));
    }

    /// Answers calls of this kind with an error of this code, and "*" all calls.
    pub fn refuse(&self, call: &'static str, code: &'static str) {
        self.state.lock().unwrap().refuse = Some((call, code));
    }

    /// Answers again.
    pub fn go_on(&self) {
        let mut state = self.state.lock().unwrap();
        (state.hold, state.refuse) = (None, None);
    }

    async fn answer(&self, headers: &HeaderMap, request: Value) -> Response {
        assert!(headers["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256 "));
        let call = headers["x-amz-target"].to_str().unwrap().strip_prefix("secretsmanager.").unwrap().to_owned();
        let (hold, refuse) = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(call.clone());
            (state.hold.filter(|(it, _)| *it == call), state.refuse.filter(|(it, _)| *it == "*" || *it == call))
        };
        if hold.is_some_and(|(_, when)| when == When::Before) {
            self.never().await;
        }
        let answer = match refuse {
            Some((_, code)) => Err((code, "")),
            None => self.state.lock().unwrap().apply(&call, &request),
        };
        if hold.is_some() {
            self.never().await;
        }
        match answer {
            Ok(document) => Json(document).into_response(),
            Err((code, said)) => {
                (StatusCode::BAD_REQUEST, Json(json!({"__type": code, "message": said}))).into_response()
            }
        }
    }

    async fn never(&self) {
        self.held.notify_one();
        std::future::pending::<()>().await;
    }
}

impl State {
    fn apply(&mut self, call: &str, request: &Value) -> Answer {
        if call == "GetSecretValue" && !self.script.is_empty() {
            let text = if self.script.len() > 1 { self.script.pop_front() } else { self.script.front().cloned() };
            return Ok(json!({"Name": request["SecretId"], "SecretString": text}));
        }
        let id = request["SecretId"].as_str().or(request["Name"].as_str()).unwrap();
        let name = self.secrets.keys().find(|name| *name == id || arn(name) == id).cloned();
        let name = name.unwrap_or_else(|| id.to_owned());
        let text = request["SecretString"].as_str().map(str::to_owned);
        let versions = self.secrets.get(&name).map_or(0, Vec::len);
        match (call, versions) {
            ("CreateSecret", 0) | ("PutSecretValue", 1..) => {
                self.secrets.entry(name.clone()).or_default().push(text.unwrap());
            }
            ("GetSecretValue", 1..) => {}
            ("CreateSecret", _) => return Err(("ResourceExistsException", "The secret already exists.")),
            ("GetSecretValue" | "PutSecretValue", 0) => {
                return Err(("ResourceNotFoundException", "Secrets Manager can't find the specified secret."));
            }
            _ => panic!("{call}"),
        }
        let versions = &self.secrets[&name];
        let mut answer = json!({"ARN": arn(&name), "Name": name, "VersionId": format!("version-{}", versions.len())});
        if call == "GetSecretValue" {
            answer["SecretString"] = versions.last().cloned().into();
        }
        Ok(answer)
    }
}

/// AWS chooses the last six characters.
pub fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:123456789012:secret:{name}-AbCdEf")
}
