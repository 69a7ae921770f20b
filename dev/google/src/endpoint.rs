//! What happens to every call before and after its handler: it is counted, and it meets the fault
//! that was scripted for it.

use std::future::pending;
use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::GoogleSandbox;
use crate::ads;
use crate::ads::failure::AdsError;
use crate::answer::{Refusal, retry_after};
use crate::faults::FaultKind;
use crate::poison::{EventPoison, rejection};
use crate::token::OAuthError;

/// The maximum request size of Google's front end.
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
    /// `POST /mp/collect`.
    Collect,
    /// `POST /{version}/customers/{customerId}:uploadClickConversions`.
    ClickConversions,
    /// `POST /{version}/customers/{customerId}:uploadConversionAdjustments`.
    Adjustments,
}

impl Endpoint {
    pub(crate) fn is_data_manager(self) -> bool {
        matches!(self, Self::Ingest | Self::Status)
    }

    pub(crate) fn is_google_ads(self) -> bool {
        matches!(self, Self::ClickConversions | Self::Adjustments)
    }
}

/// The calls that arrived, including failed ones.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// How many asked for an access token.
    pub token: usize,
    /// How many showed an AWS role's signature to the Security Token Service.
    pub security_tokens: usize,
    /// How many asked for a service account's token.
    pub iam_credentials: usize,
    /// The body of each ingest call, in the order of arrival. Empty when bodies are not kept.
    pub ingest: Vec<String>,
    /// How many ingest calls there were.
    pub ingest_calls: usize,
    /// The body of each call of the Measurement Protocol, in the order of arrival. Empty when bodies are not kept.
    pub collect: Vec<String>,
    /// How many calls of the Measurement Protocol there were.
    pub collect_calls: usize,
    /// How many asked for the status of a request.
    pub status: usize,
    /// The body of each upload of click conversions, in the order of arrival. Empty when bodies are not kept.
    pub click_conversions: Vec<String>,
    /// How many uploads of click conversions there were.
    pub click_conversion_calls: usize,
    /// The body of each upload of adjustments, in the order of arrival. Empty when bodies are not kept.
    pub adjustments: Vec<String>,
    /// How many uploads of adjustments there were.
    pub adjustment_calls: usize,
    /// How many calls carried a `developer-token` header, which Google has stopped asking for.
    pub developer_tokens: usize,
    /// The largest number of Data Manager calls, of both kinds, within any 60 seconds.
    pub busiest_minute: usize,
}

impl Requests {
    fn record(&mut self, endpoint: Endpoint, headers: &HeaderMap, body: Option<&[u8]>) {
        self.developer_tokens += usize::from(headers.contains_key("developer-token"));
        let (count, bodies) = match endpoint {
            Endpoint::Token => return self.token += 1,
            Endpoint::SecurityTokens => return self.security_tokens += 1,
            Endpoint::IamCredentials => return self.iam_credentials += 1,
            Endpoint::Status => return self.status += 1,
            Endpoint::Ingest => (&mut self.ingest_calls, &mut self.ingest),
            Endpoint::Collect => (&mut self.collect_calls, &mut self.collect),
            Endpoint::ClickConversions => (&mut self.click_conversion_calls, &mut self.click_conversions),
            Endpoint::Adjustments => (&mut self.adjustment_calls, &mut self.adjustments),
        };
        *count += 1;
        bodies.extend(body.map(|body| String::from_utf8_lossy(body).into_owned()));
    }
}

/// Records a call, and lets its handler answer unless a fault prevents it.
pub(crate) async fn attend(
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
        let now = sandbox.now();
        let memory = &mut *sandbox.memory();
        memory.requests.record(endpoint, &head.headers, memory.keeps_bodies.then_some(&body));
        if memory.largest_body.is_some_and(|largest| body.len() > largest) {
            return (StatusCode::PAYLOAD_TOO_LARGE, Html("<title>413 Request Entity Too Large</title>"))
                .into_response();
        }
        if endpoint.is_data_manager() {
            memory.requests.busiest_minute = memory.requests.busiest_minute.max(memory.quota.note(now));
            if !memory.quota.admit(now) {
                return Refusal::usual(StatusCode::TOO_MANY_REQUESTS, None).into_response();
            }
        }
        memory.script.next(endpoint)
    };
    let mut request = Request::from_parts(head, Body::from(body));
    match fault {
        None => next.run(request).await,
        Some(FaultKind::Http { status, retry_after, reason, body }) => {
            error_answer(endpoint, status, retry_after, reason.as_deref(), body)
        }
        Some(FaultKind::RejectEvent { index, reason, field_style }) => {
            rejection(&[(index, &EventPoison::new(reason).styled(field_style))]).into_response()
        }
        Some(FaultKind::GoogleAdsFailure { status, error, retry_delay }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let error = AdsError::new(error, "The sandbox is set to refuse this.").retry_after(retry_delay);
            ads::failure::refusal(ads::version_in(request.uri().path()), status, &error).into_response()
        }
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
        Some(FaultKind::Held {}) => {
            let mut clearings = sandbox.0.clearings.subscribe();
            let response = next.run(request).await;
            // The sender is part of the sandbox, which is alive.
            let _ = clearings.changed().await;
            response
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
        Some(FaultKind::Drip { seconds }) => in_drops(next.run(request).await, seconds).await,
        Some(FaultKind::BadAnswer(bad)) => bad.spoil(next.run(request).await).await,
        Some(FaultKind::Verdict(verdict)) => {
            request.extensions_mut().insert(verdict);
            next.run(request).await
        }
    }
}

/// Google reads the body of a JSON call only when it says that it is JSON.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
    if is_json { Ok(()) } else { Err(Refusal::malformed("", "The Content-Type is not application/json.")) }
}

fn error_answer(
    endpoint: Endpoint,
    status: u16,
    seconds: Option<u32>,
    reason: Option<&str>,
    body: Option<Value>,
) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = match body {
        Some(body) => (status, Json(body)).into_response(),
        None if endpoint == Endpoint::Collect => status.into_response(),
        None if endpoint.is_google_ads() => Refusal::usual(status, reason).of(ads::HOST).into_response(),
        None => Refusal::usual(status, reason).into_response(),
    };
    match seconds {
        Some(seconds) => retry_after(response, seconds),
        None => response,
    }
}

/// The server gives up on a response whose body fails before its first byte, and closes the
/// connection with nothing sent: the client can't know whether its request was processed.
fn broken_connection() -> Response {
    let failure = io::Error::from(io::ErrorKind::ConnectionReset);
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(failure)])))
}

/// A correct answer, byte by byte.
async fn in_drops(response: Response, seconds: u32) -> Response {
    let (head, body) = response.into_parts();
    let text = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).max(1);
    let pause = Duration::from_secs(seconds.into()) / length;
    let drops = stream::unfold((text, 0), move |(text, at)| async move {
        let drop = (at < text.len()).then(|| text.slice(at..=at))?;
        tokio::time::sleep(pause).await;
        Some((Ok::<_, io::Error>(drop), (text, at + 1)))
    });
    Response::from_parts(head, Body::from_stream(drops))
}

/// A correct answer whose text ends in the middle.
async fn half_of(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let text = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text.slice(..text.len() / 2)))
}
