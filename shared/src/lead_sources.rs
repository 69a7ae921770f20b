//! Sources of leads besides the website's own form: form builders, Google's lead forms and schedulers, as an operator
//! declares them beside the CRMs, with `kind = "lead"`. What they send becomes the body of `POST /api/leads`, so that
//! there is one way from a form to its lead.

mod answers;
mod body;
mod declared;
mod key;
mod presets;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lambda_http::http::{HeaderValue, header};
use lambda_http::{Body, http};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::attribution::Attribution;
use crate::crm::authentication::{self, Refusal, Sample, Scheme, Signed};
use crate::declarations::{DeclarationProblem, Kind, Problems};
use crate::forms::{self, Form};
use crate::http::body::{Mended, of_people, with_plus_in_email};
use crate::http::{Problem, Request, Warning};
use crate::identity::Hash;
use crate::leads::refusals;
use crate::rate_limits::Callers;
use crate::settings::Settings;
use answers::Answers;
use declared::{DeclaredSource, Texts};
use key::Key;

pub use presets::{names, sample, toml};

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

/// A system that may send leads. Its name is the last part of the URL it posts to.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    /// The authentication schemes of its requests; any one is enough.
    pub schemes: Vec<Scheme>,
    /// Why nothing can prove that it sent something, of a draft.
    pub missing: Option<String>,
    preset: Option<String>,
    key: Option<Key>,
    /// The sender's own id of a lead.
    id: Texts,
    /// A body counts only with these values.
    only: BTreeMap<String, Texts>,
    /// A body with one of these values is none of a person.
    ignore: BTreeMap<String, Texts>,
    /// Where answers are; everywhere, if it doesn't say.
    answers: Texts,
    /// Where the questions of answers are that have only their ids.
    questions: Option<String>,
    fields: BTreeMap<String, Texts>,
}

/// What a body is.
#[derive(Debug)]
pub enum Reading {
    /// A test, or an event that is no lead.
    Ignored,
    /// A lead, and the request that the website's form would have made of it.
    Lead(Box<Form>, Box<Request>),
}

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

impl Source {
    /// Checks a declaration.
    fn new(name: &str, declared: DeclaredSource, secret: &Secrets<'_>, is_draft: bool) -> Result<Self, String> {
        let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(known) {
            let rule =
                "the name of a source is 1 to 40 lower-case letters, digits and hyphens, as it stands in its URL";
            return Err(rule.into());
        }
        let declared = match &declared.preset {
            Some(preset) => {
                let under = presets::declared(preset)?;
                declared.over(under)
            }
            None => declared,
        };
        if declared.auth.as_ref().is_none_or(Vec::is_empty) && declared.key.is_none() {
            return Err(format!(
                "says nowhere how it authenticates: add [[{name}.auth]] with a scheme, such as url = {{ secret = \
                 \"NAME_OF_A_SETTING\" }}"
            ));
        }
        let schemes = declared.auth.iter().flatten().map(|scheme| Scheme::new(scheme, secret));
        let schemes = schemes.collect::<Result<Vec<_>, _>>();
        let key = declared.key.as_ref().map(|key| Key::new(key, secret)).transpose();
        let unproven = Self::unproven(name, declared)?;
        match (schemes, key) {
            (Ok(schemes), Ok(key)) => Ok(Self { schemes, key, ..unproven }),
            (Err(problem), _) | (_, Err(problem)) if is_draft => Ok(Self { missing: Some(problem), ..unproven }),
            (Err(problem), _) | (_, Err(problem)) => Err(problem),
        }
    }

    /// The same without what proves who sent it.
    fn unproven(name: &str, declared: DeclaredSource) -> Result<Self, String> {
        declared.check()?;
        Ok(Self {
            name: name.into(),
            schemes: Vec::new(),
            missing: None,
            preset: declared.preset,
            key: None,
            id: declared.id.unwrap_or_default(),
            only: declared.only.unwrap_or_default(),
            ignore: declared.ignore.unwrap_or_default(),
            answers: declared.answers.unwrap_or_default(),
            questions: declared.questions,
            fields: declared.fields,
        })
    }

    /// Does the request prove that the source sent it?
    ///
    /// # Errors
    /// Why it doesn't.
    pub fn verify(&self, request: &Request, at: DateTime<Utc>) -> Result<(), Refusal> {
        if self.key.is_some() {
            let body = body::read(request.body()).map_err(|_| Refusal::Missing)?;
            return if self.has_key(&body.value) { Ok(()) } else { Err(Refusal::Wrong) };
        }
        authentication::verify(&self.schemes, request, at).map(drop)
    }

    /// Does it write its secret into the body?
    #[must_use]
    pub fn has_key_in_body(&self) -> bool {
        self.key.is_some()
    }

