//! `POST /api/track/visit`: a page was loaded. Stores where the visitor came from, in two cookies and one row.

use lambda_http::http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Serialize;
use shared::App;
use shared::attribution::{AdMarks, Attribution, Landing, Page, SessionAttributes};
use shared::bots;
use shared::clock::Clock;
use shared::consent::{Consent, ConsentSource};
use shared::http::body::{Answers, Body};
use shared::http::{
    Caller, Endpoint, Problem, Request, Response, Warning, address, cookies, denies_by_gpc, json, site, user_agent,
};
use shared::identity::ip_hash;
use shared::rate_limits::{self, RateLimit};
use shared::settings::{FromSettings, Settings};
use shared::visitors::{self, Visit, VisitorId};
use url::Url;

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/track/visit",
    aliases: &["/t/v", "/api/t/v"],
    caller: Caller::Browser,
    // An address may be of any length.
    body_limit: 256 * 1024,
    requires: &["ALLOWED_ORIGINS", "IP_HASH_KEY"],
};

/// What it reads from the settings.
pub struct Config {
    /// The domain of the cookies, when they are to be shared by several hosts.
    cookie_domain: Option<String>,
    /// The key of the HMAC of visitors' IP addresses.
    ip_hash_key: Option<SecretString>,
    /// How often one caller may call.
    rate_limit: RateLimit,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self {
            cookie_domain: settings.parsed("COOKIE_DOMAIN", cookies::domain),
            ip_hash_key: settings.own_secret("IP_HASH_KEY"),
            rate_limit: RateLimit::visits(settings),
        }
    }
}

/// The maximum length of texts that are stored for people to read, in characters. Longer ones are cut.
const STORED_LIMIT: usize = 2_048;

#[derive(Serialize)]
struct Answer {
    returning: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Stores the visit and renews both cookies, also when the database is unavailable or the caller is above its limit:
/// they carry the attribution.
///
/// # Errors
/// 400 when the body is wrong.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let (visit, warnings) = parse(app, &request)?;
    if bots::checks_ads(&request) {
        return Ok(json(StatusCode::OK, &Answer { returning: false, warnings }));
    }
    if bots::loads_ahead(&request) {
        return Ok(loaded_ahead(app, &request, visit, warnings));
    }
    let callers = app.config.rate_limit.callers(address(&request)).visitor(visit.cookie);
    let recorded = app.db.tx(async |tx| visitors::record(tx, &visit, &callers).await).await;
    let (mut response, recorded) = match recorded {
        Ok(Some(recorded)) => {
            (json(StatusCode::OK, &Answer { returning: recorded.returning, warnings }), Some(recorded))
        }
        Ok(None) => (Problem::too_many_requests(rate_limits::resets_in(visit.at)).into_response(), None),
        Err(error) => (Problem::from(error).into_response(), None),
    };
    let (visitor_id, attribution) = match recorded {
        Some(recorded) => (recorded.visitor_id, recorded.attribution),
        None => (visit.cookie.unwrap_or(visit.minted), visit.attribution.dated(visit.at)),
    };
    let domain = app.config.cookie_domain.as_deref();
    cookies::renew(&mut response, &request, domain, visitor_id, &attribution, visit.at);
    Ok(response)
}

/// The page may never be looked at, so there is no visit yet. If it is, its forms come with the cookies.
fn loaded_ahead(app: &App<Config>, request: &Request, visit: Visit, warnings: Vec<Warning>) -> Response {
    let mut response = json(StatusCode::OK, &Answer { returning: visit.cookie.is_some(), warnings });
    let visitor_id = visit.cookie.unwrap_or(visit.minted);
    let (attribution, domain) = (visit.attribution.dated(visit.at), app.config.cookie_domain.as_deref());
    cookies::renew(&mut response, request, domain, visitor_id, &attribution, visit.at);
    response
}

fn parse(app: &App<Config>, request: &Request) -> Result<(Visit, Vec<Warning>), Problem> {
    let mut warnings = Vec::new();
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let page = fields.required_text("url", page);
    let referrer = fields.text("referrer").unwrap_or_else(|rule| {
        warnings.push(Warning { field: "referrer", detail: format!("is left out: it {rule}") });
        None
    });
    let consent = Answers::inside(&fields, &mut warnings).to_ads(&mut warnings);
    body.check()?;

    let (page, at) = (page?, app.clock.now());
    let denies_by_gpc = denies_by_gpc(request, &fields);
    let touch = Attribution::of_address(page.as_str(), at).dated(at);
    let user_agent = user_agent(request);
    let referrer = referrer.map(|text| cut(text, STORED_LIMIT));
    let (from, by) = (referrer.as_deref(), user_agent.as_deref());
    let landing = page.url().map(|url| Landing { url, referrer: from, user_agent: by, at });
    let visit = Visit {
        cookie: cookies::visitor(request),
        minted: VisitorId::mint(),
        site: page.site().or_else(|| site(request)),
        session_attributes: landing.and_then(SessionAttributes::of),
        ad_marks: AdMarks::of_address(page.as_str()),
        google_click: touch.clicks.get("google").cloned(),
        bot: bots::judge(request, address(request)),
        is_landing: touch.clicks.has_click(),
        attribution: touch.after(cookies::attribution(request, at)).with(cookies::clicks(request, at)),
        landing_page: cut(page.url().map_or(page.as_str(), Url::as_str), STORED_LIMIT),
        referrer,
        user_agent,
        ip_hash: address(request).zip(app.config.ip_hash_key.as_ref()).map(|(ip, key)| ip_hash(ip, key)),
        consent: if denies_by_gpc { Consent::DENIED } else { consent },
        consent_source: if denies_by_gpc { ConsentSource::Gpc } else { ConsentSource::Visit },
        at,
    };
    Ok((visit, warnings))
}

/// Whatever brings a click is the address of a page. Without one it must be whole: anybody could send a word.
fn page(text: &str) -> Result<Page, String> {
    let page = Page::read(text).filter(|page| page.is_whole() || page.has_click());
    page.ok_or_else(|| "must be the whole address of the page, https:// and all".into())
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(limit).collect()
}

#[cfg(test)]
mod tests;
