//! The body of a webhook, as items that are read one by one.

mod form;

use serde::Deserialize;
use serde_json::Value;

use super::fields::Pointer;
use crate::http::body::{Mended, json, of_people, with_escaped_breaks, without_mark};
use crate::http::problem::FieldError;

/// HubSpot sends up to 100 at once, a nightly job the deals of a day.
const MAX_ITEMS: usize = 1000;

/// The format of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyEncoding {
    #[default]
    Json,
    /// application/x-www-form-urlencoded; all its fields are texts.
    Form,
}

/// One item of a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The JSON Pointer to it; empty if it is the body itself.
    pub at: String,
    pub value: Value,
}

/// A body in parts.
#[derive(Debug)]
pub struct Items {
    pub items: Vec<Item>,
    /// Had the text to be mended before it could be read?
    pub is_mended: bool,
}

/// The items of a body: those of the array that `items` points at, or the body itself.
pub(super) fn items(
    body: &[u8],
    encoding: BodyEncoding,
    items: Option<&Pointer>,
    is_strict: bool,
) -> Result<Items, FieldError> {
    let body = without_mark(body);
    let (value, is_mended) = match encoding {
        BodyEncoding::Json if is_strict => (json(body)?, false),
        BodyEncoding::Json => mended_json(body)?,
        BodyEncoding::Form => (form::read(body)?, false),
    };
    let items = match items {
        None if value.is_object() => vec![Item { at: String::new(), value }],
        None => return Err(refusal("", "must be a JSON object.")),
        Some(pointer) => listed(pointer, &value)?,
    };
    Ok(Items { items, is_mended })
}

/// The JSON, and whether its text had to be mended before it could be read.
fn mended_json(text: &[u8]) -> Result<(Value, bool), FieldError> {
    match (json(text), with_escaped_breaks(text)) {
        (Err(_), Some(mended)) => Ok((json(&mended)?, true)),
        (read, _) => Ok((read?, false)),
    }
}

/// A body of people's answers: JSON if it looks like that, else a form. Whatever can be read of it is.
pub(crate) fn answers(body: &[u8]) -> Result<Mended, FieldError> {
    let body = without_mark(body);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => of_people(body),
        Some(_) if body.contains(&b'=') => Ok(form::read_all(body)),
        _ => Err(refusal("", "must be a JSON object or a form.")),
    }
}

/// The elements of every list that it points at.
fn listed(pointer: &Pointer, value: &Value) -> Result<Vec<Item>, FieldError> {
    let lists = pointer.all(value);
    let (first, _) = lists.first().ok_or_else(|| refusal(pointer.as_str(), "is required"))?;
    let mut listed = Vec::new();
    for (at, list) in &lists {
        listed.extend(elements(at, list)?);
    }
    match listed.len() {
        0 => Err(refusal(first, "must not be an empty array")),
        1..=MAX_ITEMS => Ok(listed),
        _ => Err(refusal(first, &format!("must have at most {MAX_ITEMS} items"))),
    }
}

fn elements(at: &str, list: &Value) -> Result<Vec<Item>, FieldError> {
    let elements: Vec<(String, &Value)> = match list {
        Value::Array(array) => array.iter().enumerate().map(|(place, it)| (place.to_string(), it)).collect(),
        // A form whose numbers have gaps.
        Value::Object(object) if form::numbers_its(object) => {
            let mut numbered: Vec<_> = object.iter().collect();
            numbered.sort_by_key(|(number, _)| number.parse::<u64>().unwrap_or(u64::MAX));
            numbered.into_iter().map(|(number, it)| (number.clone(), it)).collect()
        }
        _ => return Err(refusal(at, "must be an array of objects")),
    };
    let item = |(name, value): (String, &Value)| {
        let at = format!("{at}/{name}");
        if value.is_object() { Ok(Item { at, value: value.clone() }) } else { Err(refusal(&at, "must be an object")) }
    };
    elements.into_iter().map(item).collect()
}

fn refusal(pointer: &str, detail: &str) -> FieldError {
    FieldError { pointer: pointer.into(), detail: detail.into() }
}

#[cfg(test)]
mod tests;
