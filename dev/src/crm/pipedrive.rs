//! Pipedrive's API v2.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::attendance::not_found;
use super::{Crm, Kind, Sandbox};

/// `GET /api/v2/persons/{id}`.
pub(super) async fn person(sandbox: Sandbox, Path(id): Path<String>) -> Response {
    match sandbox.record(Kind::Person, &id) {
        Some(person) => Json(json!({ "success": true, "data": person })).into_response(),
        None => not_found(Crm::Pipedrive),
    }
}
