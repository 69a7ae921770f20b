//! `GET /api/health/tracking`: are conversions being delivered?

use lambda_http::http::{Method, StatusCode};
use secrecy::SecretString;
use shared::App;
use shared::analytics::{self, EventDestinations};
use shared::clock::Clock;
use shared::consent::UnknownConsent;
use shared::db::DbError;
use shared::http::{Caller, Endpoint, Problem, Request, Response, authorization, json};
use shared::platforms::{self, Destinations};
use shared::settings::{FromSettings, Settings};
use shared::{config, health};

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::GET,
    path: "/api/health/tracking",
    aliases: &[],
    caller: Caller::Server,
    body_limit: 0,
    requires: &["HEALTH_KEY"],
};

/// What it reads from the settings.
pub struct Config {
    /// The bearer token of callers.
    health_key: Option<SecretString>,
    destinations: Destinations,
    event_destinations: EventDestinations,
    unknown_consent: UnknownConsent,
    /// The CRMs that are declared.
    sources: Vec<String>,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self {
            health_key: settings.own_secret("HEALTH_KEY"),
            destinations: platforms::destinations(settings),
            event_destinations: analytics::destinations(settings),
            unknown_consent: config::unknown_consent(settings),
            sources: sources(settings),
        }
    }
}

/// Their names. If the declarations can't be read, the functions that need them say so.
fn sources(settings: &mut Settings) -> Vec<String> {
    let mut apart = settings.apart();
    let sources = config::crm_sources_draft(&mut apart);
    apart.finish(Some(sources)).map_or_else(|_| Vec::new(), |all| all.iter().map(|it| it.name.clone()).collect())
}

/// Answers with the state of deliveries. Always `200`: only an unavailable database is an error.
///
/// # Errors
/// 401 without the health key, 503 when the database is unavailable.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let Config { health_key, destinations, event_destinations, unknown_consent, sources } = &app.config;
    if !health_key.as_ref().is_some_and(|key| authorization::has_bearer(&request, key)) {
        return Err(Problem::unauthorized("Send the health key as Authorization: Bearer."));
    }
    let now = app.clock.now();
    let health = app.db.tx(async |tx| -> Result<_, DbError> {
        let health = health::check(tx, destinations, sources, *unknown_consent, now).await?;
        Ok(health.with(health::of_events(tx, event_destinations, now).await?))
    });
    // Whoever has the key is the operator.
    let health = health.await.map_err(|error| Problem::from(error).with_cause_as_detail())?;
    Ok(json(StatusCode::OK, &health))
}

#[cfg(test)]
mod tests;
