//! Pointers into what a CRM sends.

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess};
use serde_json::Value;

use super::shapes::{OneOr, Shapes};

/// Where an item holds what was fetched from the CRM.
const FETCHED: &str = "/fetched";

/// A JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) struct Pointer(String);

impl Pointer {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tildes = text.split('~').skip(1);
        if !text.is_empty() && !text.starts_with('/') {
            Err(format!("a JSON Pointer begins with /: write \"/{text}\""))
        } else if !tildes.all(|rest| rest.starts_with(['0', '1'])) {
            Err("a ~ in a JSON Pointer is written ~0, and a / in a name ~1".into())
        } else {
            Ok(Self(text.into()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_in_fetched(&self) -> bool {
        self.0.strip_prefix(FETCHED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What it points at. Null, an empty text and an empty array count as absent: CRMs' templates send them for that.
    pub fn find<'a>(&self, item: &'a Value) -> Option<&'a Value> {
        item.pointer(&self.0).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            Value::Array(elements) => !elements.is_empty(),
            _ => true,
        })
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// One pointer or several; the first that points at a value counts.
#[derive(Debug)]
pub(in crate::crm) struct Pointers(Vec<Pointer>);

impl Pointers {
    pub fn iter(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter()
    }

    pub fn first(&self) -> &str {
        self.0[0].as_str()
    }

    pub fn find<'a>(&self, item: &'a Value) -> Option<(&str, &'a Value)> {
        self.0.iter().find_map(|pointer| Some((pointer.as_str(), pointer.find(item)?)))
    }

    /// The same where a CRM sends `false` for an empty field.
    pub fn find_unless_false<'a>(&self, item: &'a Value) -> Option<(&str, &'a Value)> {
        let mut values = self.0.iter().filter_map(|pointer| Some((pointer.as_str(), pointer.find(item)?)));
        values.find(|(_, value)| **value != Value::Bool(false))
    }

    /// Could a lookup still provide it?
    pub fn wait(&self, item: &Value) -> bool {
        self.point_at_fetched() && !is_fetched(item) && self.find(item).is_none()
    }

    pub fn point_at_fetched(&self) -> bool {
        self.0.iter().any(Pointer::is_in_fetched)
    }
}

/// Has the lookup been done?
pub(in crate::crm) fn is_fetched(item: &Value) -> bool {
    item.pointer(FETCHED).is_some()
}

impl<'de> Deserialize<'de> for Pointers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new("a JSON Pointer or an array of them"))
    }
}

impl Shapes for Pointers {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self(vec![Pointer::parse(text)?]))
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        let pointers = Vec::<Pointer>::deserialize(SeqAccessDeserializer::new(array))?;
        if pointers.is_empty() { Err(A::Error::custom("name at least one JSON Pointer")) } else { Ok(Self(pointers)) }
    }
}
