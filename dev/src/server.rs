//! Every endpoint through the same `handle` functions that run on Lambda, the schedule, and the sandbox Google.

use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response as AxumResponse;
use axum::routing::{get, post};
use chrono::TimeDelta;
use lambda_http::http::StatusCode;
use shared::App;
use shared::http::{Problem, json};

use crate::crm::CrmSandbox;
use crate::functions::Functions;
use crate::gateway::to_axum;
use crate::localhost;
use crate::{demo_site, rows, trail};
use google_sandbox::GoogleSandbox;

/// The timeout of a run, the same as the function's on Lambda.
const RUN: TimeDelta = TimeDelta::seconds(120);

/// All of it, for this machine alone. `exports` are the settings for a shell.
pub fn router(functions: &'static Functions, google: &GoogleSandbox, crm: &CrmSandbox, exports: String) -> Router {
    let uploader = &functions.upload_conversions;
    let router = api(functions)
        .route("/", get(async || demo_site::page()))
        .route("/lp", get(async || demo_site::page()))
        .route("/dev/trail", get(async move |headers: HeaderMap| trail::answer(&uploader.db, headers).await))
        .route("/dev/forget", post(async |headers: HeaderMap| trail::forget(&headers)))
        .route("/dev/tick", post(async move || tick(uploader).await))
        .route(
            "/dev/rows",
            get(async move || match rows::newest(&uploader.db).await {
                Ok(rows) => to_axum(json(StatusCode::OK, &rows)),
                Err(error) => to_axum(Problem::from(error).into_response()),
            }),
        )
        .route("/dev/env", get(async || exports))
        .merge(google.router())
        .merge(crm.router());
    localhost::only(router)
}

/// The HTTP contract alone.
pub fn api(functions: &'static Functions) -> Router {
    functions.routes().fallback(async || to_axum(Problem::not_found().into_response()))
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
