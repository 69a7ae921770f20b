//! Sources of leads besides the website's own form: form builders, Google's lead forms and schedulers, as an operator
//! declares them beside the CRMs, with `kind = "lead"`. What they send becomes the body of `POST /api/leads`, so that
//! there is one way from a form to its lead.

mod answers;
mod body;
mod declared;
mod fields;
mod key;
mod presets;
mod reading;
mod signing;
mod source;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;

use crate::crm::authentication::Scheme;
use crate::declarations::{DeclarationProblem, Kind, Problems};
use crate::forms;
use crate::http::body::of_people;
use crate::http::{Problem, Warning};
use crate::identity::Hash;
use crate::leads::refusals;
use crate::rate_limits::Callers;
use crate::settings::Settings;
use declared::DeclaredSource;

pub use presets::{names, sample, toml};
pub use reading::Reading;
pub use signing::content_type_of;
pub use source::Source;

/// What `kind` says of a source of leads.
pub const LEAD: &str = "lead";
/// The preset of Google's lead forms, which also come to `POST /api/leads`.
const GOOGLE: &str = "google-lead-form";
/// What only those have.
const GOOGLE_KEY: &str = "google_key";

const KIND: Kind = Kind { noun: "source", repeats_values: true, fix: |_| None };

/// Looks a secret up by the name of its setting.
type Secrets<'a> = dyn Fn(&str) -> Option<SecretString> + 'a;

/// All sources of leads by name.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// Reads those of the operator's declarations that are sources of leads.
    ///
    /// # Errors
    /// For the operator: what is wrong in which line, and the fix.
    pub fn parse(toml: &str, secret: &Secrets<'_>) -> Result<Self, String> {
        Self::read(toml, secret, false)
    }

    /// The same without requiring the secrets, for trying declarations: what lacks is [`Source::missing`].
    ///
    /// # Errors
    /// As [`Sources::parse`].
    pub fn draft(toml: &str, secret: &Secrets<'_>) -> Result<Self, String> {
        Self::read(toml, secret, true)
    }

    fn read(toml: &str, secret: &Secrets<'_>, is_draft: bool) -> Result<Self, String> {
        let mut problems = Problems::of(toml, KIND);
        let mut sources = BTreeMap::new();
        for table in problems.tables() {
            if table.text("kind") != Some(LEAD) {
                continue;
            }
            let name = table.name.clone();
            let here = name.span();
            let source = table.read::<DeclaredSource>().and_then(|declared| {
                let source = Source::new(name.get_ref(), declared, secret, is_draft);
                source.map_err(|what| vec![DeclarationProblem::at(here, what)])
            });
            match source {
                Ok(source) => drop(sources.insert(source.name.clone(), source)),
                Err(found) => problems.add(name.get_ref(), found),
            }
        }
        problems.check()?;
        Ok(Self(sources))
    }

    /// Reads the setting `CRM_SOURCES`.
    ///
    /// # Errors
    /// What is wrong with it, for the operator. The settings aren't refused for it, so that the website's own forms are
    /// taken meanwhile.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        let sources = Self::of_settings(settings, Self::parse)?;
        let mut secrets = sources.0.values().flat_map(|source| &source.schemes).flat_map(Scheme::secrets);
        let weakness = secrets.find_map(|name| settings.weakness_of_secret(name));
        weakness.map_or(Ok(sources), Err)
    }

    /// The same where their secrets may be missing ([`Sources::draft`]).
    pub fn draft_from_settings(settings: &mut Settings) -> Self {
        Self::of_settings(settings, Self::draft).unwrap_or_else(|problem| {
            settings.refuse(problem);
            Self::default()
        })
    }

    fn of_settings(settings: &Settings, parse: fn(&str, &Secrets<'_>) -> Result<Self, String>) -> Result<Self, String> {
        let toml = settings.declarations("CRM_SOURCES");
        let sources = toml.and_then(|toml| parse(&toml, &|name| settings.secret(name)));
        sources.map_err(|problem| format!("CRM_SOURCES {problem}"))
    }

    /// An unchanged preset, as a draft.
    ///
    /// # Errors
    /// The names of all presets.
    pub fn preset(name: &str, secret: &Secrets<'_>) -> Result<Source, String> {
        Source::new(name, presets::declared(name)?, secret, true)
    }

    /// All sources, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.values()
    }

    /// The source of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }

    /// The source that a lead of Google's forms is of that was sent to the website's endpoint: the one whose key it
    /// has, else any that is declared for them. None if there is none: then it is as good as any form that anybody may
    /// send.
    #[must_use]
    pub fn google(&self, lead: &Value) -> Option<&Source> {
        let mut declared = self.0.values().filter(|source| source.preset.as_deref() == Some(GOOGLE));
        declared.clone().find(|source| source.has_key(lead)).or_else(|| declared.next())
    }
}

/// The document, if it is a lead of Google's lead forms.
#[must_use]
pub fn google_lead(bytes: &[u8]) -> Option<Value> {
    // Any form may come here; only these are read twice.
    if !bytes.windows(GOOGLE_KEY.len()).any(|it| it == GOOGLE_KEY.as_bytes()) {
        return None;
    }
    let value = of_people(bytes).ok()?.value;
    (value["user_column_data"].is_array() && value.get(GOOGLE_KEY).is_some()).then_some(value)
}

/// Why a body that proves its sender is refused, as it is counted.
#[must_use]
pub fn why_refused(bytes: &[u8]) -> &'static str {
    if body::read(bytes).is_ok() { refusals::NOBODY } else { refusals::UNREADABLE }
}

/// Reads a lead of Google's forms that nobody declared.
///
/// # Errors
/// As [`Source::read`].
pub fn read_google(
    config: &forms::Config,
    bytes: &[u8],
    address: Option<&Hash>,
    at: DateTime<Utc>,
) -> Result<Reading, Problem> {
    let undeclared = presets::declared(GOOGLE).and_then(|declared| Source::unproven(GOOGLE, declared));
    let source = undeclared.map_err(|_| Problem::internal("the preset of Google's lead forms is broken"))?;
    let mut reading = source.read(config, bytes, at)?;
    if let Reading::Lead(form, _) = &mut reading {
        form.lead.source = None;
        let email = form.lead.email.as_ref().map(crate::identity::Email::hash);
        let callers = config.rate_limit.callers_at(address);
        form.callers = email.iter().fold(callers, Callers::email);
        let detail = "isn't checked: declare a source with preset = \"google-lead-form\", and give Google its URL";
        form.lead.warnings.push(Warning { field: "google_key", detail: detail.into() });
    }
    Ok(reading)
}

#[cfg(test)]
mod tests;
