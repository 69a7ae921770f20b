//! The sandbox's own routes: what arrived, and what shall go wrong.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::GoogleSandbox;
use super::faults::Fault;
use super::ledger::ReceivedEvent;

/// `GET /sandbox/google/events`: the events in the order of their first arrival.
pub(super) async fn list_events(State(sandbox): State<GoogleSandbox>) -> Json<Vec<ReceivedEvent>> {
    Json(sandbox.events())
}

/// `DELETE /sandbox/google/events`.
pub(super) async fn forget_events(State(sandbox): State<GoogleSandbox>) -> StatusCode {
    sandbox.clear();
    StatusCode::NO_CONTENT
}

/// `GET /sandbox/google/faults`: the faults still to come.
pub(super) async fn list_faults(State(sandbox): State<GoogleSandbox>) -> Json<Value> {
    Json(armed(&sandbox))
}

/// `POST /sandbox/google/faults`: scripts one fault.
pub(super) async fn script_fault(State(sandbox): State<GoogleSandbox>, document: String) -> (StatusCode, Json<Value>) {
    match Fault::from_json(&document).and_then(|fault| sandbox.script(fault)) {
        Ok(()) => (StatusCode::OK, Json(armed(&sandbox))),
        Err(refused) => (StatusCode::BAD_REQUEST, Json(refused.json())),
    }
}

/// `DELETE /sandbox/google/faults`: nothing goes wrong any more.
pub(super) async fn clear_faults(State(sandbox): State<GoogleSandbox>) -> StatusCode {
    sandbox.clear_faults();
    StatusCode::NO_CONTENT
}

fn armed(sandbox: &GoogleSandbox) -> Value {
    json!({ "armed": sandbox.memory().script.armed() })
}
