//! `POST /api/track/event`: something happened on the website. Stores it once per event id, and sends it to analytics
//! after the response.

use std::sync::atomic::{AtomicBool, Ordering};

use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, json};
use shared::App;
use shared::analytics::EventFacts;
use shared::attribution::Site;
use shared::bots;
use shared::clock::Clock;
use shared::consent::Consent;
use shared::event_delivery::EventDelivery;
use shared::events::{self, Event, Outgoing, SentBy};
use shared::http::body::{Answers, Body, shared_id};
use shared::http::{
    Caller, Endpoint, Problem, Request, Response, Warning, address, cookies, denies_by_gpc, json, site, user_agent,
};
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
    pub delivery: EventDelivery,
    /// Was an event queued since it was last looked?
    has_queued: AtomicBool,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self {
            rate_limit: RateLimit::events(settings),
            delivery: EventDelivery::from_settings(settings, clock),
            has_queued: AtomicBool::new(false),
        }
    }
}

/// The longest address of a page that is kept, in characters. A longer one is cut.
const PAGE_URL_LIMIT: usize = 8_192;

#[derive(Serialize)]
struct Answer {
    event_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Stores the event; the same event id again changes nothing and is answered the same way.
///
/// # Errors
/// 400 when the body is wrong, 429 when the caller is above its limit, 503 when the database is unavailable.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let (event, warnings) = parse(app, &request)?;
    let callers = app.config.rate_limit.callers(address(&request)).visitor(event.visitor_id);
    let recorded = app.db.tx(async |tx| events::record(tx, &event, &callers).await).await?;
    let recorded = recorded.ok_or_else(|| Problem::too_many_requests(rate_limits::resets_in(event.at)))?;
    if recorded.is_queued {
        app.config.has_queued.store(true, Ordering::Relaxed);
    }
    let status = if recorded.is_new { "stored" } else { "duplicate" };
    Ok(json(StatusCode::ACCEPTED, &Answer { event_id: event.event_id, status, warnings }))
}

/// Is there anything to do after a response?
#[must_use]
pub fn sends_events(app: &App<Config>) -> bool {
    !app.config.delivery.destinations.is_empty()
}

/// Sends what was queued. The answer is on its way, and what fails here is sent by the schedule.
pub async fn after_response(app: &App<Config>) {
    if app.config.has_queued.swap(false, Ordering::Relaxed) {
        app.config.delivery.after_response(&app.db, &app.clock).await;
    }
}

fn parse(app: &App<Config>, request: &Request) -> Result<(Event, Vec<Warning>), Problem> {
    let mut warnings = Vec::new();
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let event_name = fields.required_text("event_name", events::name);
    let event_id = fields.optional_text("event_id", shared_id);
    let params = fields.optional("params", events::params);
    let page_url = fields.text("page_url").unwrap_or_else(|rule| {
        warnings.push(Warning { field: "page_url", detail: format!("is left out: it {rule}") });
        None
    });
    let sent_by = fields.optional_text("sent_by", SentBy::parse);
    let answers = Answers::inside(&fields, &mut warnings);
    let analytics_storage = answers.status("analytics_storage", "consent/analytics_storage", &mut warnings);
    let consent = answers.to_ads(&mut warnings);
    body.check()?;
    let denies_by_gpc = denies_by_gpc(request, &fields);
    let event = Event {
        event_id: event_id?.unwrap_or_else(|| Uuid::new_v4().to_string()),
        event_name: event_name?,
        visitor_id: cookies::visitor(request),
        params: params?.unwrap_or_else(|| json!({})),
        page_url: page_url.map(|url| url.chars().filter(|c| !c.is_control()).take(PAGE_URL_LIMIT).collect()),
        at: app.clock.now(),
        sent_by: sent_by?,
        analytics_storage,
        consent: if denies_by_gpc { Consent::DENIED } else { consent },
        outgoing: Outgoing::default(),
    };
    Ok((Event { outgoing: outgoing(app, request, &event), ..event }, warnings))
}

/// What is to be sent with an event, and where to: nothing if somebody else sends it, or nobody may.
fn outgoing(app: &App<Config>, request: &Request, event: &Event) -> Outgoing {
    let EventDelivery { destinations, unknown_consent, .. } = &app.config.delivery;
    let bot = bots::judge(request, address(request));
    if event.sent_by.is_some() || !event.analytics_storage.may_be_sent(*unknown_consent) || bot.is_kept_back() {
        return Outgoing::default();
    }
    let site = event.page_url.as_deref().and_then(Site::of_page).or_else(|| site(request));
    let facts = EventFacts { name: &event.event_name, site: site.as_ref().map(Site::as_str) };
    let wanting: Vec<_> = destinations.iter().filter(|destination| destination.wants(&facts)).collect();
    if wanting.is_empty() {
        return Outgoing::default();
    }
    let session = |stream: &str| Some((stream.to_owned(), json!(cookies::ga_session(request, stream)?)));
    Outgoing {
        client_id: cookies::ga_client(request),
        sessions: wanting.iter().filter_map(|it| session(&it.measurement_id)).collect::<Map<_, _>>(),
        user_agent: user_agent(request),
        destinations: wanting.into_iter().map(|it| it.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
