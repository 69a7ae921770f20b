//! Errors of the Google Ads API: a `GoogleAdsFailure`, about a whole request or about some of its rows.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Refusal;

/// The `errorCode` of a `GoogleAdsError`: the name of an error enum's field, and one of the enum's values.
///
/// As JSON it is what Google writes: `{"conversionUploadError": "CLICK_NOT_FOUND"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct ErrorCode {
    category: String,
    name: String,
}

impl ErrorCode {
    /// Such as `ErrorCode::new("internalError", "INTERNAL_ERROR")`. Neither of the names has to exist at Google.
    #[must_use]
    pub fn new(category: impl Into<String>, name: impl Into<String>) -> Self {
        Self { category: category.into(), name: name.into() }
    }
}

impl From<ErrorCode> for BTreeMap<String, String> {
    fn from(code: ErrorCode) -> Self {
        [(code.category, code.name)].into()
    }
}

impl TryFrom<BTreeMap<String, String>> for ErrorCode {
    type Error = &'static str;

    fn try_from(mut entries: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        match (entries.pop_first(), entries.is_empty()) {
            (Some((category, name)), true) => Ok(Self { category, name }),
            _ => Err("an error has one entry, such as {\"conversionUploadError\": \"CLICK_NOT_FOUND\"}"),
        }
    }
}

/// One thing that is wrong: a `GoogleAdsError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdsError {
    pub code: ErrorCode,
    /// For people.
    message: String,
    /// The value that caused it.
    trigger: Option<String>,
    /// Such as `conversions[0].conversion_date_time`. Empty when it is about the whole request.
    pub location: String,
    retry_delay_seconds: Option<u32>,
}

impl AdsError {
    pub(crate) fn new(code: ErrorCode, message: &str) -> Self {
        Self { code, message: message.to_owned(), trigger: None, location: String::new(), retry_delay_seconds: None }
    }

    /// The same at a place, in Google's spelling.
    pub(crate) fn at(self, location: String) -> Self {
        Self { location, ..self }
    }

    /// The same because of a value.
    pub(crate) fn triggered_by(self, value: &str) -> Self {
        Self { trigger: Some(value.to_owned()), ..self }
    }

    /// The same with the wait that a quota asks for.
    pub(crate) fn retry_after(self, seconds: Option<u32>) -> Self {
        Self { retry_delay_seconds: seconds, ..self }
    }

    fn summary(&self) -> String {
        if self.location.is_empty() { self.message.clone() } else { format!("{}, at {}", self.message, self.location) }
    }

    fn json(&self) -> Value {
        let mut shown = json!({"errorCode": self.code, "message": self.message});
        if let Some(trigger) = &self.trigger {
            shown["trigger"] = json!({ "stringValue": trigger });
        }
        if !self.location.is_empty() {
            let elements: Vec<Value> = self.location.split('.').map(path_element).collect();
            shown["location"] = json!({ "fieldPathElements": elements });
        }
        if let Some(seconds) = self.retry_delay_seconds {
            shown["details"] = json!({"quotaErrorDetails": {
                "rateScope": "ACCOUNT",
                "rateName": "Operations",
                "retryDelay": format!("{seconds}s"),
            }});
        }
        shown
    }
}

/// `conversions[0]` is a field and an index.
fn path_element(text: &str) -> Value {
    let (name, index) = text.split_once('[').unwrap_or((text, ""));
    match index.trim_end_matches(']').parse::<u32>() {
        Ok(index) => json!({"fieldName": name, "index": index}),
        Err(_) => json!({"fieldName": name}),
    }
}

/// A `GoogleAdsFailure` inside a `google.protobuf.Any`.
fn failure(version: &str, errors: &[AdsError]) -> Value {
    json!({
        "@type": format!("type.googleapis.com/google.ads.googleads.{version}.errors.GoogleAdsFailure"),
        "errors": errors.iter().map(AdsError::json).collect::<Vec<_>>(),
        "requestId": Uuid::new_v4().simple().to_string(),
    })
}

/// The `partialFailureError` of an answer: a `google.rpc.Status` with one `GoogleAdsFailure` about all failed rows.
/// `None` when no row failed.
pub(super) fn partial(version: &str, errors: &[AdsError]) -> Option<Value> {
    let message = match errors {
        [] => return None,
        [only] => only.summary(),
        [first, ..] => format!("Multiple errors in 'details'. First error: {}", first.summary()),
    };
    Some(json!({"code": 3, "message": message, "details": [failure(version, errors)]}))
}

/// The refusal of a whole request.
pub(crate) fn refusal(version: &str, status: StatusCode, error: &AdsError) -> Refusal {
    let message = match status.as_u16() {
        401 => "Request had invalid authentication credentials.",
        403 => "The caller does not have permission",
        429 => "Resource has been exhausted (e.g. check quota).",
        500.. => "Internal error encountered.",
        _ => "Request contains an invalid argument.",
    };
    Refusal::with_details(status, message, vec![failure(version, std::slice::from_ref(error))])
}
