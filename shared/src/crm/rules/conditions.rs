//! The conditions of a rule.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;

use crate::crm::fields::{DeclaredFields, Nothing, Pointer, Text, is_fetched, scalar};
use crate::texts::fit;

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) enum Subject {
    Stage,
    Status,
    Pipeline,
    At(Pointer),
}

impl TryFrom<String> for Subject {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match &*text {
            "stage" => Ok(Self::Stage),
            "status" => Ok(Self::Status),
            "pipeline" => Ok(Self::Pipeline),
            _ if text.starts_with('/') => Pointer::parse(&text).map(Self::At),
            _ => Err(format!(
                "{text} is no condition: name stage, status, pipeline or a JSON Pointer such as \"/{text}\""
            )),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stage => "stage",
            Self::Status => "status",
            Self::Pipeline => "pipeline",
            Self::At(pointer) => pointer.as_str(),
        })
    }
}

impl Subject {
    fn field<'a>(&self, fields: &'a DeclaredFields) -> Option<&'a Text> {
        match self {
            Self::Stage => fields.stage.as_ref(),
            Self::Status => fields.status.as_ref(),
            Self::Pipeline => fields.pipeline.as_ref(),
            Self::At(_) => None,
        }
    }

    pub fn is_declared(&self, fields: &DeclaredFields) -> bool {
        matches!(self, Self::At(_)) || self.field(fields).is_some()
    }

    /// The pointer to name in an error.
    pub fn pointer<'a>(&'a self, fields: &'a DeclaredFields) -> &'a str {
        match self {
            Self::At(pointer) => pointer.as_str(),
            _ => self.field(fields).map_or("", Text::first),
        }
    }

    pub fn find<'a>(&self, fields: &'a DeclaredFields, item: &'a Value) -> Option<Cow<'a, Value>> {
        match self {
            Self::At(pointer) => pointer.find(item, Nothing::Empty).map(|(_, value)| value),
            _ => self.field(fields)?.find(item).map(|(_, value)| value),
        }
    }

    fn waits(&self, fields: &DeclaredFields, item: &Value) -> bool {
        match self {
            Self::At(pointer) => pointer.is_in_fetched() && !is_fetched(item),
            _ => self.field(fields).is_some_and(|field| field.waits(item)),
        }
    }

    /// Its value in this item, for people.
    pub fn said(&self, fields: &DeclaredFields, item: &Value) -> String {
        match self.find(fields, item).map(|value| (texts(&value), holds(&value))) {
            Some((texts, _)) if !texts.is_empty() => format!("{self} = {}", fit(&texts.join(", "), 60)),
            Some((_, what)) => format!(
                "{self} can't be read: {} holds {what}, where a text or a number is needed",
                self.pointer(fields)
            ),
            None => format!("{self} is absent"),
        }
    }
}

/// A value, or those of an array, as texts.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(elements) => elements.iter().filter_map(scalar).collect(),
        one => scalar(one).into_iter().collect(),
    }
}

/// What a value is that has no text, for people.
fn holds(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "an object",
        Value::Array(elements) if elements.iter().any(Value::is_object) => "an array of objects",
        Value::Array(_) => "an array",
        _ => "no text",
    }
}

/// Does a condition match?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::crm) enum Held {
    Yes,
    /// Unknown until the missing fields are fetched.
    OnceFetched,
    No,
}

/// Conditions that must all match.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::crm) struct Conditions(BTreeMap<Subject, Wanted>);

impl Conditions {
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.0.keys()
    }

    /// The pointers that conditions name themselves.
    pub fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.subjects().filter_map(|subject| match subject {
            Subject::At(pointer) => Some(pointer),
            _ => None,
        })
    }

    /// The values of which one must be present.
    pub fn wanted(&self, subject: &Subject) -> &[String] {
        self.0.get(subject).map_or(&[], |wanted| &wanted.0)
    }

    pub fn hold(&self, fields: &DeclaredFields, item: &Value) -> Held {
        let one = |(subject, wanted): (&Subject, &Wanted)| match subject.find(fields, item) {
            Some(value) if wanted.include(&value) => Held::Yes,
            None if subject.waits(fields, item) => Held::OnceFetched,
            _ => Held::No,
        };
        self.0.iter().map(one).max().unwrap_or(Held::Yes)
    }

    /// The first condition that does not match, for people.
    pub fn failing(&self, fields: &DeclaredFields, item: &Value) -> String {
        let fails = |(subject, wanted): (&Subject, &Wanted)| match subject.find(fields, item) {
            Some(value) if wanted.include(&value) => None,
            _ => Some(format!("only {subject} = {} is processed; {}", either(&wanted.0), subject.said(fields, item))),
        };
        self.0.iter().find_map(fails).unwrap_or_default()
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(subject, wanted): (&Subject, &Wanted)| format!("{subject} = {}", either(&wanted.0));
        let all: Vec<_> = self.0.iter().map(one).collect();
        f.write_str(if all.is_empty() { "always" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// Words as in "a, b or c".
pub(super) fn either(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [several @ .., last] => format!("{} or {last}", several.join(", ")),
    }
}

/// The values of which one must be present.
#[derive(Debug)]
struct Wanted(Vec<String>);

impl Wanted {
    fn include(&self, value: &Value) -> bool {
        texts(value).iter().any(|text| self.0.contains(text))
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, true, false, or an array of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wanted, E> {
                if text.trim().is_empty() {
                    return Err(E::custom("an empty text never matches: it counts as absent"));
                }
                Ok(Wanted(vec![text.trim().into()]))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Wanted, E> {
                Ok(Wanted(vec![number.to_string()]))
            }

            fn visit_bool<E: Error>(self, boolean: bool) -> Result<Wanted, E> {
                Ok(Wanted(vec![boolean.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Wanted, A::Error> {
                let mut all = Vec::new();
                while let Some(Wanted(one)) = array.next_element()? {
                    all.extend(one);
                }
                if all.is_empty() { Err(A::Error::custom("name at least one value")) } else { Ok(Wanted(all)) }
            }
        }
        deserializer.deserialize_any(Values)
    }
}
