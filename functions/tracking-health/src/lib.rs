//! `GET /api/health/tracking`: is everything on its way?

use lambda_http::http::{Method, StatusCode};
use shared::App;
use shared::health;
use shared::http::{Caller, Endpoint, Problem, Request, Response, authorization, json};

/// Where it answers.
pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::GET,
    path: "/api/health/tracking",
    caller: Caller::Server,
    body_limit: 0,
    requires: &["HEALTH_KEY"],
};

/// Says how things stand. `200` whatever they are: only a database that can't be asked is an error.
///
/// # Errors
/// 401 without the health key, 503 when the database is away.
pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    if !app.config.health_key.as_ref().is_some_and(|key| authorization::has_bearer(&request, key)) {
        return Err(Problem::unauthorized("Send the health key as Authorization: Bearer."));
    }
    let health = app.db.tx(async |tx| health::check(tx, &app.config, app.clock.now()).await).await?;
    Ok(json(StatusCode::OK, &health))
}

#[cfg(test)]
mod tests;
