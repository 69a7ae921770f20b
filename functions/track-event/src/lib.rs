//! `POST /api/track/event`: something happened on the website. Stores it once per event id.

use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use shared::App;
use shared::clock::Clock;
use shared::events::{self, Event};
use shared::http::body::{Body, shared_id, text_up_to};
use shared::http::{Caller, Endpoint, Problem, Request, Response, address, cookies, json};
use shared::rate_limits::{self, RateLimit};
use shared::settings::{FromSettings, Settings};
use uuid::Uuid;

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/track/event",
    aliases: &["/t/e", "/api/t/e"],
    caller: Caller::Browser,
    body_limit: 16 * 1024,
    requires: &["ALLOWED_ORIGINS", "IP_HASH_KEY"],
};

/// What it reads from the settings.
pub struct Config {
    /// How often one caller may call.
    rate_limit: RateLimit,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self { rate_limit: RateLimit::events(settings) }
    }
}

#[derive(Serialize)]
struct Answer {
    event_id: String,
    status: &'static str,
}

/// Stores the event; the same event id again changes nothing and is answered the same way.
///
/// # Errors
/// 400 when the body is wrong, 429 when the caller is above its limit, 503 when the database is unavailable.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let event = parse(app, &request)?;
    let callers = app.config.rate_limit.callers(address(&request)).visitor(event.visitor_id);
    let new = app.db.tx(async |tx| events::record(tx, &event, &callers).await).await?;
    let new = new.ok_or_else(|| Problem::too_many_requests(rate_limits::resets_in(event.at)))?;
    let status = if new { "stored" } else { "duplicate" };
    Ok(json(StatusCode::ACCEPTED, &Answer { event_id: event.event_id, status }))
}

fn parse(app: &App<Config>, request: &Request) -> Result<Event, Problem> {
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let event_name = fields.required_text("event_name", events::name);
    let event_id = fields.optional_text("event_id", shared_id);
    let params = fields.optional("params", events::params);
    let page_url = fields.optional_text("page_url", text_up_to(8_192));
    body.check()?;
    Ok(Event {
        event_id: event_id?.unwrap_or_else(|| Uuid::new_v4().to_string()),
        event_name: event_name?,
        visitor_id: cookies::visitor(request),
        params: params?.unwrap_or_else(|| json!({})),
        page_url: page_url?,
        at: app.clock.now(),
    })
}

#[cfg(test)]
mod tests;
