//! Cross-origin calls from the websites the operator lists, with credentials. An origin is compared as a whole and
//! never reflected unseen (Fetch Standard, "CORS protocol").

use lambda_http::Body;
use lambda_http::http::{HeaderValue, StatusCode, header};

use super::Response;

/// The answer to a preflight request; [`allow`] adds the origin.
#[must_use]
pub fn preflight(method: &str) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Ok(method) = HeaderValue::from_str(method) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// Lets the page at `origin`, which is listed, read the answer.
pub fn allow(response: &mut Response, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    // Also without an origin: a cache must not hand this answer to a page that has one.
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
}
