//! A declared source: what proves that it sent something, and where it puts what.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::declared::{DeclaredSource, Texts};
use super::key::Key;
use super::{Secrets, body, presets};
use crate::crm::authentication::{self, Refusal, Sample, Scheme, Signed};
use crate::http::Request;

/// A system that may send leads. Its name is the last part of the URL it posts to.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    /// The authentication schemes of its requests; any one is enough.
    pub schemes: Vec<Scheme>,
    /// Why nothing can prove that it sent something, of a draft.
    pub missing: Option<String>,
    pub(super) preset: Option<String>,
    pub(super) key: Option<Key>,
    /// The sender's own id of a lead.
    pub(super) id: Texts,
    /// A body counts only with these values.
    pub(super) only: BTreeMap<String, Texts>,
    /// A body with one of these values is none of a person.
    pub(super) ignore: BTreeMap<String, Texts>,
    /// Where answers are; everywhere, if it doesn't say.
    pub(super) answers: Texts,
    /// Where the questions of answers are that have only their ids.
    pub(super) questions: Option<String>,
    pub(super) fields: BTreeMap<String, Texts>,
}

impl Source {
    /// Checks a declaration.
    pub(super) fn new(
        name: &str,
        declared: DeclaredSource,
        secret: &Secrets<'_>,
        is_draft: bool,
    ) -> Result<Self, String> {
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
    pub(super) fn unproven(name: &str, declared: DeclaredSource) -> Result<Self, String> {
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

    pub(super) fn has_key(&self, body: &Value) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_in(body))
    }
}
