//! `POST /api/leads`: a form was submitted. Stores the lead with the click that led to it.
//!
//! Deals that wait for it are matched by the uploader's next run. If they were matched here, the time of the answer
//! would tell anybody who knows an address whether the CRM has a deal of it.

use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use shared::App;
use shared::attribution::{Attribution, ClickId, Clicks, SessionAttributes, UTM_LIMIT, Utm, networks};
use shared::clock::Clock;
use shared::config;
use shared::consent::{Consent, ConsentStatus};
use shared::http::body::{Body, Fields, Invalid, boolean, shared_id, text_up_to};
use shared::http::{
    Caller, Endpoint, Problem, Request, Response, Warning, address, cookies, denies_by_gpc, json, site,
};
use shared::identity::{Email, Phone, Region};
use shared::leads::{self, Created, NewLead};
use shared::rate_limits::{self, RateLimit};
use shared::settings::{FromSettings, Settings};
use uuid::Uuid;

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/leads",
    caller: Caller::Browser,
    body_limit: 32 * 1024,
    requires: &["ALLOWED_ORIGINS", "IP_HASH_KEY"],
};

/// What it reads from the settings.
pub struct Config {
    /// The region of phone numbers without a country code.
    phone_region: Option<Region>,
    /// How often one caller may call.
    rate_limit: RateLimit,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self { phone_region: config::phone_region(settings), rate_limit: RateLimit::leads(settings) }
    }
}

#[derive(Serialize)]
struct Answer {
    lead_id: Uuid,
    transaction_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Stores the lead once per transaction id.
///
/// # Errors
/// 400 when the body is wrong, 409 when the transaction id is in use, 429 when the caller is far above its limit, 503
/// when the database is unavailable.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let (lead, mut warnings) = parse(app, &request)?;
    let callers = app.config.rate_limit.callers(address(&request)).visitor(lead.visitor_id).email(&lead.email.hash());
    let (code, lead_id, status) = match app.db.tx(async |tx| leads::create(tx, &lead, &callers).await).await? {
        Created::New(id) => (StatusCode::CREATED, id, "created"),
        Created::Duplicate(id) => (StatusCode::OK, id, "duplicate"),
        Created::Conflict => {
            return Err(Problem::conflict(
                "This transaction_id already belongs to another submission. Generate a new one for every submission.",
            ));
        }
        Created::Refused => return Err(Problem::too_many_requests(rate_limits::resets_in(lead.at))),
    };
    warnings.extend(Warning::of_phone(lead.phone.as_ref()));
    Ok(json(code, &Answer { lead_id, transaction_id: lead.transaction_id, status, warnings }))
}

fn parse(app: &App<Config>, request: &Request) -> Result<(NewLead, Vec<Warning>), Problem> {
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let email = fields.required_text("email", Email::parse);
    let phone = fields.optional_text("phone", |text| Phone::parse(text, app.config.phone_region));
    let name = fields.optional_text("name", text_up_to(200));
    let message = fields.optional_text("message", text_up_to(5_000));
    let transaction_id = fields.optional_text("transaction_id", shared_id);
    let consent = fields.object("consent");
    let consent_marketing = consent.optional("marketing", boolean);
    let consent_data_processing = consent.optional("data_processing", boolean);
    let ad_user_data = consent.optional_text("ad_user_data", ConsentStatus::parse);
    let ad_personalization = consent.optional_text("ad_personalization", ConsentStatus::parse);
    let utm = utm(&fields);
    let now = app.clock.now();
    let (clicks, warnings) = clicks(app, &fields);
    let session_attributes = fields.optional_text("session_attributes", SessionAttributes::parse);
    body.check()?;
    let lead = NewLead {
        transaction_id: transaction_id?.unwrap_or_else(|| format!("lead-{}", Uuid::new_v4())),
        email: email?,
        phone: phone?,
        name: name?,
        message: message?,
        consent_marketing: consent_marketing?,
        consent_data_processing: consent_data_processing?,
        consent: Consent {
            ad_user_data: ad_user_data?.unwrap_or_default(),
            ad_personalization: ad_personalization?.unwrap_or_default(),
        },
        gpc: denies_by_gpc(request),
        visitor_id: cookies::visitor(request),
        cookie: cookies::attribution(request, now),
        body: Attribution { utm: utm?, clicks: cookies::clicks(request, now).merged(clicks) },
        site: site(request),
        session_attributes: session_attributes?,
        at: now,
    };
    Ok((lead, warnings))
}

fn utm(fields: &Fields<'_>) -> Result<Utm, Invalid> {
    let utm = |name| fields.optional_text(name, text_up_to(UTM_LIMIT));
    let (source, medium, campaign) = (utm("utm_source"), utm("utm_medium"), utm("utm_campaign"));
    let (term, content) = (utm("utm_term"), utm("utm_content"));
    Ok(Utm { source: source?, medium: medium?, campaign: campaign?, term: term?, content: content? })
}

/// The clicks in the form's own fields, which have no time. The visitor didn't write them, so a wrong one is ignored.
fn clicks(app: &App<Config>, fields: &Fields<'_>) -> (Clicks, Vec<Warning>) {
    for name in networks::ids_of(|network| network.refuses_wrong_ids) {
        let _ = fields.optional_text(&name, ClickId::parse);
    }
    let mut warnings = Vec::new();
    let clicks = Clicks::read(app.clock.now(), |parameter| match fields.text(parameter.name) {
        Ok(value) if value.is_none_or(parameter.is_valid) => value.map(String::from),
        _ => {
            let detail = "is ignored: it can't be a value that the network passes, at most 512 characters".into();
            warnings.push(Warning { field: parameter.name, detail });
            None
        }
    });
    (clicks, warnings)
}

#[cfg(test)]
mod tests;