    /// The settings whose secrets are live.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let of_key = self.key.iter().flat_map(|key| key.names.iter().map(String::as_str));
        self.schemes.iter().flat_map(Scheme::secrets).chain(of_key).collect()
    }

    /// Signs a body as the sender would. None if nothing but the body itself proves it.
    #[must_use]
    pub fn sign(&self, sample: &Sample<'_>) -> Option<Signed> {
        self.schemes.iter().find_map(|scheme| scheme.sign(sample))
    }

    /// What a sender must send.
    #[must_use]
    pub fn expects(&self) -> String {
        let key = self.key.as_ref().map(|key| format!("the key of this source in {}", key.at));
        self.schemes.iter().map(Scheme::expects).chain(key).collect::<Vec<_>>().join(", or ")
    }

    fn has_key(&self, body: &Value) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_in(body))
    }

    /// Reads a body that was received at this time.
    ///
    /// # Errors
    /// 400 if it can't be read, or nothing in it says whose lead it is.
    pub fn read(&self, config: &forms::Config, bytes: &[u8], at: DateTime<Utc>) -> Result<Reading, Problem> {
        let Mended { value: body, warnings } = body::read(bytes)?;
        let has = |(at, values): (&String, &Texts)| {
            let found = body.pointer(at).and_then(answers::text);
            found.is_some_and(|found| values.0.iter().any(|value| value.eq_ignore_ascii_case(&found)))
        };
        if self.ignore.iter().any(has) || !self.only.iter().all(has) {
            return Ok(Reading::Ignored);
        }
        let mut answers = Answers::of(&body, &self.answers.0, self.questions.as_deref());
        for (field, pointers) in &self.fields {
            let found = pointers.0.iter().find_map(|pointer| answers::text(body.pointer(pointer)?));
            if let Some(found) = found {
                answers.fields.insert(field.clone(), found);
            }
        }
        if body::is_form(bytes)
            && let Some(email) = answers.fields.get_mut("email")
        {
            *email = with_plus_in_email(std::mem::take(email));
        }
        let request = self.request(&body, bytes, answers.fields, at);
        let mut form = forms::read(config, &request, None, at)?;
        form.lead.source = Some(self.name.clone());
        // The sender is known. Its address has the leads of many people.
        form.callers = Callers::default();
        form.lead.warnings.extend(answers.warnings.into_iter().chain(warnings));
        Ok(Reading::Lead(Box::new(form), Box::new(request)))
    }

    /// The request that the website's form would have made.
    fn request(&self, body: &Value, bytes: &[u8], mut fields: BTreeMap<String, String>, at: DateTime<Utc>) -> Request {
        let page = fields.remove("page").and_then(|page| Url::parse(&page).ok());
        if let Some(page) = &page {
            let seen = Attribution::from_url(page, at);
            let clicks = crate::attribution::networks::NETWORKS.iter().filter_map(|it| seen.clicks.get(it.id));
            for (name, id) in clicks.flat_map(crate::attribution::Click::ids) {
                fields.entry(name.into()).or_insert(id);
            }
            let utm = seen.utm;
            let utm = [
                ("utm_source", utm.source),
                ("utm_medium", utm.medium),
                ("utm_campaign", utm.campaign),
                ("utm_term", utm.term),
                ("utm_content", utm.content),
            ];
            for (name, value) in utm {
                if let Some(value) = value {
                    fields.entry(name.into()).or_insert(value);
                }
            }
        }
        let own = fields.remove("transaction_id").filter(|id| crate::http::body::shared_id(id).is_ok());
        // WPForms counts entries that it doesn't keep as 0.
        let id = self.id.0.iter().find_map(|pointer| answers::text(body.pointer(pointer)?)).filter(|id| id != "0");
        let transaction_id = own.unwrap_or_else(|| self.transaction_id(id.as_deref(), bytes));
        let mut consent = Map::new();
        for purpose in ["ad_user_data", "ad_personalization"] {
            if let Some(said) = fields.remove(purpose) {
                consent.insert(purpose.into(), said.into());
            }
        }
        let mut form: Map<_, _> = fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        form.insert("transaction_id".into(), transaction_id.into());
        if !consent.is_empty() {
            form.insert("consent".into(), consent.into());
        }
        let mut request = http::Request::new(Body::Text(Value::Object(form).to_string()));
        if let Some(page) = page.and_then(|page| HeaderValue::try_from(page.as_str()).ok()) {
            request.headers_mut().insert(header::REFERER, page);
        }
        request
    }

    /// The same for the same lead: of the sender's id, else of the whole body.
    fn transaction_id(&self, id: Option<&str>, bytes: &[u8]) -> String {
        let named = id.map(|id| format!("{}:{id}", self.name));
        named.filter(|id| crate::http::body::shared_id(id).is_ok()).unwrap_or_else(|| {
            let hash = id.map_or_else(|| Hash::of(bytes), Hash::of);
            format!("{}:{}", self.name, &hash.as_str()[..32])
        })
    }
}

#[cfg(test)]
mod tests;
