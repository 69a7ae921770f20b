//! `GET /v1/requestStatus:retrieve`: the processing status of an accepted request.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Refusal, Violation};
use crate::ledger::Submission;
use crate::{GoogleSandbox, access};

/// The status of a request at one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestStatus {
    /// Ask again later.
    Processing,
    /// Every record was processed.
    #[default]
    Success,
    /// No record was processed.
    Failed,
    /// Some records were processed.
    PartialSuccess,
}

/// A scripted processing result. By default the sandbox processes everything at once, except what
/// [`GoogleSandbox::decide`] decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The status of every destination of the request.
    pub status: RequestStatus,
    /// Why records were rejected: a name of `ProcessingErrorReason`, or an unknown one. By default
    /// `PROCESSING_ERROR_REASON_INTERNAL_ERROR`. Only for the last two statuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many records were rejected. By default all after `FAILED`, one after
    /// `PARTIAL_SUCCESS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_count: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct StatusQuery {
    #[serde(rename = "requestId", alias = "request_id", default)]
    request_id: String,
}

/// Answers `GET /v1/requestStatus:retrieve`. A scripted verdict other than `PROCESSING` is final:
/// the same request gets it again. So is every other verdict that was returned once.
pub(crate) async fn retrieve(
    State(sandbox): State<GoogleSandbox>,
    headers: HeaderMap,
    Query(query): Query<StatusQuery>,
    scripted: Option<Extension<Verdict>>,
) -> Result<Json<Value>, Refusal> {
    let mut memory = sandbox.memory();
    memory.tokens.authorize_for(&headers, sandbox.now(), access::DATAMANAGER)?;
    if query.request_id.is_empty() {
        let problem = "The request id is required.";
        let missing = Violation::new("request_id", "REQUIRED_FIELD_MISSING", problem);
        return Err(Refusal::fast_failure(&[missing]));
    }
    let scripted = scripted.map(|Extension(verdict)| verdict);
    let is_processing = scripted.as_ref().is_some_and(|verdict| verdict.status == RequestStatus::Processing);
    if let Some(verdict) = scripted.filter(|_| !is_processing) {
        memory.ledger.settle(&query.request_id, &verdict);
    }
    let most_indices = memory.most_indices;
    let submissions = memory.ledger.submissions(&query.request_id).ok_or_else(|| {
        let problem = "No accepted request has this id.";
        let unknown = Violation::new("request_id", "INVALID_REQUEST_ID", problem);
        Refusal::fast_failure(&[unknown])
    })?;
    let statuses: Vec<Value> = submissions
        .iter_mut()
        .map(|submission| {
            submission.is_told |= !is_processing;
            let status = if is_processing { RequestStatus::Processing } else { submission.status() };
            show(submission, status, most_indices)
        })
        .collect();
    Ok(Json(json!({ "requestStatusPerDestination": statuses })))
}

/// A `RequestStatusPerDestination`. Its counts are int64, which are strings in JSON.
fn show(submission: &Submission, status: RequestStatus, most_indices: Option<usize>) -> Value {
    let mut shown = json!({
        "destination": *submission.destination,
        "requestStatus": status,
        "eventsIngestionStatus": {"recordCount": submission.record_count.to_string()},
    });
    if matches!(status, RequestStatus::Failed | RequestStatus::PartialSuccess) {
        let counts: Vec<Value> = submission
            .errors()
            .into_iter()
            .map(|(reason, count)| {
                let mut shown = json!({"recordCount": count.to_string(), "reason": reason});
                if let (Some(most), Some(records)) = (most_indices, submission.named(&reason)) {
                    shown["recordIndices"] = records.iter().take(most).map(ToString::to_string).collect();
                }
                shown
            })
            .collect();
        shown["errorInfo"] = json!({ "errorCounts": counts });
    }
    shown
}
