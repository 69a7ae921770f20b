//! `POST /api/consent`: a visitor answered the consent banner, or changed the answer. Keeps it as a statement.

use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use shared::App;
use shared::clock::Clock;
use shared::consent::{Consent, ConsentSource, ConsentStatus};
use shared::http::body::{Answers, Body};
use shared::http::{Caller, Endpoint, Problem, Request, Response, Warning, address, cookies, denies_by_gpc, json};
use shared::rate_limits::{self, RateLimit};
use shared::settings::{FromSettings, Settings};
use shared::visitors::{self, Answered};

/// Where it answers.
pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/consent",
    aliases: &["/t/c", "/api/t/c"],
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
        Self { rate_limit: RateLimit::consents(settings) }
    }
}

/// What counts now: Global Privacy Control overrides the answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    consent: Consent,
    source: ConsentSource,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Keeps the visitor's answer; the same answer again changes nothing.
///
/// # Errors
/// 400 when the body is wrong, 409 when the browser has no visitor, 429 when the caller is above its limit and the
/// answer is a yes, 503 when the database is unavailable.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let answer = parse(&request)?;
    let visitor_id = cookies::visitor(&request).ok_or_else(no_visitor)?;
    let now = app.clock.now();
    let callers = app.config.rate_limit.callers(address(&request)).visitor(Some(visitor_id));
    let answered = app
        .db
        .tx(async |tx| visitors::answer_consent(tx, visitor_id, answer.consent, answer.source, now, &callers).await);
    match answered.await? {
        Answered::Kept => Ok(json(StatusCode::OK, &answer)),
        Answered::Unknown => Err(no_visitor()),
        Answered::Refused => Err(Problem::too_many_requests(rate_limits::resets_in(now))),
    }
}

fn parse(request: &Request) -> Result<Answer, Problem> {
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let (answers, mut warnings) = (Answers::of(body.fields()), Vec::new());
    let consent = Consent {
        ad_user_data: answers.status("ad_user_data", "ad_user_data", &mut warnings),
        ad_personalization: answers.status("ad_personalization", "ad_personalization", &mut warnings),
    };
    // On analytics alone there is nothing to keep for ads.
    let of_analytics = fields
        .hint("analytics_storage", |said| ConsentStatus::said(said).ok().filter(|it| *it != ConsentStatus::Unknown));
    if !consent.is_known() && of_analytics.is_none() && warnings.is_empty() {
        return Err(Problem::unreadable_body("must answer ad_user_data or ad_personalization: granted or denied."));
    }
    Ok(if denies_by_gpc(request, &fields) {
        Answer { consent: Consent::DENIED, source: ConsentSource::Gpc, warnings }
    } else {
        Answer { consent, source: ConsentSource::Banner, warnings }
    })
}

fn no_visitor() -> Problem {
    Problem::unknown_visitor("Report the page view first, with POST /api/track/visit; its consent may say the answer.")
}

#[cfg(test)]
mod tests;
