//! The one reader of JSON that is sent to us.

use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::several::combined;
use crate::http::problem::FieldError;

const MAX_DEPTH: usize = 16;
const KEY_LIMIT: usize = 64;
const NUL: &str = "must not contain U+0000";

/// Reads a text as JSON.
///
/// # Errors
/// When it is no JSON, nests deeper than 16 levels, names a key of an object twice, of which parsers take different
/// ones, or holds U+0000, which Postgres can't store. The text itself is never repeated, keys are ([`escaped`]).
pub fn json(bytes: &[u8]) -> Result<Value, FieldError> {
    read(bytes, None)
}

/// What would have been refused.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// An object named a key twice with different values: they are combined.
    pub is_twice: bool,
    /// It nests too deep: there it is null.
    pub is_deep: bool,
}

/// The same, which with `passed` takes what can be taken.
///
/// # Errors
/// As [`json`].
pub(super) fn read(bytes: &[u8], passed: Option<&mut Passed>) -> Result<Value, FieldError> {
    let mut place = Place { pointer: String::new(), depth: 0, fault: None, passed };
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let read = Element(&mut place).deserialize(&mut text);
    read.and_then(|value| text.end().map(|()| value)).map_err(|error| {
        place.fault.unwrap_or_else(|| {
            // serde_json's message can quote the body; its position can't.
            let (line, column) = (error.line(), error.column());
            let detail = format!("must be JSON in UTF-8; it goes wrong at line {line}, column {column}.");
            FieldError { pointer: String::new(), detail }
        })
    })
}

/// A name as it is written in the JSON Pointer of an error, cut after so many characters: it is repeated to whoever
/// sent it, and may be anything.
#[must_use]
pub fn escaped(name: &str) -> String {
    let (shown, rest) = name.split_at(name.char_indices().nth(KEY_LIMIT).map_or(name.len(), |(at, _)| at));
    let cut = if rest.is_empty() { "" } else { "…" };
    shown.replace('~', "~0").replace('/', "~1") + cut
}

/// Where in the text the reader is.
struct Place<'p> {
    pointer: String,
    depth: usize,
    fault: Option<FieldError>,
    passed: Option<&'p mut Passed>,
}

impl Place<'_> {
    /// Goes into an element and comes out again.
    fn inside<T, E>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&escaped(name));
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        self.pointer.truncate(length);
        Ok(value)
    }

    fn refuse<E: Error>(&mut self, detail: &str) -> E {
        self.fault = Some(FieldError { pointer: self.pointer.clone(), detail: detail.into() });
        E::custom(detail)
    }
}

struct Element<'a, 'p>(&'a mut Place<'p>);

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Value, D::Error> {
        if self.0.depth > MAX_DEPTH {
            if let Some(passed) = &mut self.0.passed {
                passed.is_deep = true;
                return IgnoredAny::deserialize(text).map(|_| Value::Null);
            }
            self.0.pointer.clear();
            return Err(self.0.refuse("must not nest deeper than 16 levels."));
        }
        text.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') { Err(self.0.refuse(NUL)) } else { Ok(value.into()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) =
            self.0.inside(&array.len().to_string(), |place| elements.next_element_seed(Element(place)))?
        {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key.contains('\0') {
                return Err(self.0.refuse(NUL));
            }
            let value = self.0.inside(&key, |place| {
                if object.contains_key(&key) && place.passed.is_none() {
                    return Err(place.refuse("must not be there twice"));
                }
                entries.next_value_seed(Element(place))
            })?;
            let known = object.remove(&key);
            if let (Some(known), Some(passed)) = (&known, &mut self.0.passed) {
                passed.is_twice |= *known != value;
            }
            object.insert(key, combined(known.unwrap_or_default(), value));
        }
        Ok(Value::Object(object))
    }
}
