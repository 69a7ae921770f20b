//! The only error a handler returns: a problem document (RFC 9457).

use std::fmt;

use chrono::TimeDelta;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Response;
use crate::db::DbError;

/// What went wrong, for the caller. 5xx problems carry no detail: that goes to the log.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: Option<Box<str>>,
    errors: Vec<FieldError>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    cause: Option<Box<str>>,
}

/// What is wrong with one field of the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field; empty for the whole body.
    pub pointer: String,
    /// What the field must be.
    pub detail: String,
}

impl FieldError {
    /// The same, where what it is about stands in something larger.
    #[must_use]
    pub fn within(self, at: &str) -> Self {
        Self { pointer: format!("{at}{}", self.pointer), ..self }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(format!("{} {}", self.pointer, self.detail).trim())
    }
}

/// Several errors as one sentence.
#[must_use]
pub fn in_words(errors: &[FieldError]) -> String {
    errors.iter().map(FieldError::to_string).collect::<Vec<_>>().join("; ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InvalidBody,
    Unauthorized,
    OriginNotAllowed,
    NotFound,
    MethodNotAllowed,
    Conflict,
    UnknownVisitor,
    BodyTooLarge,
    TooManyRequests,
    Internal,
    Unavailable,
}

impl Kind {
    /// Type, status, title: the table in docs/openapi.yaml.
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidBody => ("/problems/invalid-body", StatusCode::BAD_REQUEST, "Invalid request body"),
            Self::Unauthorized => ("/problems/unauthorized", StatusCode::UNAUTHORIZED, "Authentication failed"),
            Self::OriginNotAllowed => ("/problems/origin-not-allowed", StatusCode::FORBIDDEN, "Origin not allowed"),
            Self::NotFound => ("/problems/not-found", StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => {
                ("/problems/method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
            }
            Self::Conflict => ("/problems/conflict", StatusCode::CONFLICT, "Idempotency key already used"),
            Self::UnknownVisitor => ("/problems/unknown-visitor", StatusCode::CONFLICT, "Unknown visitor"),
            Self::BodyTooLarge => ("/problems/body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
            Self::TooManyRequests => {
                ("/problems/too-many-requests", StatusCode::TOO_MANY_REQUESTS, "Too many requests")
            }
            Self::Internal => ("/problems/internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
            Self::Unavailable => {
                ("/problems/unavailable", StatusCode::SERVICE_UNAVAILABLE, "Service temporarily unavailable")
            }
        }
    }
}

impl Problem {
    fn new(kind: Kind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), header: None, cause: None }
    }

    fn detail(mut self, detail: impl Into<Box<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }

    /// 400: these fields are invalid.
    #[must_use]
    pub fn invalid_body(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.to_string(),
            many => format!("{} fields are invalid; see errors.", many.len()),
        };
        Self { errors, ..Self::new(Kind::InvalidBody).detail(detail) }
    }

    /// 400: the body as a whole is invalid.
    #[must_use]
    pub fn unreadable_body(detail: impl Into<String>) -> Self {
        Self::invalid_body(vec![FieldError { pointer: String::new(), detail: detail.into() }])
    }

    /// 401, saying how to authenticate.
    #[must_use]
    pub fn unauthorized(detail: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Unauthorized)
            .detail(detail)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"adtrail\""))
    }

    /// 403: a website that isn't listed.
    #[must_use]
    pub fn origin_not_allowed() -> Self {
        Self::new(Kind::OriginNotAllowed)
            .detail("The operator lists the allowed origins in the setting ALLOWED_ORIGINS.")
    }

    /// 404.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound)
    }

    /// 405, naming the methods that are.
    #[must_use]
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(Kind::MethodNotAllowed)
            .detail(format!("Allowed: {allowed}."))
            .header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// 409: the key belongs to another request.
    #[must_use]
    pub fn conflict(detail: &'static str) -> Self {
        Self::new(Kind::Conflict).detail(detail)
    }

    /// 409: the browser's visitor isn't stored.
    #[must_use]
    pub fn unknown_visitor(detail: &'static str) -> Self {
        Self::new(Kind::UnknownVisitor).detail(detail)
    }

    /// 413.
    #[must_use]
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(Kind::BodyTooLarge).detail(format!("The limit is {limit} bytes."))
    }

    /// 429: a caller is above its limit, and may call again after this time.
    #[must_use]
    pub fn too_many_requests(resets_in: TimeDelta) -> Self {
        let seconds = resets_in.num_seconds().max(0).unsigned_abs() + 1;
        Self::new(Kind::TooManyRequests)
            .detail("Too many requests from this browser or network within an hour. Nothing was stored.")
            .header(header::RETRY_AFTER, seconds)
    }

    /// 500. The cause goes to the log only.
    #[must_use]
    pub fn internal(cause: impl Into<Box<str>>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(Kind::Internal) }
    }

    /// 503: nothing was stored, retry later. The cause goes to the log only.
    #[must_use]
    pub fn unavailable(cause: impl Into<Box<str>>) -> Self {
        let problem = Self::new(Kind::Unavailable).header(header::RETRY_AFTER, 5_u64);
        Self { cause: Some(cause.into()), ..problem }
    }

    /// The same, said to whoever asked for it to be handled strictly (RFC 7240).
    #[must_use]
    pub fn handled_strictly(self) -> Self {
        self.header(super::PREFERENCE_APPLIED, HeaderValue::from_static(super::STRICTLY))
    }

    /// The same for the operator, who is told the cause as well.
    #[must_use]
    pub fn with_cause_as_detail(self) -> Self {
        Self { detail: self.cause.clone().or(self.detail), ..self }
    }

    /// What went wrong, as the caller is told.
    #[must_use]
    pub fn sentence(&self) -> String {
        if !self.errors.is_empty() {
            return in_words(&self.errors);
        }
        self.detail.as_deref().unwrap_or(self.kind.parts().2).to_owned()
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.parts().1
    }

    /// The response. Logs the cause that the caller isn't told.
    #[must_use]
    pub fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: &'a str,
            title: &'a str,
            status: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
            #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
            errors: &'a [FieldError],
        }
        if let Some(cause) = &self.cause {
            tracing::error!(error = %cause, status = self.status().as_u16(), "request failed");
        }
        let (kind, status, title) = self.kind.parts();
        let document = Document {
            r#type: kind,
            title,
            status: status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
        };
        let mut response = super::json(status, &document);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header.map(|header| *header) {
            headers.insert(name, value);
        }
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) | DbError::OldSchema(_) => Self::unavailable(error.to_string()),
            DbError::Value(_) => Self::unreadable_body("A value is out of the range that can be stored."),
            DbError::Defect(_) => Self::internal(error.to_string()),
        }
    }
}
