//! Close's API v1.

use axum::Json;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::attendance::not_found;
use super::{Crm, Kind, Sandbox};

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Names with commas between them. Everything if absent.
    #[serde(rename = "_fields")]
    fields: Option<String>,
}

/// `GET /api/v1/lead/{id}/`.
pub(super) async fn lead(sandbox: Sandbox, Path(id): Path<String>, Query(wanted): Query<Wanted>) -> Response {
    let Some(mut lead) = sandbox.record(Kind::Lead, &id) else { return not_found(Crm::Close) };
    if let (Some(fields), Some(lead)) = (wanted.fields, lead.as_object_mut()) {
        lead.retain(|name, _| fields.split(',').any(|field| field == name));
    }
    Json(lead).into_response()
}
