//! `POST /v1/events:ingest`: a request is accepted as a whole or not at all.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::GoogleSandbox;
use crate::answer::{Refusal, Violation};
use crate::endpoint::check_content_type;
use crate::request::{Event, IngestEventsRequest};
use crate::{access, destinations, events, schema};

/// Answers `POST /v1/events:ingest`. An accepted event is in the ledger before the answer is sent.
pub(crate) async fn ingest(
    State(sandbox): State<GoogleSandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let now = sandbox.now();
    sandbox.memory().tokens.authorize_for(&headers, now, access::DATAMANAGER)?;
    check_content_type(&headers)?;

    let request: IngestEventsRequest = schema::parse_batch(&schema::INGEST, &body)?;
    refuse_if_any(&destinations::violations(&request.destinations))?;
    let request_id = Uuid::new_v4().to_string();
    {
        let memory = &mut *sandbox.memory();
        destinations::check_access(&memory.accounts, &memory.properties, &request.destinations)?;
        refuse_if_any(&events::violations(&request, &memory.accounts, &memory.properties, now))?;
        memory.poisons.check_events(request.events.iter().map(Event::id))?;
        if !request.validate_only {
            let raw = serde_json::from_slice(&body).unwrap_or_default();
            let kept = memory.kept(&body);
            memory.ledger.accept(&request_id, &request, &raw, kept.as_ref(), &mut memory.analytics, now);
        }
    }
    if !request.validate_only {
        // Whoever waits for events looks into the memory, so it has to be free by now.
        sandbox.announce();
        let events = request.events.len();
        tracing::info!(request_id, events, "the sandbox Google accepted events");
    }
    Ok(Json(json!({ "requestId": request_id })))
}

fn refuse_if_any(violations: &[Violation]) -> Result<(), Refusal> {
    if violations.is_empty() { Ok(()) } else { Err(Refusal::fast_failure(violations)) }
}
