//! The Lambda Runtime API on this machine, so that tests can run a function's real binary: one invocation at a time, as
//! in a sandbox. With the Extensions API for one internal extension: the sandbox is frozen, and gets the next
//! invocation, only when both the runtime and the extension have asked for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use uuid::Uuid;

/// A Runtime API for one binary.
pub struct LambdaRuntime {
    address: SocketAddr,
    invocations: mpsc::UnboundedSender<Value>,
    results: Mutex<mpsc::UnboundedReceiver<Result<Value, Value>>>,
    shared: Arc<Shared>,
}

struct Shared {
    ready: Notify,
    invocations: Mutex<mpsc::UnboundedReceiver<Value>>,
    results: mpsc::UnboundedSender<Result<Value, Value>>,
    sandbox: watch::Sender<Sandbox>,
}

/// Who waits for the next invocation.
#[derive(Clone, Copy, Default)]
struct Sandbox {
    has_extension: bool,
    runtime_waits: bool,
    extension_waits: bool,
}

impl Sandbox {
    fn is_frozen(self) -> bool {
        self.runtime_waits && (self.extension_waits || !self.has_extension)
    }
}

impl LambdaRuntime {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> anyhow::Result<Self> {
        let (invocations, queued) = mpsc::unbounded_channel();
        let (results, collected) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            ready: Notify::new(),
            invocations: Mutex::new(queued),
            results,
            sandbox: watch::Sender::default(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2020-01-01/extension/register", post(register))
            .route("/2020-01-01/extension/event/next", get(next_for_extension))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, invocations, results: Mutex::new(collected), shared })
    }

    /// The command that runs this binary here, with the environment Lambda gives it.
    #[must_use]
    pub fn command(&self, binary: &std::path::Path) -> Command {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", self.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_LEVEL", "ERROR")
            .kill_on_drop(true);
        command
    }

    /// Waits until the binary has started and asks for work.
    pub async fn ready(&self) {
        self.shared.ready.notified().await;
    }

    /// Has the function registered an extension?
    #[must_use]
    pub fn has_extension(&self) -> bool {
        self.shared.sandbox.borrow().has_extension
    }

    /// Would Lambda freeze the sandbox now? Whatever the function still does would stop.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.shared.sandbox.borrow().is_frozen()
    }

    /// Waits until Lambda would freeze the sandbox.
    pub async fn frozen(&self) {
        // The sender lives as long as this.
        let _ = self.shared.sandbox.subscribe().wait_for(|sandbox| sandbox.is_frozen()).await;
    }

    /// Queues an invocation.
    pub fn invoke(&self, event: Value) {
        // The receiver lives as long as the server task.
        let _ = self.invocations.send(event);
    }

    /// What the next invocation to finish returned: its response, or its error.
    ///
    /// # Errors
    /// When the server is gone.
    pub async fn result(&self) -> anyhow::Result<Result<Value, Value>> {
        self.results.lock().await.recv().await.ok_or_else(|| anyhow::anyhow!("the Runtime API has ended"))
    }
}

/// A request as API Gateway hands it to a function (payload format 2.0). The names of headers are in lower case.
#[must_use]
pub fn http_event(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let value = |name: &str| headers.iter().find(|(it, _)| *it == name).map(|(_, value)| *value);
    let cookies: Vec<_> = value("cookie").into_iter().flat_map(|cookies| cookies.split("; ")).collect();
    let others: BTreeMap<_, _> = headers.iter().copied().filter(|(name, _)| *name != "cookie").collect();
    let now = Clock::system().now();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "cookies": cookies,
        "headers": others,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": value("user-agent"),
            },
            "requestId": Uuid::new_v4(),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.format("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.timestamp_millis(),
        },
        "body": (!body.is_empty()).then_some(body),
        "isBase64Encoded": false,
    })
}

async fn next(State(shared): State<Arc<Shared>>) -> (HeaderMap, Vec<u8>) {
    shared.sandbox.send_modify(|sandbox| sandbox.runtime_waits = true);
    shared.ready.notify_one();
    let event = shared.invocations.lock().await.recv().await.unwrap_or_default();
    // The sender lives as long as this.
    let _ = shared.sandbox.subscribe().wait_for(|sandbox| sandbox.is_frozen()).await;
    shared.sandbox.send_modify(|sandbox| (sandbox.runtime_waits, sandbox.extension_waits) = (false, false));
    let deadline = shared::clock::Clock::system().now() + chrono::TimeDelta::seconds(120);
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("lambda-runtime-aws-request-id", &uuid::Uuid::new_v4().to_string());
    set("lambda-runtime-deadline-ms", &deadline.timestamp_millis().to_string());
    set("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:function");
    set("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0");
    (headers, event.to_string().into_bytes())
}

async fn register(State(shared): State<Arc<Shared>>) -> ([(&'static str, &'static str); 1], &'static str) {
    shared.sandbox.send_modify(|sandbox| sandbox.has_extension = true);
    ([("lambda-extension-identifier", "00000000-0000-0000-0000-000000000001")], "{}")
}

async fn next_for_extension(State(shared): State<Arc<Shared>>) -> &'static str {
    let mut sandbox = shared.sandbox.subscribe();
    shared.sandbox.send_modify(|sandbox| sandbox.extension_waits = true);
    let _ = sandbox.wait_for(|sandbox| !sandbox.extension_waits).await;
    r#"{"eventType": "INVOKE"}"#
}

async fn response(State(shared): State<Arc<Shared>>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let _ = shared.results.send(Ok(serde_json::from_slice(&body).unwrap_or_default()));
    StatusCode::ACCEPTED
}

async fn error(State(shared): State<Arc<Shared>>, Path(_): Path<String>, body: Bytes) -> StatusCode {
    let _ = shared.results.send(Err(serde_json::from_slice(&body).unwrap_or_default()));
    StatusCode::ACCEPTED
}
