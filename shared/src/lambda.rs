//! The way from the Lambda runtime into a handler. A function's `main` is one call of [`serve`] or [`run_scheduled`].

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::{Error, service_fn};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::app::App;
use crate::http::cors::Origins;
use crate::http::{Endpoint, Problem, Request, Response, answer};
use crate::settings::{FromSettings, values};

/// Answers HTTP requests from API Gateway for as long as the sandbox lives.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn serve<C, H, F>(endpoint: &'static Endpoint, handle: H) -> Result<(), Error>
where
    C: FromSettings + Send + Sync + 'static,
    H: Fn(&'static App<C>, Request) -> F + Copy + Send + Sync,
    F: Future<Output = Result<Response, Problem>> + Send,
{
    let App { config: (origins, config), db, clock } = start::<(Origins, C)>(endpoint.requires).await?;
    // They live as long as the sandbox, so they are leaked once and lent freely.
    let origins: &Origins = Box::leak(Box::new(origins));
    let app: &App<C> = Box::leak(Box::new(App { config, db, clock }));
    lambda_http::run(service_fn(move |request| async move {
        Ok::<_, Error>(answer(origins, endpoint, request, |request| handle(app, request)).await)
    }))
    .await
}

/// Runs on a schedule. The event is not looked at: EventBridge may deliver it twice or late, and the database alone
/// says what there is to do. `handle` gets the deadline.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn run_scheduled<C, H, F, S, E>(requires: &[&str], handle: H) -> Result<(), Error>
where
    C: FromSettings + 'static,
    H: Fn(&'static App<C>, DateTime<Utc>) -> F,
    F: Future<Output = Result<S, E>>,
    S: Serialize,
    E: Into<Error> + std::fmt::Display,
{
    let app: &App<C> = Box::leak(Box::new(start(requires).await?));
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

/// Reads the settings and connects, during INIT. If the database doesn't answer now, the first request connects.
async fn start<C: FromSettings>(requires: &[&str]) -> Result<App<C>, Error> {
    lambda_http::tracing::init_default_subscriber();
    let app = values().await.and_then(|values| App::deployed(&values, requires)).map_err(|error| {
        tracing::error!(%error, "no start");
        error.to_string()
    })?;
    if let Err(error) = app.db.warm().await {
        tracing::warn!(%error, "no database connection yet");
    }
    Ok(app)
}
