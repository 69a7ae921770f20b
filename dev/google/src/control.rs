//! The sandbox's own routes: they show what arrived and script failures.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::GoogleSandbox;
use crate::adjustment_log::ReceivedAdjustment;
use crate::analytics::Analytics;
use crate::book::Conversion;
use crate::faults::Fault;
use crate::ledger::ReceivedEvent;
use crate::poison::{PoisonedId, Poisons};

/// `GET /sandbox/google/events`: the events in the order of their first arrival.
pub(crate) async fn list_events(State(sandbox): State<GoogleSandbox>) -> Json<Vec<ReceivedEvent>> {
    Json(sandbox.events())
}

/// `DELETE /sandbox/google/events`.
pub(crate) async fn forget_events(State(sandbox): State<GoogleSandbox>) -> StatusCode {
    sandbox.clear();
    StatusCode::NO_CONTENT
}

/// `GET /sandbox/google/faults`: the faults still to come.
pub(crate) async fn list_faults(State(sandbox): State<GoogleSandbox>) -> Json<Value> {
    Json(armed(&sandbox))
}

/// `POST /sandbox/google/faults`: scripts one fault.
pub(crate) async fn script_fault(State(sandbox): State<GoogleSandbox>, document: String) -> (StatusCode, Json<Value>) {
    match Fault::from_json(&document).and_then(|fault| sandbox.script(fault)) {
        Ok(()) => (StatusCode::OK, Json(armed(&sandbox))),
        Err(refused) => (StatusCode::BAD_REQUEST, Json(refused.json())),
    }
}

/// `DELETE /sandbox/google/faults`: nothing goes wrong any more.
pub(crate) async fn clear_faults(State(sandbox): State<GoogleSandbox>) -> StatusCode {
    sandbox.clear_faults();
    StatusCode::NO_CONTENT
}

/// `GET /sandbox/google/conversions`: the conversions as Google would count them.
pub(crate) async fn list_conversions(State(sandbox): State<GoogleSandbox>) -> Json<Vec<Conversion>> {
    Json(sandbox.conversions())
}

/// `GET /sandbox/google/analytics`: what Google Analytics counts, and what is wrong with what it doesn't.
pub(crate) async fn show_analytics(State(sandbox): State<GoogleSandbox>) -> Json<Analytics> {
    Json(sandbox.analytics())
}

/// `GET /sandbox/google/adjustments`: the adjustments that were carried out.
pub(crate) async fn list_adjustments(State(sandbox): State<GoogleSandbox>) -> Json<Vec<ReceivedAdjustment>> {
    Json(sandbox.adjustments())
}

/// `GET /sandbox/google/poisons`: the ids that are refused.
pub(crate) async fn list_poisons(State(sandbox): State<GoogleSandbox>) -> Json<Value> {
    Json(poisoned(&sandbox))
}

/// `POST /sandbox/google/poisons`: has one id refused from now on.
pub(crate) async fn add_poison(State(sandbox): State<GoogleSandbox>, document: String) -> (StatusCode, Json<Value>) {
    match PoisonedId::from_json(&document) {
        Ok(poisoned_id) => {
            sandbox.poison(poisoned_id.transaction_id, poisoned_id.poison);
            (StatusCode::OK, Json(poisoned(&sandbox)))
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(PoisonedId::refused(&error))),
    }
}

/// `DELETE /sandbox/google/poisons`: no id is refused any more.
pub(crate) async fn clear_poisons(State(sandbox): State<GoogleSandbox>) -> StatusCode {
    sandbox.memory().poisons = Poisons::default();
    StatusCode::NO_CONTENT
}

fn poisoned(sandbox: &GoogleSandbox) -> Value {
    json!({ "poisoned": sandbox.memory().poisons.all() })
}

fn armed(sandbox: &GoogleSandbox) -> Value {
    json!({ "armed": sandbox.memory().script.armed() })
}
