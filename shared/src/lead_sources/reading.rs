//! From what a source sent to the request that the website's form would have made of it.

use chrono::{DateTime, Utc};
use lambda_http::{Body, http};
use serde_json::{Map, Value};

use super::declared::Texts;
use super::fields::{Declared, PURPOSES, Recognized, recognized};
use super::source::Source;
use super::{answers, body};
use crate::forms::{self, Form};
use crate::http::body::{Mended, shared_id, with_plus_in_email};
use crate::http::{Problem, Request};
use crate::identity::{Carrier, Hash};
use crate::rate_limits::Callers;

/// What a body is.
#[derive(Debug)]
pub enum Reading {
    /// A test, or an event that is no lead.
    Ignored,
    /// A lead, and the request that the website's form would have made of it.
    Lead(Box<Form>, Box<Request>),
}

impl Source {
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
        let is_form = body::is_form(bytes);
        let found = answers::of(&body, &self.answers.0, self.questions.as_deref());
        let said = |pointers: &Texts| pointers.0.iter().filter_map(|it| body.pointer(it)).map(answers::texts).collect();
        let declared: Declared = self.fields.iter().map(|(field, it)| (field.clone(), said(it))).collect();
        let carrier = if is_form { Carrier::Form } else { Carrier::Json };
        let mut recognized = recognized(&found, &declared, carrier);
        if is_form && let Some(email) = recognized.fields.get_mut("email") {
            *email = with_plus_in_email(std::mem::take(email));
        }
        let warned = std::mem::take(&mut recognized.warnings).into_iter().chain(warnings);
        let request = self.request(&body, bytes, recognized);
        let mut form = forms::read(config, &request, None, at)?;
        form.lead.source = Some(self.name.clone());
        // The sender is known. Its address has the leads of many people.
        form.callers = Callers::default();
        form.lead.warnings.extend(warned);
        Ok(Reading::Lead(Box::new(form), Box::new(request)))
    }

    /// The request that the website's form would have made.
    fn request(&self, body: &Value, bytes: &[u8], said: Recognized) -> Request {
        let Recognized { mut fields, pages, referrers, .. } = said;
        let own = fields.remove("transaction_id").filter(|id| shared_id(id).is_ok());
        // WPForms counts entries that it doesn't keep as 0.
        let id = self.id.0.iter().find_map(|pointer| answers::text(body.pointer(pointer)?)).filter(|id| id != "0");
        let transaction_id = own.unwrap_or_else(|| self.transaction_id(id.as_deref(), bytes));
        let mut consent = Map::new();
        for purpose in PURPOSES {
            if let Some(said) = fields.remove(*purpose) {
                consent.insert((*purpose).to_owned(), Value::from(said));
            }
        }
        let mut form: Map<_, _> = fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        form.insert("transaction_id".into(), transaction_id.into());
        if !consent.is_empty() {
            form.insert("consent".into(), consent.into());
        }
        for (name, pages) in [("page_url", pages), ("referrer", referrers)] {
            if !pages.is_empty() {
                form.insert(name.into(), pages.into());
            }
        }
        http::Request::new(Body::Text(Value::Object(form).to_string()))
    }

    /// The same for the same lead: of the sender's id, else of the whole body.
    fn transaction_id(&self, id: Option<&str>, bytes: &[u8]) -> String {
        let named = id.map(|id| format!("{}:{id}", self.name));
        named.filter(|id| shared_id(id).is_ok()).unwrap_or_else(|| {
            let hash = id.map_or_else(|| Hash::of(bytes), Hash::of);
            format!("{}:{}", self.name, &hash.as_str()[..32])
        })
    }
}
