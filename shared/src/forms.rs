//! From a form to its lead. One path for the endpoint, and for forms that waited in the spool.
//!
//! A person is refused only if nothing says who it is: whatever else can't be used is left out or cut, with a warning.

mod oddities;
pub(crate) mod pages;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::absent::is_nothing;
use crate::attribution::networks::{self, Parameter};
use crate::attribution::{Attribution, ClickId, Clicks, Page, SessionAttributes, UTM_LIMIT, Utm};
use crate::clock::Clock;
use crate::config;
use crate::http::body::{Answers, Body, Fields, shared_id};
use crate::http::{Problem, Request, Warning, cookies, denies_by_gpc, prefers_strict, site};
use crate::identity::{Carrier, Email, Hash, Phone, Region};
use crate::leads::{NewLead, refusals};
use crate::rate_limits::{Callers, RateLimit};
use crate::settings::{FromSettings, Settings};
use oddities::Oddities;
use pages::Pages;

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
/// 400 if it can't be read, or if nothing in it says who it is. For a caller that wants it strict, also with every
/// field that would be left out.
pub fn read(config: &Config, request: &Request, address: Option<&Hash>, at: DateTime<Utc>) -> Result<Form, Problem> {
    let is_strict = prefers_strict(request);
    let body = if is_strict { Body::parse(request.body()) } else { Body::of_form(request.body()) };
    let read = body.and_then(|mut body| {
        let (mut lead, mut odd) = self::lead(config, request, &body.fields(), at);
        if !is_known(&lead)
            && !is_strict
            && let Some(unfolded) = body.unfolded()
        {
            let (inner, found) = self::lead(config, request, &unfolded.fields(), at);
            if is_known(&inner) {
                (lead, odd, body) = (inner, found, unfolded);
            }
        }
        if !is_known(&lead) {
            // What was mended is told rather than that nobody is left.
            Body::parse(request.body())?;
            return Err(odd.nobody());
        }
        if is_strict {
            odd.check()?;
        }
        body.warnings.into_iter().for_each(|warning| odd.note(warning));
        Ok(NewLead { warnings: odd.into_warnings(), ..lead })
    });
    let lead = read.map_err(|problem| if is_strict { problem.handled_strictly() } else { problem })?;
    let mut callers = config.rate_limit.callers_at(address).visitor(lead.visitor_id);
    if let Some(email) = &lead.email {
        callers = callers.email(&email.hash());
    }
    Ok(Form { lead, callers })
}

/// Why a form is refused, as it is counted.
#[must_use]
pub fn why_refused(request: &Request) -> &'static str {
    if Body::of_form(request.body()).is_ok() { refusals::NOBODY } else { refusals::UNREADABLE }
}

/// Does anything say who it is: an address, a number that can be matched, or a click?
fn is_known(lead: &NewLead) -> bool {
    let has_number = lead.phone.as_ref().is_some_and(|phone| phone.hash().is_ok());
    lead.email.is_some() || has_number || lead.cookie.clicks.has_click() || lead.body.clicks.has_click()
}

fn lead(config: &Config, request: &Request, fields: &Fields<'_>, at: DateTime<Utc>) -> (NewLead, Oddities) {
    let mut odd = Oddities::default();
    let email = email(fields, &mut odd);
    let phone = odd.optional(fields, "phone", |text| Phone::parse(text, config.phone_region));
    if let Some(warning) = Warning::of_phone(phone.as_ref()) {
        odd.note(warning);
    }
    let transaction_id = transaction_id(fields, &mut odd);
    let mut said = Vec::new();
    let answers = Answers::inside(fields, &mut said);
    let consent = answers.to_ads(&mut said);
    let consent_marketing = answers.boolean("marketing", "consent/marketing", &mut said);
    let consent_data_processing = answers.boolean("data_processing", "consent/data_processing", &mut said);
    odd.refusable(said);
    let pages = Pages::of(fields, at);
    let utm = pages.campaign(utm(fields, &mut odd));
    let clicks = pages.beside(clicks(fields, at, &mut odd));
    let lead = NewLead {
        transaction_id,
        email,
        phone,
        name: odd.fitted(fields, "name", 200),
        message: odd.fitted(fields, "message", 5_000),
        consent_marketing,
        consent_data_processing,
        consent,
        gpc: denies_by_gpc(request, fields),
        visitor_id: cookies::visitor(request),
        cookie: cookies::attribution(request, at),
        body: Attribution { utm, clicks: cookies::clicks(request, at).merged(clicks) },
        site: site(request).or(pages.site),
        session_attributes: odd.parsed(fields, "session_attributes", SessionAttributes::parse),
        spam_signs: spam_signs(fields),
        warnings: Vec::new(),
        source: None,
        at,
    };
    (lead, odd)
}

