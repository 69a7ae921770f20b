//! The body of a webhook, as items that are read one by one.

mod form;
mod oddities;

use serde::Deserialize;
use serde_json::Value;

use super::fields::Pointer;
use crate::encoding::{pairs, text_of};
use crate::http::Warning;
use crate::http::body::{
    Mended, Oddity, OddityKind, Shape, json, json_passing_over, lines, of_people, with_escaped_breaks, without_mark,
};
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
    /// Why it can't be read as an item.
    pub fault: Option<&'static str>,
    /// What was passed over or mended to read it.
    pub warnings: Vec<Warning>,
    /// Were characters of it replaced, so that a text with U+FFFD isn't what was sent?
    pub has_replaced: bool,
}

impl Item {
    fn of(at: String, value: Value) -> Self {
        let fault = (!value.is_object()).then_some("must be an object");
        Self { at, value, fault, warnings: Vec::new(), has_replaced: false }
    }

    fn unreadable(at: String, value: &Value) -> Self {
        Self { fault: Some("must be an array of objects"), ..Self::of(at, value.clone()) }
    }

    fn has(&self, oddity: &Oddity) -> bool {
        oddity.pointer.strip_prefix(&self.at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn with_oddities(mut self, oddities: &[&Oddity]) -> Self {
        self.has_replaced = oddities.iter().any(|it| it.kind == OddityKind::Character);
        self.warnings.extend(oddities::warnings(oddities));
        self
    }
}

/// A body as it was read, with what was passed over.
struct Read {
    value: Value,
    oddities: Vec<Oddity>,
    /// Had the text to be mended before it could be read?
    is_mended: bool,
}

/// The items of a body: those of the array that `items` points at, or the body itself. One that is no object is there
/// with its fault.
pub(super) fn items(
    body: &[u8],
    encoding: BodyEncoding,
    items: Option<&Pointer>,
    is_strict: bool,
) -> Result<Vec<Item>, FieldError> {
    let body = without_mark(body);
    let Read { value, oddities, is_mended } = match encoding {
        BodyEncoding::Json if is_strict => Read { value: json(body)?, oddities: Vec::new(), is_mended: false },
        BodyEncoding::Json => passing_over(body)?,
        BodyEncoding::Form => form::read(body, is_strict)?,
    };
    let mut items = match items {
        None if value.is_object() => vec![Item::of(String::new(), value)],
        None => return Err(refusal("", "must be a JSON object.")),
        Some(pointer) => listed(pointer, &value)?,
    };
    if !oddities.is_empty() {
        items = with_oddities(items, &oddities);
    }
    if is_mended {
        for item in &mut items {
            item.warnings.push(Warning::of_mended_body());
        }
    }
    Ok(items)
}

fn passing_over(body: &[u8]) -> Result<Read, FieldError> {
    let (read, is_mended) = match (json_passing_over(body), with_escaped_breaks(body)) {
        (Err(_), Some(mended)) => (json_passing_over(&mended)?, true),
        (read, _) => (read?, false),
    };
    let (value, oddities) = read;
    Ok(Read { value, oddities, is_mended })
}

/// A body of people's answers, whatever it is written as. Whatever can be read of it is.
pub(crate) fn answers(body: &[u8]) -> Result<Mended, FieldError> {
    let text = text_of(body);
    match Shape::of(&text) {
        Shape::Json => of_people(body),
        Shape::Form => Ok(form::read_all(pairs(text.as_bytes()))),
        Shape::Lines => Ok(form::read_all(lines(&text))),
        Shape::Multipart | Shape::Other => Err(refusal("", "must be a JSON object or a form.")),
    }
}

/// The items with what was passed over in them. What is in none is told with the first.
fn with_oddities(items: Vec<Item>, oddities: &[Oddity]) -> Vec<Item> {
    let (inside, outside): (Vec<_>, Vec<_>) =
        oddities.iter().partition(|oddity| items.iter().any(|item| item.has(oddity)));
    let mut outside = outside.into_iter();
    let told = |item: Item| {
        let of_item = inside.iter().copied().filter(|oddity| item.has(oddity));
        let all: Vec<_> = of_item.chain(outside.by_ref()).collect();
        item.with_oddities(&all)
    };
    items.into_iter().map(told).collect()
}

/// The elements of every list that it points at. Of several lists each stands alone.
fn listed(pointer: &Pointer, value: &Value) -> Result<Vec<Item>, FieldError> {
    let lists = pointer.all(value);
    let Some((first, _)) = lists.first() else { return Err(not_listed(pointer, value)) };
    let elements: Vec<_> = lists.iter().map(|(at, list)| elements(at, list)).collect();
    if elements.iter().all(Option::is_none) {
        return Err(not_a_list(first, lists[0].1));
    }
    let mut listed = Vec::new();
    for (elements, (at, list)) in elements.into_iter().zip(&lists) {
        listed.extend(elements.unwrap_or_else(|| vec![Item::unreadable(at.clone(), list)]));
    }
    match listed.len() {
        0 => Err(refusal(first, "must not be an empty array")),
        1..=MAX_ITEMS => Ok(listed),
        _ => Err(refusal(first, &format!("must have at most {MAX_ITEMS} items"))),
    }
}

fn elements(at: &str, list: &Value) -> Option<Vec<Item>> {
    let elements: Vec<(String, &Value)> = match list {
        Value::Array(array) => array.iter().enumerate().map(|(place, it)| (place.to_string(), it)).collect(),
        // A form whose numbers have gaps.
        Value::Object(object) if form::numbers_its(object) => {
            let mut numbered: Vec<_> = object.iter().collect();
            numbered.sort_by_key(|(number, _)| number.parse::<u64>().unwrap_or(u64::MAX));
            numbered.into_iter().map(|(number, it)| (number.clone(), it)).collect()
        }
        _ => return None,
    };
    Some(elements.into_iter().map(|(name, it)| Item::of(format!("{at}/{name}"), it.clone())).collect())
}

/// The body has nothing where its items should be.
fn not_listed(pointer: &Pointer, value: &Value) -> FieldError {
    let detail = if value.is_object() || value.is_array() {
        "is required: the declaration's items points at it, and it must be an array of objects"
    } else {
        "is required, in a JSON object"
    };
    refusal(pointer.as_str(), detail)
}

/// There is something else than a list of items.
fn not_a_list(at: &str, value: &Value) -> FieldError {
    let found = match value {
        Value::Object(_) => "an object",
        Value::String(_) => "a text",
        Value::Null => "null",
        _ => "another value",
    };
    let what = if at.is_empty() { "the body" } else { "it" };
    refusal(
        at,
        &format!("must be an array of objects, as this source sends several events at once, but {what} is {found}"),
    )
}

fn refusal(pointer: &str, detail: &str) -> FieldError {
    FieldError { pointer: pointer.into(), detail: detail.into() }
}

#[cfg(test)]
mod tests;
