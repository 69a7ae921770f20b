//! Only this machine's own names are answered, and only its own pages may post to what isn't the HTTP contract.
//! `make dev` tells its secrets to whoever asks, and a website can ask: its name may be made to point here (DNS
//! rebinding).

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::json;
use url::Url;

use crate::functions::ENDPOINTS;
use crate::gateway::to_axum;

/// The router, closed to everybody else.
pub fn only(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| match refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }))
}

fn refusal(request: &Request) -> Option<Response> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if !host.is_some_and(|host| is_this_machine(host.host())) {
        return Some(problem(
            StatusCode::MISDIRECTED_REQUEST,
            "make dev answers only as localhost, 127.0.0.1 or [::1]: call it by one of these names. A tunnel has to \
             rewrite the header Host.",
        ));
    }
    // The endpoints of the contract have their own rule (ALLOWED_ORIGINS).
    let path = request.uri().path();
    let is_ours = path.starts_with("/api/") || ENDPOINTS.iter().flat_map(|it| it.paths()).any(|it| it == path);
    let origin = request.headers().get(header::ORIGIN).filter(|_| request.method() != Method::GET && !is_ours);
    origin.is_some_and(|origin| !is_own(origin)).then(|| {
        problem(StatusCode::FORBIDDEN, "Only pages of this machine may call this: http://localhost and the like.")
    })
}

fn is_own(origin: &HeaderValue) -> bool {
    let url = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok());
    url.is_some_and(|url| url.host_str().is_some_and(is_this_machine))
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let document = json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail,
    });
    let mut response = shared::http::json(status, &document);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    to_axum(response)
}
