//! What happens to every call before and after its handler: it is counted, and it meets the fault
//! that was scripted for it.

use std::future::pending;
use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::GoogleSandbox;
use super::answer::{Refusal, Violation, retry_after};
use super::faults::{FaultKind, FieldStyle};
use super::token::OAuthError;

/// Google's front end takes no more in a request.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// One of the calls that Google answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /token`.
    Token,
    /// `POST /v1/token`.
    SecurityTokens,
    /// `POST /v1/projects/-/serviceAccounts/{account}:generateAccessToken`.
    IamCredentials,
    /// `POST /v1/events:ingest`.
    Ingest,
    /// `GET /v1/requestStatus:retrieve`.
    Status,
}

/// The calls that arrived, whatever became of them.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// How many asked for an access token.
    pub token: usize,
    /// How many showed an AWS role's signature to the Security Token Service.
    pub security_tokens: usize,
    /// How many asked for a service account's token.
    pub iam_credentials: usize,
    /// The body of each ingest call, in the order of arrival.
    pub ingest: Vec<String>,
    /// How many asked for the status of a request.
    pub status: usize,
}

impl Requests {
    fn record(&mut self, endpoint: Endpoint, body: &[u8]) {
        match endpoint {
            Endpoint::Token => self.token += 1,
            Endpoint::SecurityTokens => self.security_tokens += 1,
            Endpoint::IamCredentials => self.iam_credentials += 1,
            Endpoint::Ingest => self.ingest.push(String::from_utf8_lossy(body).into_owned()),
            Endpoint::Status => self.status += 1,
        }
    }
}

/// Takes a call in, and lets its handler answer unless a fault prevents it.
pub(super) async fn attend(
    State((sandbox, endpoint)): State<(GoogleSandbox, Endpoint)>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        let problem = "Request payload size exceeds the limit: 10485760 bytes.";
        return Refusal::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", problem).into_response();
    };
    let fault = {
        let mut memory = sandbox.memory();
        memory.requests.record(endpoint, &body);
        memory.script.next(endpoint)
    };
    let mut request = Request::from_parts(head, Body::from(body));
    match fault {
        None => next.run(request).await,
        Some(FaultKind::Http { status, retry_after, reason, body }) => {
            error_answer(status, retry_after, reason.as_deref(), body)
        }
        Some(FaultKind::RejectEvent { index, reason, field_style }) => rejection(index, &reason, field_style),
        Some(FaultKind::OAuth { error, description }) => OAuthError::new(&error, &description).into_response(),
        Some(FaultKind::Drop {}) => broken_connection(),
        Some(FaultKind::Html {}) => Html("<!doctype html><title>Sandbox</title><p>Not Google.").into_response(),
        Some(FaultKind::ReplyLost {}) => {
            next.run(request).await;
            broken_connection()
        }
        Some(FaultKind::NoReply {}) => {
            next.run(request).await;
            pending().await
        }
        Some(FaultKind::Empty {}) => {
            next.run(request).await;
            StatusCode::OK.into_response()
        }
        Some(FaultKind::Truncated {}) => half_of(next.run(request).await).await,
        Some(FaultKind::Slow { seconds }) => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
            response
        }
        Some(FaultKind::Verdict(verdict)) => {
            request.extensions_mut().insert(verdict);
            next.run(request).await
        }
    }
}

fn error_answer(status: u16, seconds: Option<u32>, reason: Option<&str>, body: Option<Value>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = match body {
        Some(body) => (status, Json(body)).into_response(),
        None => Refusal::usual(status, reason).into_response(),
    };
    match seconds {
        Some(seconds) => retry_after(response, seconds),
        None => response,
    }
}

fn rejection(index: usize, reason: &str, field_style: FieldStyle) -> Response {
    let problem = "The sandbox was told to reject this event.";
    let field = match field_style {
        FieldStyle::EventsEvents => format!("events.events[{index}]"),
        FieldStyle::Events => format!("events[{index}]"),
        FieldStyle::None => {
            let message = "Request contains an invalid argument.";
            return Refusal::new(StatusCode::BAD_REQUEST, reason, message).into_response();
        }
    };
    Refusal::fast_failure(&[Violation::new(field, reason, problem)]).into_response()
}

/// The server gives up on a response whose body fails before its first byte, and closes the
/// connection with nothing sent: the client cannot tell what became of its request.
fn broken_connection() -> Response {
    let failure = io::Error::from(io::ErrorKind::ConnectionReset);
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(failure)])))
}

/// An answer in good order, except that its text ends in the middle.
async fn half_of(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let text = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text.slice(..text.len() / 2)))
}
