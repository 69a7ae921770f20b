//! The fields of a body, read one by one. What is wrong with one is collected in the body.

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::Invalid;
use crate::http::problem::FieldError;

/// The fields of an object, which may be absent.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    path: String,
    errors: &'a RefCell<Vec<FieldError>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(object: &'a Map<String, Value>, errors: &'a RefCell<Vec<FieldError>>) -> Self {
        Self { object: Some(object), path: String::new(), errors }
    }

    /// Those of an object that has a place of its own in this one.
    pub(super) fn inside(&self, name: &str, object: Option<&'a Map<String, Value>>) -> Self {
        Self { object, path: format!("{}/{name}", self.path), errors: self.errors }
    }

    /// All of them that say something.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let all = self.object.into_iter().flatten().map(|(name, value)| (name.as_str(), value));
        all.filter(|(_, value)| !value.is_null())
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    /// What its fields are called.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.iter().map(|(name, _)| name)
    }

    /// Reports this field as invalid.
    pub fn refuse(&self, name: &str, detail: impl Into<String>) -> Invalid {
        self.errors.borrow_mut().push(FieldError { pointer: format!("{}/{name}", self.path), detail: detail.into() });
        Invalid
    }

    /// A field that may be absent or null, of any type.
    ///
    /// # Errors
    /// Those of `parse`.
    pub fn optional<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, Invalid> {
        self.get(name).map(|value| parse(value).map_err(|detail| self.refuse(name, detail))).transpose()
    }

    /// A field that the tag adds of itself: what can't be read is as if it weren't there.
    pub fn hint<T>(&self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        self.get(name).and_then(read)
    }

    /// The texts of a field that may be a list, or objects with the value in them, without empty ones.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        let several = match self.get(name) {
            Some(Value::Array(several)) => several.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let texts = several.iter().filter_map(|it| value_in(name, it).as_str()).map(|text| text.trim_matches(is_space));
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// A text that may be absent, null or empty. What isn't a text is not reported.
    ///
    /// # Errors
    /// If it is not a text.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, &'static str> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or("must be a text")?.trim_matches(is_space);
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A text that may be absent, null or empty: templates of CRMs send an empty text for an unknown value.
    ///
    /// # Errors
    /// If it is not a text, and those of `parse`.
    pub fn optional_text<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Invalid> {
        let text = self.text(name).map_err(|detail| self.refuse(name, detail))?;
        text.map(|text| parse(text).map_err(|detail| self.refuse(name, detail))).transpose()
    }

    /// A required text.
    ///
    /// # Errors
    /// If it is missing, and those of [`Fields::optional_text`].
    pub fn required_text<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Invalid> {
        self.optional_text(name, parse)?.ok_or_else(|| self.refuse(name, "is required"))
    }

    /// The fields of a nested object. Without one there are none.
    #[must_use]
    pub fn inner(&self, name: &str) -> Self {
        let object = self.get(name).and_then(Value::as_object);
        self.inside(name, object)
    }

    /// The fields of a nested object, which may be absent.
    #[must_use]
    pub fn object(&self, name: &str) -> Fields<'a> {
        let object = self.get(name).and_then(|value| {
            if value.is_object() {
                value.as_object()
            } else {
                self.refuse(name, "must be an object");
                None
            }
        });
        self.inside(name, object)
    }
}

/// Where objects have the value of a field, besides under its name.
const VALUE: &[&str] = &["value", "raw_value", "answer", "text", "address", "number", "full"];

/// The value of a field that is an object with it in it, such as `{"value": "jane@example.com"}`; else it as it is.
#[must_use]
pub fn value_in<'v>(field: &str, value: &'v Value) -> &'v Value {
    let inner = value.as_object().and_then(|object| {
        let named = VALUE.iter().chain([&field]).find_map(|name| object.get(*name));
        named.or_else(|| object.values().next().filter(|_| object.len() == 1))
    });
    inner.filter(|inner| !inner.is_object()).unwrap_or(value)
}

/// White space, as far as it may stand in a text at all.
fn is_space(c: char) -> bool {
    c.is_whitespace() && (!c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}
