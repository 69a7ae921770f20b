//! Google's errors: a `google.rpc.Status` in its REST form.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

/// The service that refuses, as `ErrorInfo.domain` names it.
const SERVICE: &str = "datamanager.googleapis.com";

/// One thing that is wrong with a request, and where: a `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The path in Google's spelling, such as `events.events[0].event_source`. Empty when Google
    /// names no place.
    pub field: String,
    /// A name of the Data Manager API's `ErrorReason`.
    pub reason: String,
    /// For people.
    pub description: String,
}

impl Violation {
    pub(crate) fn new(field: impl Into<String>, reason: &str, description: &str) -> Self {
        Self { field: field.into(), reason: reason.to_owned(), description: description.to_owned() }
    }
}

/// A refusal, of the Data Manager API unless it says otherwise.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
    details: Vec<Value>,
}

impl Refusal {
    /// A refusal as Data Manager words it for `status`, with `reason` as the `ErrorInfo`'s.
    pub(crate) fn new(status: StatusCode, reason: &str, message: &str) -> Self {
        let request_id = format!("t-{}", Uuid::new_v4().simple());
        Self {
            status,
            message: message.to_owned(),
            details: vec![
                json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason,
                    "domain": SERVICE,
                    "metadata": {"requestId": request_id},
                }),
                json!({
                    "@type": "type.googleapis.com/google.rpc.RequestInfo",
                    "requestId": request_id,
                }),
            ],
        }
    }

    /// A refusal whose details are another API's.
    pub(crate) fn with_details(status: StatusCode, message: &str, details: Vec<Value>) -> Self {
        Self { status, message: message.to_owned(), details }
    }

    /// The same refusal as another service words it.
    pub(crate) fn of(mut self, service: &str) -> Self {
        for detail in &mut self.details {
            for pointer in ["/domain", "/metadata/service"] {
                if let Some(name) = detail.pointer_mut(pointer).filter(|name| **name == SERVICE) {
                    *name = json!(service);
                }
            }
        }
        self
    }

    /// The fast failure: the request is well-formed, and nothing of it was processed.
    pub(crate) fn fast_failure(violations: &[Violation]) -> Self {
        let mut refusal =
            Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "There was a problem with the request.");
        if !violations.is_empty() {
            refusal.details.push(bad_request(violations));
        }
        refusal
    }

    /// The JSON is not the message that the method takes. Google's front end answers this, before
    /// the Data Manager API sees the request, so there is no `ErrorInfo`.
    pub(crate) fn malformed(field: &str, problem: &str) -> Self {
        let message = format!("Invalid JSON payload received. {problem}");
        Self {
            status: StatusCode::BAD_REQUEST,
            details: vec![bad_request(&[Violation::new(field, "", &message)])],
            message,
        }
    }

    /// The credentials are missing, unknown or expired.
    pub(crate) fn unauthenticated(reason: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            message: "Request had invalid authentication credentials. Expected OAuth 2 access \
                      token, login cookie or other valid authentication credential."
                .to_owned(),
            details: vec![json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "googleapis.com",
                "metadata": {"service": SERVICE},
            })],
        }
    }

    /// The usual refusal for an HTTP status, `reason` replacing the usual `ErrorInfo` reason.
    pub(crate) fn usual(status: StatusCode, reason: Option<&str>) -> Self {
        let (usual_reason, message) = match status.as_u16() {
            401 => return Self::unauthenticated(reason.unwrap_or("ACCESS_TOKEN_EXPIRED")),
            403 => ("PERMISSION_DENIED", "The caller does not have permission"),
            404 => ("NOT_FOUND", "Requested entity was not found."),
            429 => ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
            503 => ("INTERNAL_ERROR", "The service is currently unavailable."),
            504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
            500.. => ("INTERNAL_ERROR", "Internal error encountered."),
            _ => ("INVALID_ARGUMENT", "There was a problem with the request."),
        };
        Self::new(status, reason.unwrap_or(usual_reason), message)
    }

    pub(crate) fn json(&self) -> Value {
        let mut error = json!({
            "code": self.status.as_u16(),
            "message": self.message,
            "status": canonical_code(self.status),
        });
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="https://accounts.google.com/", error="invalid_token""#),
            );
        }
        response
    }
}

/// Asks the client to wait `seconds`.
pub(crate) fn retry_after(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn bad_request(violations: &[Violation]) -> Value {
    let violations: Vec<Value> = violations
        .iter()
        .map(|violation| {
            let mut shown = json!({"field": violation.field, "description": violation.description});
            if !violation.reason.is_empty() {
                shown["reason"] = json!(violation.reason);
            }
            shown
        })
        .collect();
    json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": violations,
    })
}

/// The `google.rpc.Code` that goes with an HTTP status.
fn canonical_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        402 | 405..409 | 410..429 | 430..499 => "FAILED_PRECONDITION",
        _ => "UNKNOWN",
    }
}
