//! The way from the Lambda runtime into a handler. A function's `main` is one call of [`serve`] or [`run_scheduled`].

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::{Error, service_fn};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::app::App;
use crate::http::{Endpoint, Problem, Request, Response, answer};

/// Answers HTTP requests from API Gateway for as long as the sandbox lives.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn serve<H, F>(endpoint: &'static Endpoint, handle: H) -> Result<(), Error>
where
    H: Fn(&'static App, Request) -> F + Copy + Send + Sync,
    F: Future<Output = Result<Response, Problem>> + Send,
{
    let app = start(endpoint.requires).await?;
    lambda_http::run(service_fn(move |request| async move {
        let origins = &app.config.allowed_origins;
        Ok::<_, Error>(answer(origins, endpoint, request, |request| handle(app, request)).await)
    }))
    .await
}

/// Runs on a schedule. The event is not looked at: EventBridge may deliver it twice or late, and the database alone
/// says what there is to do. `handle` is told when to be done.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn run_scheduled<H, F, S, E>(requires: &[&str], handle: H) -> Result<(), Error>
where
    H: Fn(&'static App, DateTime<Utc>) -> F,
    F: Future<Output = Result<S, E>>,
    S: Serialize,
    E: Into<Error> + std::fmt::Display,
{
    let app = start(requires).await?;
    let handle = &handle;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<IgnoredAny>| async move {
        let now = app.clock.now();
        let deadline = i64::try_from(event.context.deadline).ok().and_then(DateTime::from_timestamp_millis);
        // `cargo lambda watch` sends a deadline of 1970.
        let deadline = deadline.filter(|at| *at > now).unwrap_or(now + TimeDelta::seconds(60));
        handle(app, deadline).await.map_err(|error| {
            tracing::error!(%error, "the run failed");
            error.into()
        })
    }))
    .await
}

/// Lives as long as the sandbox, so it is leaked once and lent freely.
async fn start(requires: &[&str]) -> Result<&'static App, Error> {
    lambda_http::tracing::init_default_subscriber();
    let app = App::init(requires).await.map_err(|error| {
        tracing::error!(%error, "no start");
        error.to_string()
    })?;
    Ok(Box::leak(Box::new(app)))
}
