//! One way from a request to an answer, the same on Lambda, under `make dev` and in tests: [`answer`].

pub mod authorization;
pub mod body;
pub mod cookies;
pub mod cors;
pub mod entrance;
pub mod problem;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use lambda_http::http::{HeaderValue, Method, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::attribution::Site;
pub use crate::warning::Warning;
use body::Fields;
use entrance::Entrance;
pub use lambda_http::Request;
pub use problem::Problem;

/// What every handler answers with.
pub type Response = lambda_http::Response<Body>;

/// One endpoint of the HTTP contract (docs/openapi.yaml).
#[derive(Debug)]
pub struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    /// Where it answers besides: the short, neutral paths that the tag derives from its own URL.
    pub aliases: &'static [&'static str],
    pub caller: Caller,
    /// The largest body, in bytes after base64 decoding.
    pub body_limit: usize,
    /// The names of the settings it can't do without.
    pub requires: &'static [&'static str],
}

/// Who calls an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A page on one of the listed websites: CORS applies.
    Browser,
    /// Another system. It authenticates.
    Server,
    /// Whoever wants to read what is public: pages of any site, and proxies in front of them.
    Anyone,
}

impl Endpoint {
    /// Every path that it answers at.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.path).chain(self.aliases.iter().copied())
    }

    fn allow(&self) -> &'static str {
        match (self.caller, self.method == Method::GET) {
            (Caller::Browser, _) => "POST, OPTIONS",
            (Caller::Server, true) => "GET",
            (Caller::Server, false) => "POST",
            (Caller::Anyone, _) => "GET, HEAD",
        }
    }

    fn takes(&self, method: &Method) -> bool {
        *method == self.method || self.caller == Caller::Anyone && method == Method::HEAD
    }
}

/// Checks what all endpoints share, calls the handler, and turns its result into an answer.
/// Writes one log line. Never fails and never panics.
pub async fn answer<H, F>(entrance: &Entrance, endpoint: &Endpoint, mut request: Request, handle: H) -> Response
where
    H: FnOnce(Request) -> F,
    F: Future<Output = Result<Response, Problem>>,
{
    let started = Instant::now();
    let origin = request.headers().get(header::ORIGIN).cloned();
    entrance.identify(&mut request);
    let mut response = match admit(&entrance.origins, endpoint, &request) {
        Err(problem) => problem.into_response(),
        Ok(Admitted::Preflight) => cors::preflight(endpoint.method.as_str()),
        Ok(Admitted::Request) => match AssertUnwindSafe(async { handle(request).await }).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(problem)) => problem.into_response(),
            // The panic hook has logged where; the message might quote a value.
            Err(_) => Problem::internal("the handler panicked").into_response(),
        },
    };
    harden(&mut response);
    if endpoint.caller == Caller::Browser {
        cors::allow(&mut response, origin.filter(|origin| entrance.origins.allow(origin)));
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(endpoint = endpoint.path, status = response.status().as_u16(), duration_ms, "answered");
    response
}

/// What every answer carries: no cache keeps it, unless it says for how long, and no browser takes it for another type.
pub fn harden(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

enum Admitted {
    Request,
    Preflight,
}

fn admit(origins: &cors::Origins, endpoint: &Endpoint, request: &Request) -> Result<Admitted, Problem> {
    let browser = endpoint.caller == Caller::Browser;
    // CORS only hides answers; a request that must not happen has to be refused.
    if browser && request.headers().get(header::ORIGIN).is_some_and(|origin| !origins.allow(origin)) {
        return Err(Problem::origin_not_allowed());
    }
    if browser && request.method() == Method::OPTIONS {
        return Ok(Admitted::Preflight);
    }
    if !endpoint.takes(request.method()) {
        return Err(Problem::method_not_allowed(endpoint.allow()));
    }
    if request.body().len() > endpoint.body_limit {
        return Err(Problem::body_too_large(endpoint.body_limit));
    }
    Ok(Admitted::Request)
}

/// An answer without a body.
#[must_use]
pub fn no_content() -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[must_use]
pub fn json(status: StatusCode, document: &impl Serialize) -> Response {
    let (status, text) = match serde_json::to_string(document) {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "an answer can't be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The caller's address, as API Gateway or a proxy with the key saw it. Forwarded-for headers are the caller's own
/// words.
#[must_use]
pub fn address(request: &Request) -> Option<IpAddr> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.http.source_ip.as_deref()?.parse().ok(),
        _ => None,
    }
}

/// The longest user agent that is kept, in characters.
const USER_AGENT_LIMIT: usize = 512;

/// What the caller says it is, cut.
#[must_use]
pub fn user_agent(request: &Request) -> Option<String> {
    let said = request.headers().get(header::USER_AGENT)?.to_str().ok()?;
    Some(said.chars().filter(|c| !c.is_control()).take(USER_AGENT_LIMIT).collect())
}

/// The site that the page is on, as the browser says.
#[must_use]
pub fn site(request: &Request) -> Option<Site> {
    let of = |name| Site::of(&Url::parse(request.headers().get(name)?.to_str().ok()?).ok()?);
    of(header::ORIGIN).or_else(|| of(header::REFERER))
}

/// Does the browser send Global Privacy Control, or does the tag say for it that it is on?
#[must_use]
pub fn denies_by_gpc(request: &Request, fields: &Fields<'_>) -> bool {
    let is_sent = request.headers().get("sec-gpc").is_some_and(|value| value == "1");
    is_sent || fields.hint("gpc", Value::as_bool) == Some(true)
}
