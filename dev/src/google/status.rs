//! `GET /v1/requestStatus:retrieve`: what became of an accepted request.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Refusal, Violation};
use super::ledger::Submission;
use super::{GoogleSandbox, access};

/// What Google says of a request at one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestStatus {
    /// Ask again later.
    Processing,
    /// Every record was taken.
    #[default]
    Success,
    /// No record was taken.
    Failed,
    /// Some records were taken.
    PartialSuccess,
}

/// A processing result. The sandbox takes everything at once unless it is told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The status of every destination of the request.
    pub status: RequestStatus,
    /// Why records were not taken: a name of `ProcessingErrorReason`, or one that Google has yet
    /// to invent. By default `PROCESSING_ERROR_REASON_INTERNAL_ERROR`. Only for the last two
    /// statuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many records were not taken. By default all after `FAILED`, one after
    /// `PARTIAL_SUCCESS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_count: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct StatusQuery {
    #[serde(rename = "requestId", alias = "request_id", default)]
    request_id: String,
}

/// Answers `GET /v1/requestStatus:retrieve`. A scripted verdict other than `PROCESSING` is final:
/// the same request gets it again.
pub(super) async fn retrieve(
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
    let submissions = memory.ledger.submissions(&query.request_id).ok_or_else(|| {
        let problem = "No accepted request has this id.";
        let unknown = Violation::new("request_id", "INVALID_REQUEST_ID", problem);
        Refusal::fast_failure(&[unknown])
    })?;
    let statuses: Vec<Value> = submissions
        .iter_mut()
        .map(|submission| {
            if let Some(Extension(scripted)) = &scripted {
                if scripted.status == RequestStatus::Processing {
                    return show(submission, scripted);
                }
                submission.verdict = scripted.clone();
            }
            show(submission, &submission.verdict)
        })
        .collect();
    Ok(Json(json!({ "requestStatusPerDestination": statuses })))
}

/// A `RequestStatusPerDestination`. Its counts are int64, which are strings in JSON.
fn show(submission: &Submission, verdict: &Verdict) -> Value {
    let sent = submission.record_count as u64;
    let mut shown = json!({
        "destination": submission.destination,
        "requestStatus": verdict.status,
        "eventsIngestionStatus": {"recordCount": sent.to_string()},
    });
    let failed = match verdict.status {
        RequestStatus::Processing | RequestStatus::Success => return shown,
        RequestStatus::Failed => sent,
        RequestStatus::PartialSuccess => 1,
    };
    let reason = verdict.reason.as_deref();
    shown["errorInfo"] = json!({"errorCounts": [{
        "recordCount": verdict.record_count.unwrap_or(failed).to_string(),
        "reason": reason.unwrap_or("PROCESSING_ERROR_REASON_INTERNAL_ERROR"),
    }]});
    shown
}
