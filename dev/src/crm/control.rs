//! The sandbox's own routes: they add records and script failures.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Crm, CrmSandbox, Failure, Kind, RecordRefused, Sandbox};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hubspot {
    #[serde(default)]
    deals: Vec<Value>,
    #[serde(default)]
    contacts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipedrive {
    persons: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Close {
    leads: Vec<Value>,
}

/// `POST /sandbox/crm/hubspot`: adds `deals` and `contacts`.
pub(super) async fn put_hubspot(sandbox: Sandbox, Json(Hubspot { deals, contacts }): Json<Hubspot>) -> Response {
    put(&sandbox, [(Kind::Deal, deals), (Kind::Contact, contacts)])
}

/// `POST /sandbox/crm/pipedrive`: adds `persons`.
pub(super) async fn put_pipedrive(sandbox: Sandbox, Json(Pipedrive { persons }): Json<Pipedrive>) -> Response {
    put(&sandbox, [(Kind::Person, persons)])
}

/// `POST /sandbox/crm/close`: adds `leads`.
pub(super) async fn put_close(sandbox: Sandbox, Json(Close { leads }): Json<Close>) -> Response {
    put(&sandbox, [(Kind::Lead, leads)])
}

fn put<const N: usize>(sandbox: &CrmSandbox, records: [(Kind, Vec<Value>); N]) -> Response {
    let added: Result<(), RecordRefused> =
        records.into_iter().try_for_each(|(kind, records)| sandbox.put(kind, records));
    match added {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => (StatusCode::BAD_REQUEST, Json(json!({ "error": refused.to_string() }))).into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Scripted {
    on: Crm,
    #[serde(flatten)]
    failure: Failure,
}

/// `POST /sandbox/crm/failures`: has the next requests fail. `{"on": "close", "status": 503}`
pub(super) async fn fail(sandbox: Sandbox, Json(Scripted { on, failure }): Json<Scripted>) -> StatusCode {
    sandbox.fail(on, failure);
    StatusCode::NO_CONTENT
}

/// `GET /sandbox/crm/requests`: how many requests arrived for each CRM.
pub(super) async fn count_requests(sandbox: Sandbox) -> Json<Value> {
    Json(json!(sandbox.memory().requests))
}
