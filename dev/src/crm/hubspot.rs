//! HubSpot's CRM API v3.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attendance::{not_found, refusal};
use super::{Crm, Kind, Sandbox};

/// HubSpot's limit for a batch.
const LARGEST_BATCH: usize = 100;
/// Properties that are always returned.
const ALWAYS: [&str; 3] = ["createdate", "hs_lastmodifieddate", "hs_object_id"];

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Names with commas between them.
    #[serde(default)]
    properties: String,
    /// Kinds of records with commas between them.
    #[serde(default)]
    associations: String,
}

/// `GET /crm/v3/objects/deals/{id}`.
pub(super) async fn deal(sandbox: Sandbox, Path(id): Path<String>, Query(wanted): Query<Wanted>) -> Response {
    let Some(mut deal) = sandbox.record(Kind::Deal, &id) else { return not_found(Crm::Hubspot) };
    let properties: Vec<_> = wanted.properties.split(',').collect();
    deal["properties"] = only(&deal["properties"], &properties);
    if !wanted.associations.split(',').any(|kind| kind == "contacts") {
        deal.as_object_mut().map(|deal| deal.remove("associations"));
    }
    Json(deal).into_response()
}

#[derive(Deserialize)]
pub(super) struct Batch {
    inputs: Vec<Input>,
    #[serde(default)]
    properties: Vec<String>,
}

#[derive(Deserialize)]
struct Input {
    id: String,
}

/// `POST /crm/v3/objects/contacts/batch/read`. Answers in the order of the ids, not of the request, because
/// clients must not rely on an order.
pub(super) async fn contacts(sandbox: Sandbox, batch: Result<Json<Batch>, JsonRejection>) -> Response {
    let invalid = |message: &str| {
        let status = StatusCode::BAD_REQUEST;
        (status, refusal(Crm::Hubspot, status, message)).into_response()
    };
    let Json(Batch { mut inputs, properties }) = match batch {
        Ok(batch) => batch,
        Err(rejection) => return invalid(&rejection.body_text()),
    };
    if inputs.len() > LARGEST_BATCH {
        return invalid("A batch has at most 100 inputs.");
    }
    inputs.sort_by(|one, other| one.id.cmp(&other.id));
    let asked = inputs.len();
    let properties: Vec<_> = properties.iter().map(String::as_str).collect();
    let found = inputs.iter().filter_map(|input| sandbox.record(Kind::Contact, &input.id));
    let results: Vec<_> = found
        .map(|mut contact| {
            contact["properties"] = only(&contact["properties"], &properties);
            contact
        })
        .collect();
    let missing = asked - results.len();
    let mut answer = json!({ "status": "COMPLETE", "results": results });
    if missing == 0 {
        return Json(answer).into_response();
    }
    answer["numErrors"] = missing.into();
    answer["errors"] = json!([{ "status": "error", "category": "OBJECT_NOT_FOUND" }]);
    (StatusCode::MULTI_STATUS, Json(answer)).into_response()
}

/// HubSpot ignores unknown properties.
fn only(properties: &Value, wanted: &[&str]) -> Value {
    let properties = properties.as_object().cloned().unwrap_or_default();
    let is_wanted = |name: &str| wanted.contains(&name) || ALWAYS.contains(&name);
    properties.into_iter().filter(|(name, _)| is_wanted(name)).collect::<Map<_, _>>().into()
}
