//! A source of leads as it is declared.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::fields::FIELDS;
use crate::attribution::networks;
use crate::crm::authentication::DeclaredScheme;
use crate::crm::check_json_pointer;

/// The table of a source of leads.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [landing]")]
pub(super) struct DeclaredSource {
    /// It is known when this is read.
    kind: String,
    pub preset: Option<String>,
    pub auth: Option<Vec<DeclaredScheme>>,
    pub key: Option<DeclaredKey>,
    pub id: Option<Texts>,
    pub only: Option<BTreeMap<String, Texts>>,
    pub ignore: Option<BTreeMap<String, Texts>>,
    pub answers: Option<Texts>,
    pub questions: Option<String>,
    #[serde(default)]
    pub fields: BTreeMap<String, Texts>,
}

/// A secret in the body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredKey {
    /// Where it is.
    pub at: String,
    /// The setting that holds it.
    pub secret: String,
}

/// One text or several.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text, true or false, or an array of texts")]
        enum Written {
            One(String),
            Said(bool),
            Several(Vec<String>),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::One(text) => vec![text],
            Written::Said(said) => vec![said.to_string()],
            Written::Several(texts) => texts,
        }))
    }
}

impl DeclaredSource {
    /// This table; keys that are absent are taken from the other. Whoever says how it authenticates says all of it.
    pub fn over(self, other: Self) -> Self {
        let is_proven = self.auth.is_some() || self.key.is_some();
        let mut fields = other.fields;
        fields.extend(self.fields);
        Self {
            kind: self.kind,
            preset: self.preset,
            auth: if is_proven { self.auth } else { other.auth },
            key: if is_proven { self.key } else { other.key },
            id: self.id.or(other.id),
            only: self.only.or(other.only),
            ignore: self.ignore.or(other.ignore),
            answers: self.answers.or(other.answers),
            questions: self.questions.or(other.questions),
            fields,
        }
    }

    /// # Errors
    /// A field that no lead has, or what is no JSON Pointer, and the fix.
    pub fn check(&self) -> Result<(), String> {
        let clicks = networks::of_a_click();
        if let Some(other) =
            self.fields.keys().find(|field| !FIELDS.contains(&field.as_str()) && !clicks.contains(*field))
        {
            let known = FIELDS.iter().copied().chain(clicks.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
            return Err(format!("has a field {other} that no lead has: it is one of {known}"));
        }
        let texts = self.fields.values().chain(&self.id).chain(&self.answers).flat_map(|texts| &texts.0);
        let conditions = self.only.iter().chain(&self.ignore).flat_map(BTreeMap::keys);
        let mut all = texts.chain(conditions).chain(&self.questions).chain(self.key.iter().map(|key| &key.at));
        all.try_for_each(|pointer| check_json_pointer(pointer))
    }
}
