//! `POST /api/track/event`: something happened on the website. Stores it once per event id.

use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use shared::App;
use shared::events::{self, Event};
use shared::http::body::{Body, shared_id, text_up_to};
use shared::http::{Caller, Endpoint, Problem, Request, Response, cookies, json};
use uuid::Uuid;

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/track/event",
    caller: Caller::Browser,
    body_limit: 16 * 1024,
    requires: &["ALLOWED_ORIGINS"],
};

#[derive(Serialize)]
struct Answer {
    event_id: String,
    status: &'static str,
}

/// Stores the event; the same event id again changes nothing and is answered the same way.
///
/// # Errors
/// 400 when the body is wrong, 503 when the database is unavailable.
pub async fn handle(app: &App<()>, request: Request) -> Result<Response, Problem> {
    let event = parse(app, &request)?;
    let new = app.db.tx(async |tx| events::record(tx, &event).await).await?;
    let status = if new { "stored" } else { "duplicate" };
    Ok(json(StatusCode::ACCEPTED, &Answer { event_id: event.event_id, status }))
}

fn parse(app: &App<()>, request: &Request) -> Result<Event, Problem> {
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
