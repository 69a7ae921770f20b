//! What API Gateway does between a caller and a function.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request as AxumRequest};
use axum::response::Response as AxumResponse;
use axum::routing::any;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayV2httpRequestContext, ApiGatewayV2httpRequestContextHttpDescription,
};
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use shared::App;
use shared::http::entrance::Entrance;
use shared::http::{Endpoint, Problem, Request, Response, answer, harden};

/// API Gateway's body limit; a function's own limit is checked afterwards.
const GATEWAY_LIMIT: usize = 10 * 1024 * 1024;

/// Answers at one endpoint as its function does.
pub fn route<C, H, F>(
    entrance: &'static Entrance,
    app: &'static App<C>,
    endpoint: &'static Endpoint,
    handle: H,
) -> Router
where
    C: Send + Sync + 'static,
    H: Fn(&'static App<C>, Request) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let handler = any(async move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: AxumRequest| {
        match from_axum(request, peer).await {
            Some(request) => to_axum(answer(entrance, endpoint, request, |request| handle(app, request)).await),
            None => to_axum(Problem::body_too_large(GATEWAY_LIMIT).into_response()),
        }
    });
    Router::new().route(endpoint.path, handler)
}

/// The same, and `after` each answer what runs after it on Lambda.
pub fn route_then<C, H, F, A, G>(
    entrance: &'static Entrance,
    app: &'static App<C>,
    endpoint: &'static Endpoint,
    handle: H,
    after: A,
) -> Router
where
    C: Send + Sync + 'static,
    H: Fn(&'static App<C>, Request) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
    A: Fn(&'static App<C>) -> G + Copy + Send + Sync + 'static,
    G: Future<Output = ()> + Send + 'static,
{
    route(entrance, app, endpoint, move |app, request| async move {
        let answer = handle(app, request).await;
        tokio::spawn(after(app));
        answer
    })
}

/// As API Gateway passes it on: the whole body, and the caller's address in the context.
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

/// The function's answer as API Gateway returns it.
pub fn to_axum(mut response: Response) -> AxumResponse {
    harden(&mut response);
    let (parts, body) = response.into_parts();
    AxumResponse::from_parts(parts, body.to_vec().into())
}
