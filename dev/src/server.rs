//! Every endpoint through the same `handle` functions that run on Lambda, the schedule, and the sandbox Google.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request as AxumRequest};
use axum::response::{Html, Response as AxumResponse};
use axum::routing::{any, get, post};
use chrono::TimeDelta;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayV2httpRequestContext, ApiGatewayV2httpRequestContextHttpDescription,
};
use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use shared::App;
use shared::http::cors::Origins;
use shared::http::{Endpoint, Problem, Request, Response, answer, json};

use crate::crm::CrmSandbox;
use crate::functions::Functions;
use crate::rows;
use google_sandbox::GoogleSandbox;

/// What API Gateway lets through; a function's own limit comes after.
const GATEWAY_LIMIT: usize = 10 * 1024 * 1024;
/// What a run may take, as the function's timeout on Lambda.
const RUN: TimeDelta = TimeDelta::seconds(120);
const INDEX: &str = include_str!("index.html");

/// All of it.
pub fn router(functions: &'static Functions, google: &GoogleSandbox, crm: &CrmSandbox) -> Router {
    let uploader = &functions.upload_conversions;
    api(functions)
        .route("/", get(async || Html(INDEX)))
        .route("/dev/tick", post(async move || tick(uploader).await))
        .route(
            "/dev/rows",
            get(async move || match rows::newest(&uploader.db).await {
                Ok(rows) => to_axum(json(StatusCode::OK, &rows)),
                Err(error) => to_axum(Problem::from(error).into_response()),
            }),
        )
        .merge(google.router())
        .merge(crm.router())
}

/// Declares the functions that answer requests: each by the name of its binary and its crate.
macro_rules! endpoints {
    ($($binary:literal: $function:ident),+ $(,)?) => {
        /// The binaries that answer requests.
        pub const BINARIES: &[&str] = &[$($binary),+];

        /// The endpoints of the HTTP contract.
        pub const ENDPOINTS: &[&Endpoint] = &[$(&$function::ENDPOINT),+];

        /// The HTTP contract alone.
        pub fn api(functions: &'static Functions) -> Router {
            let origins = &functions.origins;
            Router::new()
                $(.route(
                    $function::ENDPOINT.path,
                    endpoint((origins, &functions.$function), &$function::ENDPOINT, $function::handle),
                ))+
                .fallback(async || to_axum(not_found()))
        }
    };
}

endpoints! {
    "track-visit": track_visit,
    "track-event": track_event,
    "create-lead": create_lead,
    "crm-conversion": crm_conversion,
    "tracking-health": tracking_health,
}

/// Runs the uploader every `pause`, for ever.
pub async fn schedule(app: &'static App<upload_conversions::Config>, pause: Duration) {
    let mut ticks = tokio::time::interval(pause);
    loop {
        ticks.tick().await;
        if let Err(error) = upload_conversions::handle(app, app.clock.now() + RUN).await {
            tracing::error!(%error, "the run failed");
        }
    }
}

async fn tick(app: &'static App<upload_conversions::Config>) -> AxumResponse {
    match upload_conversions::handle(app, app.clock.now() + RUN).await {
        Ok(summary) => to_axum(json(StatusCode::OK, &summary)),
        Err(error) => to_axum(Problem::from(error).into_response()),
    }
}

fn endpoint<C, H, F>(
    (origins, app): (&'static Origins, &'static App<C>),
    endpoint: &'static Endpoint,
    handle: H,
) -> axum::routing::MethodRouter
where
    C: Send + Sync + 'static,
    H: Fn(&'static App<C>, Request) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    any(async move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: AxumRequest| {
        match from_axum(request, peer).await {
            Some(request) => to_axum(answer(origins, endpoint, request, |request| handle(app, request)).await),
            None => to_axum(Problem::body_too_large(GATEWAY_LIMIT).into_response()),
        }
    })
}

fn not_found() -> Response {
    let mut response = Problem::not_found().into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// As API Gateway hands it on: the whole body, and the caller's address in the context.
async fn from_axum(request: AxumRequest, peer: SocketAddr) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, GATEWAY_LIMIT).await.ok()?;
    let mut http = ApiGatewayV2httpRequestContextHttpDescription::default();
    http.source_ip = Some(peer.ip().to_string());
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http = http;
    let request = Request::from_parts(parts, Body::from(bytes.to_vec()));
    Some(request.with_request_context(RequestContext::ApiGatewayV2(context)))
}

fn to_axum(response: Response) -> AxumResponse {
    let (parts, body) = response.into_parts();
    AxumResponse::from_parts(parts, body.to_vec().into())
}
