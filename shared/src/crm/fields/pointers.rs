//! Fields that are at one pointer or at the first of several.

use std::borrow::Cow;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess};
use serde_json::Value;

use super::path::{Found, under};
use super::shapes::{OneOr, Shapes};
use super::{Nothing, Pointer, is_fetched};

/// One pointer or several; the first that points at a value counts.
#[derive(Debug)]
pub(in crate::crm) struct Pointers {
    each: Vec<Pointer>,
    nothing: Nothing,
}

impl Pointers {
    /// The same, where this is nothing.
    pub fn without(self, nothing: Nothing) -> Self {
        Self { nothing, ..self }
    }

    /// What is as if it weren't there.
    pub fn nothing(&self) -> Nothing {
        self.nothing
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pointer> {
        self.each.iter()
    }

    pub fn first(&self) -> &str {
        self.each[0].as_str()
    }

    /// The values of all the pointers that have one, each with where it is.
    pub fn each<'a>(&self, item: &'a Value) -> impl Iterator<Item = (String, Cow<'a, Value>)> {
        self.each.iter().filter_map(move |pointer| pointer.find(item, self.nothing))
    }

    pub fn find<'a>(&self, item: &'a Value) -> Option<(String, Cow<'a, Value>)> {
        self.each(item).next()
    }

    /// All the values of the first pointer that has any, and the elements of those that are arrays.
    pub fn elements<'a>(&self, item: &'a Value) -> Vec<Found<'a>> {
        let elements = |(at, value): Found<'a>| match value {
            Value::Array(array) => {
                array.iter().enumerate().map(|(place, it)| (under(&at, &place.to_string()), it)).collect()
            }
            _ => vec![(at, value)],
        };
        let of = |pointer: &Pointer| -> Vec<_> {
            let found = pointer.all(item).into_iter().flat_map(elements);
            found.filter(|(_, value)| !self.nothing.includes(value)).collect()
        };
        self.each.iter().map(of).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Could a lookup still provide it?
    pub fn wait(&self, item: &Value) -> bool {
        self.point_at_fetched() && !is_fetched(item) && self.find(item).is_none()
    }

    fn point_at_fetched(&self) -> bool {
        self.each.iter().any(Pointer::is_in_fetched)
    }
}

impl<'de> Deserialize<'de> for Pointers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new("a JSON Pointer or an array of them"))
    }
}

impl Shapes for Pointers {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self { each: vec![Pointer::parse(text)?], nothing: Nothing::default() })
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        let each = Vec::<Pointer>::deserialize(SeqAccessDeserializer::new(array))?;
        if each.is_empty() {
            return Err(A::Error::custom("name at least one JSON Pointer"));
        }
        Ok(Self { each, nothing: Nothing::default() })
    }
}
