//! The one reader of JSON that is sent to us.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::mending::{with_whole_characters, without_nul};
use super::several::combined;
use crate::http::problem::FieldError;
use crate::json_pointer;

pub(super) const MAX_DEPTH: usize = 16;
const KEY_LIMIT: usize = 64;
const NUL: &str = "must not contain U+0000";

/// Reads a text as JSON.
///
/// # Errors
/// When it is no JSON, nests deeper than 16 levels, names a key of an object twice, of which parsers take different
/// ones, or holds U+0000, which Postgres can't store. The text itself is never repeated, keys are ([`escaped`]).
pub fn json(bytes: &[u8]) -> Result<Value, FieldError> {
    let mut place = Place { pointer: String::new(), depth: 0, fault: None, passed: None };
    place.read(bytes)
}

/// Reads a text as JSON and passes over what doesn't make it unreadable: of a key that is there twice the last value
/// counts, what nests deeper is left out, and a character that is none becomes U+FFFD.
///
/// # Errors
/// When it is no JSON.
pub fn json_passing_over(bytes: &[u8]) -> Result<(Value, Vec<Oddity>), FieldError> {
    let mended = with_characters(bytes);
    let passed = Passed { has_replaced: mended.is_some(), ..Passed::default() };
    passing(mended.as_deref().unwrap_or(bytes), passed)
}

/// The same of a text whose characters are mended, but the values of a key that is there twice are combined.
///
/// # Errors
/// As [`json_passing_over`].
pub(super) fn json_combining(bytes: &[u8]) -> Result<(Value, Vec<Oddity>), FieldError> {
    passing(bytes, Passed { combines: true, ..Passed::default() })
}

/// The same of JSON5, which has comments, names without quotation marks and the like.
///
/// # Errors
/// When it is no JSON5.
pub(super) fn json5_combining(text: &str) -> Result<(Value, Vec<Oddity>), json5::Error> {
    json5::from_str::<Combined>(text).map(|Combined(value, oddities)| (value, oddities))
}

struct Combined(Value, Vec<Oddity>);

impl<'de> Deserialize<'de> for Combined {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let passed = Some(Passed { combines: true, ..Passed::default() });
        let mut place = Place { pointer: String::new(), depth: 0, fault: None, passed };
        let value = Element(&mut place).deserialize(text)?;
        Ok(Self(value, place.passed.map(|passed| passed.oddities).unwrap_or_default()))
    }
}

fn passing(bytes: &[u8], passed: Passed) -> Result<(Value, Vec<Oddity>), FieldError> {
    let mut place = Place { pointer: String::new(), depth: 0, fault: None, passed: Some(passed) };
    let value = place.read(bytes)?;
    Ok((value, place.passed.map(|passed| passed.oddities).unwrap_or_default()))
}

/// What was passed over, and the JSON Pointer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    pub pointer: String,
    pub kind: OddityKind,
}

/// What can be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddityKind {
    /// The key was there before, with another value.
    Twice,
    /// A character of it is none that can be read or stored.
    Character,
    /// It nests too deep.
    Deep,
}

/// With U+FFFD in place of what is no UTF-8, of half a surrogate pair and of U+0000; none if there is nothing of that.
fn with_characters(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let whole = with_whole_characters(text.as_bytes());
    let mended = without_nul(&whole);
    (*mended != *bytes).then(|| mended.into_owned())
}

/// A name as it is written in the JSON Pointer of an error, cut after so many characters: it is repeated to whoever
/// sent it, and may be anything.
#[must_use]
pub fn escaped(name: &str) -> String {
    let (shown, rest) = name.split_at(name.char_indices().nth(KEY_LIMIT).map_or(name.len(), |(at, _)| at));
    let cut = if rest.is_empty() { "" } else { "…" };
    json_pointer::escaped(shown) + cut
}

/// Where in the text the reader is.
struct Place {
    pointer: String,
    depth: usize,
    fault: Option<FieldError>,
    /// None if nothing is passed over.
    passed: Option<Passed>,
}

/// What is passed over, and was so far.
#[derive(Default)]
struct Passed {
    /// Were characters of the text replaced?
    has_replaced: bool,
    /// Are the values of a key that is there twice combined? Else the last one counts.
    combines: bool,
    oddities: Vec<Oddity>,
}

impl Place {
    fn read(&mut self, bytes: &[u8]) -> Result<Value, FieldError> {
        let mut text = serde_json::Deserializer::from_slice(bytes);
        let read = Element(self).deserialize(&mut text);
        read.and_then(|value| text.end().map(|()| value)).map_err(|error| {
            self.fault.take().unwrap_or_else(|| {
                // serde_json's message can quote the body; its position can't.
                let (line, column) = (error.line(), error.column());
                let detail = format!("must be JSON in UTF-8; it goes wrong at line {line}, column {column}.");
                FieldError { pointer: String::new(), detail }
            })
        })
    }

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

    /// Passes over this, or refuses it.
    fn pass<E: Error>(&mut self, kind: OddityKind, refusal: &str) -> Result<(), E> {
        match &mut self.passed {
            Some(passed) => {
                passed.oddities.push(Oddity { pointer: self.pointer.clone(), kind });
                Ok(())
            }
            None => Err(self.refuse(refusal)),
        }
    }

    /// Looks for characters that can't be stored, or that were replaced because of that.
    fn check<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let is_odd = match &self.passed {
            Some(passed) => passed.has_replaced && text.contains(char::REPLACEMENT_CHARACTER),
            None => text.contains('\0'),
        };
        if is_odd { self.pass(OddityKind::Character, NUL) } else { Ok(()) }
    }

    fn refuse<E: Error>(&mut self, detail: &str) -> E {
        self.fault = Some(FieldError { pointer: self.pointer.clone(), detail: detail.into() });
        E::custom(detail)
    }
}

struct Element<'a>(&'a mut Place);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Value, D::Error> {
        if self.0.depth > MAX_DEPTH {
            if self.0.passed.is_none() {
                self.0.pointer.clear();
            }
            self.0.pass(OddityKind::Deep, "must not nest deeper than 16 levels.")?;
            IgnoredAny::deserialize(text)?;
            return Ok(Value::Null);
        }
        text.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
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
        self.0.check(value)?;
        // Of JSON it was replaced before.
        Ok(value.replace('\0', "\u{fffd}").into())
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
            self.0.check(&key)?;
            self.0.inside(&key, |place| {
                if object.contains_key(&key) && place.passed.is_none() {
                    return Err(place.refuse("must not be there twice"));
                }
                let value = entries.next_value_seed(Element(place))?;
                let known = object.remove(&key);
                if known.as_ref().is_some_and(|known| *known != value) {
                    place.pass(OddityKind::Twice, "")?;
                }
                let combines = place.passed.as_ref().is_some_and(|passed| passed.combines);
                let value = match known {
                    Some(known) if combines => combined(known, value),
                    _ => value,
                };
                object.insert(key.clone(), value);
                Ok(())
            })?;
        }
        Ok(Value::Object(object))
    }
}
