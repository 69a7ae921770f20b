//! The receipt that the Data Manager API gives for `events:ingest`.

use serde::Deserialize;

use super::api::Answer;
use super::status::MOST_WARNINGS;
use crate::platforms::Exchange;
use crate::texts::{self, CODE, fit};

/// The id of a request that was accepted; none if a 200 can't be read. Warnings are logged: it was accepted all the
/// same, but for these fields.
pub(crate) fn request_id(answer: &Answer, exchange: &mut Exchange) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        request_id: String,
        #[serde(default)]
        field_warnings: Vec<FieldWarning>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct FieldWarning {
        reason: String,
        field: String,
    }
    let Receipt { request_id, field_warnings } = serde_json::from_slice(&answer.body).ok()?;
    let request_id = texts::id(request_id)?;
    for FieldWarning { reason, field } in field_warnings.iter().take(MOST_WARNINGS) {
        let (reason, field) = (fit(reason, CODE), fit(field, CODE));
        tracing::warn!(request_id, reason, field, "Google ignores a field");
    }
    exchange.request_id = Some(request_id.clone());
    Some(request_id)
}
