//! The way from the Lambda runtime into a handler. A function's `main` is one call of a function in here.

mod extension;
mod sandbox;

pub use sandbox::PATIENCE;

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::{Error, service_fn};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::sync::mpsc;

use crate::app::{self, App};
use crate::http::entrance::Entrance;
use crate::http::{Endpoint, Problem, Request, Response, answer};
use crate::settings::{ConfigError, FromSettings, values};
use extension::Extension;
use sandbox::Sandbox;

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
    let sandbox = &start::<Entrance, C>(endpoint.requires).await?;
    lambda_http::run(service_fn(move |request| async move {
        let (entrance, app) = sandbox.current().await;
        Ok::<_, Error>(answer(entrance, endpoint, request, |request| handle(app, request)).await)
    }))
    .await
}

/// The same, and `after` each response runs what the caller doesn't wait for, if the settings make it `needed`. Lambda
/// freezes the sandbox only when it has ended. Where that can't be had, requests are answered all the same.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn serve_then<C, H, F, A, G>(
    endpoint: &'static Endpoint,
    handle: H,
    needed: fn(&App<C>) -> bool,
    after: A,
) -> Result<(), Error>
where
    C: FromSettings + Send + Sync + 'static,
    H: Fn(&'static App<C>, Request) -> F + Copy + Send + Sync,
    F: Future<Output = Result<Response, Problem>> + Send,
    A: Fn(&'static App<C>) -> G + Send + Sync + 'static,
    G: Future<Output = ()> + Send + 'static,
{
    let sandbox = &start::<Entrance, C>(endpoint.requires).await?;
    let (answered, requests) = mpsc::unbounded_channel();
    if needed(sandbox.current().await.1) {
        match Extension::register().await {
            Ok(extension) => drop(tokio::spawn(extension.run(requests, after))),
            Err(error) => tracing::warn!(error, "nothing runs after responses"),
        }
    }
    let answered = &answered;
    lambda_http::run(service_fn(move |request| async move {
        let (entrance, app) = sandbox.current().await;
        let response = answer(entrance, endpoint, request, |request| handle(app, request)).await;
        // Without an extension nobody listens.
        let _ = answered.send(app);
        Ok::<_, Error>(response)
    }))
    .await
}

/// Answers HTTP requests with what is in the binary: without settings, and so without the secret and the database.
///
/// # Errors
/// When the Runtime API is gone.
pub async fn serve_without_settings<H, F>(endpoint: &'static Endpoint, handle: H) -> Result<(), Error>
where
    H: Fn(Request) -> F + Copy + Send + Sync,
    F: Future<Output = Result<Response, Problem>> + Send,
{
    lambda_http::tracing::init_default_subscriber();
    let entrance = &Entrance::default();
    lambda_http::run(service_fn(move |request| async move {
        Ok::<_, Error>(answer(entrance, endpoint, request, handle).await)
    }))
    .await
}

/// Runs on a schedule. The event is not looked at: EventBridge may deliver it twice or late, and the database alone
/// says what there is to do. `handle` gets the deadline.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn run_scheduled<C, H, F, S, E>(requires: &'static [&'static str], handle: H) -> Result<(), Error>
where
    C: FromSettings + 'static,
    H: Fn(&'static App<C>, DateTime<Utc>) -> F,
    F: Future<Output = Result<S, E>>,
    S: Serialize,
    E: Into<Error> + std::fmt::Display,
{
    run_events(requires, |app, _: IgnoredAny, deadline| handle(app, deadline)).await
}

/// Runs for the events of another service, such as the batches of a queue. `handle` gets the event and the deadline.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn run_events<C, I, H, F, S, E>(requires: &'static [&'static str], handle: H) -> Result<(), Error>
where
    C: FromSettings + 'static,
    I: DeserializeOwned,
    H: Fn(&'static App<C>, I, DateTime<Utc>) -> F,
    F: Future<Output = Result<S, E>>,
    S: Serialize,
    E: Into<Error> + std::fmt::Display,
{
    let (sandbox, handle) = (&start::<(), C>(requires).await?, &handle);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<I>| async move {
        let ((), app) = sandbox.current().await;
        let now = app.clock.now();
        let deadline = i64::try_from(event.context.deadline).ok().and_then(DateTime::from_timestamp_millis);
        // `cargo lambda watch` sends a deadline of 1970.
        let deadline = deadline.filter(|at| *at > now).unwrap_or(now + TimeDelta::seconds(60));
        handle(app, event.payload, deadline).await.map_err(|error| {
            tracing::error!(%error, "the run failed");
            error.into()
        })
    }))
    .await
}

/// Handles events of another service, such as notifications, without a database.
///
/// # Errors
/// When the settings are missing or wrong.
pub async fn run_events_without_database<C, E, H>(requires: &[&str], handle: H) -> Result<(), Error>
where
    C: FromSettings + 'static,
    E: DeserializeOwned,
    H: AsyncFn(&'static C, E) -> Result<(), String>,
{
    lambda_http::tracing::init_default_subscriber();
    let config = values().await.and_then(|values| app::without_database::<C>(&values, requires));
    let config: &C = Box::leak(Box::new(config.map_err(|error| refused_start(&error))?));
    let handle = &handle;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<E>| async move {
        handle(config, event.payload).await.map_err(|error| {
            tracing::error!(%error, "the event wasn't handled");
            Error::from(error)
        })
    }))
    .await
}

async fn start<E, C>(requires: &'static [&'static str]) -> Result<Sandbox<E, C>, Error>
where
    E: FromSettings + 'static,
    C: FromSettings + 'static,
{
    lambda_http::tracing::init_default_subscriber();
    Sandbox::start(requires).await.map_err(|error| refused_start(&error).into())
}

fn refused_start(error: &ConfigError) -> String {
    tracing::error!(%error, "no start");
    error.to_string()
}
