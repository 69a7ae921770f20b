//! What happens to every request before its handler: it is counted, may fail as scripted, and is authenticated.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use google_sandbox::BadAnswer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Crm, CrmSandbox};

/// A scripted failure. As JSON: `{"status": 429, "times": 2, "retry_after": 30}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The status of the answer. One that is no HTTP status is 500.
    pub status: u16,
    /// How many requests it hits, 1 by default.
    #[serde(default = "one")]
    pub times: u32,
    /// The Retry-After header, in seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
}

fn one() -> u32 {
    1
}

pub(super) async fn attend(State((sandbox, crm)): State<(CrmSandbox, Crm)>, request: Request, next: Next) -> Response {
    if let Some(failure) = note(&sandbox, crm) {
        let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, refusal(crm, status, "The sandbox is set to refuse this.")).into_response();
        if let Some(seconds) = failure.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        return response;
    }
    if !is_let_in(crm, request.headers()) {
        let status = StatusCode::UNAUTHORIZED;
        return (status, refusal(crm, status, "This token is not known.")).into_response();
    }
    let bad = bad_answer(&sandbox, crm);
    let response = next.run(request).await;
    match bad {
        Some(bad) => bad.spoil(response).await,
        None => response,
    }
}

fn bad_answer(sandbox: &CrmSandbox, crm: Crm) -> Option<BadAnswer> {
    let mut memory = sandbox.memory();
    let (bad, times) = memory.bad_answers.get_mut(&crm).filter(|(_, times)| *times > 0)?;
    *times -= 1;
    Some(bad.clone())
}

fn note(sandbox: &CrmSandbox, crm: Crm) -> Option<Failure> {
    let mut memory = sandbox.memory();
    *memory.requests.entry(crm).or_default() += 1;
    let failure = memory.failures.get_mut(&crm).filter(|failure| failure.times > 0)?;
    failure.times -= 1;
    Some(*failure)
}

fn is_let_in(crm: Crm, headers: &HeaderMap) -> bool {
    let token = crm.token();
    let (name, value) = match crm {
        Crm::Hubspot => (AUTHORIZATION.as_str(), format!("Bearer {token}")),
        Crm::Pipedrive => ("x-api-token", token.to_owned()),
        Crm::Close => (AUTHORIZATION.as_str(), format!("Basic {}", STANDARD.encode(format!("{token}:")))),
    };
    headers.get(name).is_some_and(|shown| shown.as_bytes() == value.as_bytes())
}

/// A refusal in the CRM's shape.
pub(super) fn refusal(crm: Crm, status: StatusCode, message: &str) -> Json<Value> {
    Json(match crm {
        Crm::Hubspot => json!({ "status": "error", "message": message, "correlationId": uuid::Uuid::new_v4() }),
        Crm::Pipedrive => json!({ "success": false, "error": message, "errorCode": status.as_u16() }),
        Crm::Close => json!({ "error": message }),
    })
}

/// The answer for a record that doesn't exist.
pub(super) fn not_found(crm: Crm) -> Response {
    let status = StatusCode::NOT_FOUND;
    (status, refusal(crm, status, "There is no such record.")).into_response()
}
