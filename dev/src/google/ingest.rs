//! `POST /v1/events:ingest`: all of a request is accepted, or nothing of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::GoogleSandbox;
use super::answer::{Refusal, Violation};
use super::{access, destinations, events, schema};

/// Answers `POST /v1/events:ingest`. An accepted event is in the ledger before the answer leaves.
pub(super) async fn ingest(
    State(sandbox): State<GoogleSandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let now = sandbox.now();
    sandbox.memory().tokens.authorize_for(&headers, now, access::DATAMANAGER)?;
    check_content_type(&headers)?;

    let body = str::from_utf8(&body).map_err(|error| Refusal::malformed("", &error.to_string()))?;
    let request = schema::parse_ingest(body)?;
    refuse_if_any(&destinations::violations(&request.destinations))?;
    destinations::check_access(sandbox.account(), &request.destinations)?;
    refuse_if_any(&events::violations(&request, sandbox.account(), now))?;

    let request_id = Uuid::new_v4().to_string();
    if !request.validate_only {
        let raw = serde_json::from_str(body).unwrap_or_default();
        sandbox.memory().ledger.accept(&request_id, &request, &raw, now);
        sandbox.announce();
        let events = request.events.len();
        tracing::info!(request_id, events, "the sandbox Google accepted events");
    }
    Ok(Json(json!({ "requestId": request_id })))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
    if is_json { Ok(()) } else { Err(Refusal::malformed("", "The Content-Type is not application/json.")) }
}

fn refuse_if_any(violations: &[Violation]) -> Result<(), Refusal> {
    if violations.is_empty() { Ok(()) } else { Err(Refusal::fast_failure(violations)) }
}
