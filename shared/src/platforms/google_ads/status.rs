//! `google.rpc.Status` as Google's APIs write it in JSON (AIP-193), and what an answer means that has no reason of its
//! API's own.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::api::Answer;
use super::meaning::{Meaning, outcome, reason};
use crate::platforms::{Exchange, Outcome};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    error: Status,
}

/// Why a request failed, or a part of it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Status {
    #[serde(rename = "status")]
    pub canonical_code: String,
    pub message: String,
    details: Vec<Value>,
}

/// Of `google.rpc.BadRequest`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct FieldViolation {
    pub field: String,
    pub description: String,
    /// A reason of the API's own; `google.rpc` leaves it free.
    pub reason: String,
}

impl Status {
    /// Of an answer other than 200; empty when it isn't Google's.
    pub(super) fn of(answer: &Answer) -> Self {
        serde_json::from_slice::<Body>(&answer.body).unwrap_or_default().error
    }

    /// The details of this type, such as `google.rpc.BadRequest`, that can be read.
    pub(super) fn details<T: for<'de> Deserialize<'de>>(&self, message: &str) -> impl Iterator<Item = T> {
        self.details
            .iter()
            .filter(move |it| it["@type"].as_str().is_some_and(|name| name.ends_with(message)))
            .filter_map(|it| T::deserialize(it).ok())
    }

    pub(super) fn field_violations(&self) -> Vec<FieldViolation> {
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct BadRequest {
            field_violations: Vec<FieldViolation>,
        }
        self.details("google.rpc.BadRequest").flat_map(|it: BadRequest| it.field_violations).collect()
    }

    /// The reason of `google.rpc.ErrorInfo`.
    pub(super) fn error_info(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct ErrorInfo {
            reason: String,
        }
        self.details("google.rpc.ErrorInfo").map(|it: ErrorInfo| it.reason).find(|reason| !reason.is_empty())
    }

    /// Notes the request's id, to be quoted to Google's support.
    pub(super) fn note_request_id(&self, exchange: &mut Exchange) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RequestInfo {
            request_id: String,
        }
        if let Some(RequestInfo { request_id }) = self.details("google.rpc.RequestInfo").next() {
            exchange.request_id = Some(request_id);
        }
    }
}

/// What an answer means by its HTTP status and the reasons that all of Google's APIs share. None when the request itself
/// is at fault.
pub(super) fn of_transport(answer: &Answer, status: &Status, now: DateTime<Utc>) -> Option<Outcome> {
    let info = status.error_info().unwrap_or_default();
    let (meaning, advice) = match (info.as_str(), answer.status) {
        ("SERVICE_DISABLED", _) => (
            Meaning::Account,
            "The API isn't enabled for the Google Cloud project. Enable it there; that takes minutes",
        ),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", _) => (
            Meaning::Account,
            "The credentials lack a scope. Agree to the scopes datamanager and adwords anew, or use a service account",
        ),
        (_, 401) => (Meaning::Account, "Google doesn't take our access token. Check the credentials"),
        (_, 429) => (Meaning::Quota, "The quota is used up; Adtrail goes on when there is more"),
        (_, 408 | 500..) => (Meaning::Trouble, "Google isn't available; Adtrail sends it again by itself"),
        (_, 400) if !status.message.is_empty() => return None,
        (_, 403 | 404) if !status.canonical_code.is_empty() => {
            (Meaning::Account, "Google refuses us. Check the account and the credentials")
        }
        // A proxy's or a portal's.
        _ => (Meaning::Trouble, "This isn't an answer of Google's; Adtrail sends it again by itself"),
    };
    let code = [info, status.canonical_code.clone()].into_iter().find(|code| !code.is_empty());
    let code = code.unwrap_or_else(|| format!("http_{}", answer.status));
    Some(outcome(meaning, reason(&code, advice, &status.message), None, answer.retry_after, now))
}

/// A 200 that can't be read as what it should be. Something may have been processed, or nothing.
pub(super) fn unreadable(answer: &Answer) -> Outcome {
    let message =
        "Google answered 200 and nothing that can be read. Adtrail sends it again by itself; it will count once";
    Outcome::Unavailable(reason("unreadable_answer", message, ""), answer.retry_after)
}
