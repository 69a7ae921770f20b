//! From a form to its lead. One path for the endpoint, and for forms that waited in the spool.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::attribution::{Attribution, ClickId, Clicks, SessionAttributes, UTM_LIMIT, Utm, networks};
use crate::clock::Clock;
use crate::config;
use crate::consent::{Consent, ConsentStatus};
use crate::http::body::{Body, Fields, Invalid, boolean, shared_id, text_up_to};
use crate::http::{Problem, Request, Warning, cookies, denies_by_gpc, site};
use crate::identity::{Email, Hash, Phone, Region};
use crate::leads::NewLead;
use crate::rate_limits::{Callers, RateLimit};
use crate::settings::{FromSettings, Settings};

/// Why a form is refused whose `transaction_id` is in use.
pub const CONFLICT: &str =
    "This transaction_id already belongs to another submission. Generate a new one for every submission.";

/// Settings for forms.
pub struct Config {
    /// The region of phone numbers without a country code.
    phone_region: Option<Region>,
    /// How often one caller may call.
    pub rate_limit: RateLimit,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self { phone_region: config::phone_region(settings), rate_limit: RateLimit::leads(settings) }
    }
}

/// A valid form.
#[derive(Debug)]
pub struct Form {
    /// The lead that it becomes. Its `transaction_id` is the form's, or a new one.
    pub lead: NewLead,
    /// For whom it counts.
    pub callers: Callers,
}

/// Reads a form that was received at this time, from an address with this hash.
///
/// # Errors
/// 400 with every field that is invalid.
pub fn read(config: &Config, request: &Request, address: Option<&Hash>, at: DateTime<Utc>) -> Result<Form, Problem> {
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    let email = fields.required_text("email", Email::parse);
    let phone = fields.optional_text("phone", |text| Ok(phone(text, config.phone_region)));
    let name = fields.optional_text("name", |text| Ok(fitted("name", text, 200)));
    let message = fields.optional_text("message", |text| Ok(fitted("message", text, 5_000)));
    let transaction_id = fields.optional_text("transaction_id", shared_id);
    let consent = fields.object("consent");
    let consent_marketing = consent.optional("marketing", boolean);
    let consent_data_processing = consent.optional("data_processing", boolean);
    let ad_user_data = consent.optional_text("ad_user_data", ConsentStatus::parse);
    let ad_personalization = consent.optional_text("ad_personalization", ConsentStatus::parse);
    let utm = utm(&fields);
    let (clicks, mut warnings) = clicks(&fields, at);
    let session_attributes = fields.optional_text("session_attributes", SessionAttributes::parse);
    body.check()?;
    let (phone, phone_warning) = phone?.unwrap_or_default();
    let (name, name_warning) = name?.unzip();
    let (message, message_warning) = message?.unzip();
    warnings.extend([phone_warning, name_warning.flatten(), message_warning.flatten()].into_iter().flatten());
    warnings.extend(Warning::of_phone(phone.as_ref()));
    let lead = NewLead {
        transaction_id: transaction_id?.unwrap_or_else(|| format!("lead-{}", Uuid::new_v4())),
        email: Some(email?),
        phone,
        name,
        message,
        consent_marketing: consent_marketing?,
        consent_data_processing: consent_data_processing?,
        consent: Consent {
            ad_user_data: ad_user_data?.unwrap_or_default(),
            ad_personalization: ad_personalization?.unwrap_or_default(),
        },
        gpc: denies_by_gpc(request, &fields),
        visitor_id: cookies::visitor(request),
        cookie: cookies::attribution(request, at),
        body: Attribution { utm: utm?, clicks: cookies::clicks(request, at).merged(clicks) },
        site: site(request),
        session_attributes: session_attributes?,
        spam_signs: spam_signs(&fields),
        warnings,
        source: None,
        at,
    };
    let mut callers = config.rate_limit.callers_at(address).visitor(lead.visitor_id);
    if let Some(email) = &lead.email {
        callers = callers.email(&email.hash());
    }
    Ok(Form { lead, callers })
}

/// A number, or why it is left out: a person isn't lost for it.
fn phone(text: &str, region: Option<Region>) -> (Option<Phone>, Option<Warning>) {
    match Phone::parse(text, region) {
        Ok(phone) => (Some(phone), None),
        Err(rule) => (None, Some(Warning { field: "phone", detail: format!("is left out: it {rule}") })),
    }
}

/// A text as it is stored: without control characters, and cut. With a warning if that changes it.
fn fitted(field: &'static str, text: &str, limit: usize) -> (String, Option<Warning>) {
    let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    let kept: String = text.chars().filter(is_kept).take(limit).collect();
    let detail = || format!("is stored without control characters, and with {limit} characters at the most");
    let warning = (kept != text).then(|| Warning { field, detail: detail() });
    (kept, warning)
}

/// A person takes longer than this to fill in a form, in milliseconds.
const QUICKEST: f64 = 2_000.0;

/// What the tag saw that a person doesn't do.
fn spam_signs(fields: &Fields<'_>) -> Vec<String> {
    let honeypot = fields.hint("honeypot", Value::as_bool) == Some(true);
    let fill_ms = fields.hint("fill_ms", Value::as_f64).filter(|ms| (0.0..QUICKEST).contains(ms));
    let too_fast = fill_ms.map(|ms| format!("filled_in_{ms:.0}_ms"));
    honeypot.then(|| "honeypot".to_owned()).into_iter().chain(too_fast).collect()
}

fn utm(fields: &Fields<'_>) -> Result<Utm, Invalid> {
    let utm = |name| fields.optional_text(name, text_up_to(UTM_LIMIT));
    let (source, medium, campaign) = (utm("utm_source"), utm("utm_medium"), utm("utm_campaign"));
    let (term, content) = (utm("utm_term"), utm("utm_content"));
    Ok(Utm { source: source?, medium: medium?, campaign: campaign?, term: term?, content: content? })
}

/// The clicks in the form's own fields, which have no time. The visitor didn't write them, so a wrong one is ignored.
fn clicks(fields: &Fields<'_>, at: DateTime<Utc>) -> (Clicks, Vec<Warning>) {
    for name in networks::ids_of(|network| network.refuses_wrong_ids) {
        let _ = fields.optional_text(&name, ClickId::parse);
    }
    let mut warnings = Vec::new();
    let clicks = Clicks::read(at, |parameter| match fields.text(parameter.name) {
        Ok(value) if value.is_none_or(parameter.is_valid) => value.map(String::from),
        _ => {
            let detail = "is ignored: it can't be a value that the network passes, at most 512 characters".into();
            warnings.push(Warning { field: parameter.name, detail });
            None
        }
    });
    (clicks, warnings)
}
