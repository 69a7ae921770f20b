//! `POST /api/track/visit`: a page was loaded. Stores where the visitor came from, in two cookies and one row.

use lambda_http::http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Serialize;
use shared::App;
use shared::attribution::{Attribution, Landing, SessionAttributes, Site};
use shared::bots;
use shared::clock::Clock;
use shared::consent::{Consent, ConsentSource, ConsentStatus};
use shared::http::body::Body;
use shared::http::{Caller, Endpoint, Problem, Request, Response, address, cookies, denies_by_gpc, json, user_agent};
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
    body_limit: 16 * 1024,
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

const URL_LIMIT: usize = 8_192;
/// The maximum length of texts that are stored for people to read, in characters. Longer ones are cut.
const STORED_LIMIT: usize = 2_048;

#[derive(Serialize)]
struct Answer {
    returning: bool,
}

/// Stores the visit and renews both cookies, also when the database is unavailable or the caller is above its limit:
/// they carry the attribution.
///
/// # Errors
/// 400 when the body is wrong.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let visit = parse(app, &request)?;
    let callers = app.config.rate_limit.callers(address(&request)).visitor(visit.cookie);
    let recorded = app.db.tx(async |tx| visitors::record(tx, &visit, &callers).await).await;
    let (mut response, recorded) = match recorded {
        Ok(Some(recorded)) => (json(StatusCode::OK, &Answer { returning: recorded.returning }), Some(recorded)),
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

fn parse(app: &App<Config>, request: &Request) -> Result<Visit, Problem> {
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let url = fields.required_text("url", page_url);
    let referrer = fields.optional_text("referrer", |text| Ok(cut(text, STORED_LIMIT)));
    let consent = fields.object("consent");
    let ad_user_data = consent.optional_text("ad_user_data", ConsentStatus::parse);
    let ad_personalization = consent.optional_text("ad_personalization", ConsentStatus::parse);
    body.check()?;

    let (url, at) = (url?, app.clock.now());
    let consent = Consent {
        ad_user_data: ad_user_data?.unwrap_or_default(),
        ad_personalization: ad_personalization?.unwrap_or_default(),
    };
    let denies_by_gpc = denies_by_gpc(request, &fields);
    let touch = Attribution::from_url(&url, at);
    let user_agent = user_agent(request);
    let referrer = referrer?;
    let landing = Landing { url: &url, referrer: referrer.as_deref(), user_agent: user_agent.as_deref(), at };
    Ok(Visit {
        cookie: cookies::visitor(request),
        minted: VisitorId::mint(),
        site: Site::of(&url),
        session_attributes: SessionAttributes::of(landing),
        google_click: touch.clicks.get("google").cloned(),
        bot: bots::judge(request, address(request)),
        is_landing: touch.clicks.has_click(),
        attribution: touch.after(cookies::attribution(request, at)).with(cookies::clicks(request, at)),
        landing_page: cut(url.as_str(), STORED_LIMIT),
        referrer,
        user_agent,
        ip_hash: address(request).zip(app.config.ip_hash_key.as_ref()).map(|(ip, key)| ip_hash(ip, key)),
        consent: if denies_by_gpc { Consent::DENIED } else { consent },
        consent_source: if denies_by_gpc { ConsentSource::Gpc } else { ConsentSource::Visit },
        at,
    })
}

fn page_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    // The parser takes more than a host's name can have.
    let is_name = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    let url = url.filter(|url| url.domain().is_none_or(is_name));
    url.filter(|_| text.chars().count() <= URL_LIMIT).ok_or_else(|| {
        format!("must be the whole address of the page, https:// and all, at most {URL_LIMIT} characters")
    })
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(limit).collect()
}

#[cfg(test)]
mod tests;
