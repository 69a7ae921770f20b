//! `google.rpc.Status` in JSON (AIP-193), and what a response means that carries no reason specific to its API.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::Answer;
use crate::outgoing;
use crate::platforms::{Exchange, Outcome, Reason};
use crate::texts;

/// The maximum number of warnings of an answer that are logged.
pub(crate) const MOST_WARNINGS: usize = 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    error: RpcStatus,
}

/// Why a request failed, or a part of it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct RpcStatus {
    #[serde(rename = "status")]
    pub canonical_code: String,
    pub message: String,
    details: Vec<Box<RawValue>>,
}

/// Of `google.rpc.BadRequest`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct FieldViolation {
    pub field: String,
    pub description: String,
    /// The API's own reason; `google.rpc` doesn't define its values.
    pub reason: String,
}

impl RpcStatus {
    /// From a response other than 200; empty when it isn't from Google.
    pub(crate) fn of(answer: &Answer) -> Self {
        serde_json::from_slice::<Body>(&answer.body).unwrap_or_default().error
    }

    /// The details of this type, such as `google.rpc.BadRequest`, that can be read.
    pub(crate) fn details<T: for<'de> Deserialize<'de>>(&self, message: &str) -> impl Iterator<Item = T> {
        #[derive(Deserialize)]
        struct Detail {
            #[serde(rename = "@type")]
            name: String,
        }
        let is_one = move |text: &str| serde_json::from_str(text).is_ok_and(|it: Detail| it.name.ends_with(message));
        let details = self.details.iter().map(|it| it.get()).filter(move |text| is_one(text));
        details.filter_map(|text| serde_json::from_str(text).ok())
    }

    pub(crate) fn field_violations(&self) -> Vec<FieldViolation> {
        #[derive(Deserialize, Default)]
        #[serde(default, rename_all = "camelCase")]
        struct BadRequest {
            field_violations: Vec<FieldViolation>,
        }
        self.details("google.rpc.BadRequest").flat_map(|it: BadRequest| it.field_violations).collect()
    }

    /// The reason of `google.rpc.ErrorInfo`.
    pub(crate) fn error_info(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct ErrorInfo {
            reason: String,
        }
        self.details("google.rpc.ErrorInfo").map(|it: ErrorInfo| it.reason).find(|reason| !reason.is_empty())
    }

    /// The delay of `google.rpc.RetryInfo`, which is obeyed like the header Retry-After.
    pub(crate) fn retry_delay(&self) -> Option<TimeDelta> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RetryInfo {
            retry_delay: String,
        }
        self.details("google.rpc.RetryInfo").find_map(|it: RetryInfo| outgoing::duration(&it.retry_delay))
    }

    /// Records the request id, to quote to Google's support.
    pub(crate) fn note_request_id(&self, exchange: &mut Exchange) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RequestInfo {
            request_id: String,
        }
        if let Some(RequestInfo { request_id }) = self.details("google.rpc.RequestInfo").next() {
            exchange.request_id = texts::id(request_id).or(exchange.request_id.take());
        }
    }
}

/// What a response means by its HTTP status and the reasons that all of Google's APIs share. None when the request
/// itself is invalid.
pub(crate) fn of_transport(answer: &Answer, status: &RpcStatus) -> Option<Outcome> {
    let info = status.error_info().unwrap_or_default();
    let nothing_there = format!(
        "Google serves nothing at {}: the version or the address is wrong. Set GOOGLE_ADS_API_VERSION to a version of the \
         Google Ads API that Google serves, and remove GOOGLE_ADS_API_URL and GOOGLE_DATA_MANAGER_URL",
        answer.url
    );
    let (is_ours, advice) = match (info.as_str(), answer.status) {
        ("SERVICE_DISABLED", _) => (
            true,
            "The API is not enabled in the Google Cloud project. Enable it there; it takes effect within minutes",
        ),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", _) => (
            true,
            "The credentials lack a scope. Authorize again with the scopes datamanager and adwords, or use a service \
                 account",
        ),
        (_, 401) => (true, "Authentication failed: Google rejected the access token. Check the credentials"),
        (_, 429) => (false, "Quota exceeded; Adtrail resumes automatically"),
        (_, 408 | 500..) => (false, "Google is unavailable; Adtrail retries automatically"),
        (_, 400) if !status.message.is_empty() => return None,
        (_, 403 | 404) if !status.canonical_code.is_empty() => {
            (true, "Google denied access. Check the account and the credentials")
        }
        // Google's front end has a page for it.
        (_, 404) if answer.body.trim_ascii_start().starts_with(b"<") => (true, nothing_there.as_str()),
        // From a proxy or a captive portal.
        _ => (false, "The response is not from Google; Adtrail retries automatically"),
    };
    let code = [info, status.canonical_code.clone()].into_iter().find(|code| !code.is_empty());
    let code = code.unwrap_or_else(|| format!("http_{}", answer.status));
    let reason = reason(&code, advice, &status.message);
    Some(if is_ours { Outcome::Paused(reason) } else { Outcome::Unavailable(reason, answer.retry_after) })
}

/// The answer to a request that is too large for Google or for a proxy on the way.
pub(crate) fn too_large(answer: &Answer) -> Option<Outcome> {
    let message = "The conversion alone is too large for a request. If there are many of these, a proxy on the way to \
         Google has a very low limit";
    (answer.status == 413).then(|| Outcome::Rejected(reason("too_large", message, "")))
}

/// A 200 with an unreadable body. Google may or may not have processed the request.
pub(crate) fn unreadable(answer: &Answer) -> Outcome {
    let message = "Google answered 200 with an unreadable body. Adtrail retries automatically; it is counted once";
    Outcome::Unavailable(reason("unreadable_answer", message, ""), answer.retry_after)
}

/// The fix, followed by Google's own message.
pub(crate) fn reason(code: &str, advice: &str, said: &str) -> Reason {
    let message = if said.is_empty() { format!("{advice}.") } else { format!("{advice}. Google said: {said}") };
    Reason::new(code, message)
}

/// Of `events.events[7].currency` and `events[7].currency`: 7.
pub(crate) fn event_index(field: &str) -> Option<usize> {
    let (_, rest) = field.split_once("events[")?;
    rest.split_once(']')?.0.parse().ok()
}