/// The first of several addresses: a form is of one person.
fn email(fields: &Fields<'_>, odd: &mut Oddities) -> Option<Email> {
    let addresses = odd.parsed(fields, "email", |text| Email::all(text, Carrier::Json))?;
    if addresses.emails.len() > 1 {
        odd.note(Warning { field: "email", detail: "has several addresses: the first one is taken".into() });
    }
    if let Some(warning) = Warning::of_addresses(&addresses) {
        odd.note(warning);
    }
    addresses.emails.into_iter().next()
}

/// The form's own id; one made of it, if it can't be stored as it is, so that a repeated form is still known. A new one
/// where there is none.
fn transaction_id(fields: &Fields<'_>, odd: &mut Oddities) -> String {
    let new = || format!("lead-{}", Uuid::new_v4());
    let Some(text) = odd.text(fields, "transaction_id") else { return new() };
    if is_nothing(&text) {
        odd.left_out("transaction_id", "says that there is none: generate one for every submission", false);
        return new();
    }
    shared_id(&text).unwrap_or_else(|rule| {
        odd.left_out("transaction_id", &format!("{rule}. The answer has another"), true);
        format!("lead-{}", Hash::of(&text).as_str())
    })
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

fn utm(fields: &Fields<'_>, odd: &mut Oddities) -> Utm {
    let mut utm = |name| odd.campaign(fields, name, UTM_LIMIT);
    Utm {
        source: utm("utm_source"),
        medium: utm("utm_medium"),
        campaign: utm("utm_campaign"),
        term: utm("utm_term"),
        content: utm("utm_content"),
    }
}

/// The clicks in the form's own fields, which have no time. The visitor didn't write them, so a wrong one is left out.
fn clicks(fields: &Fields<'_>, at: DateTime<Utc>, odd: &mut Oddities) -> Clicks {
    let refused_if_wrong = networks::ids_of(|network| network.refuses_wrong_ids);
    Clicks::read(at, |parameter| {
        let said = fields.hint(parameter.name, Some)?;
        let is_refused =
            |text: &str| refused_if_wrong.iter().any(|name| name == parameter.name) && ClickId::parse(text).is_err();
        match (said, fields.texts(parameter.name).as_slice()) {
            (Value::String(_), texts) => click(parameter, texts.first()?, is_refused(texts[0]), odd),
            (_, texts) => {
                let found = texts.iter().find_map(|text| parameter.read(text));
                let rule = "must be a text";
                match &found {
                    Some(_) => odd.change(
                        parameter.name,
                        "is the first value of a list or an object that can be used",
                        is_refused(""),
                    ),
                    None => odd.left_out(parameter.name, rule, is_refused("")),
                }
                found
            }
        }
    })
}

fn click(parameter: &Parameter, text: &str, is_refused: bool, odd: &mut Oddities) -> Option<String> {
    let found = parameter.read(text);
    match &found {
        Some(id) if id == text => {}
        Some(_) => odd.change(parameter.name, "is taken without what stands around the id", is_refused),
        None if Page::read(text).is_some_and(|page| page.has_click()) => {
            odd.change(parameter.name, "is the address of a page: the click in it is taken", is_refused);
        }
        None => {
            odd.left_out(
                parameter.name,
                "can't be a value that the network passes, at most 512 characters",
                is_refused,
            );
        }
    }
    found
}

#[cfg(test)]
mod tests;
