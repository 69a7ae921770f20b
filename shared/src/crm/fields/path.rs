//! Pointers into what a CRM sends: JSON Pointers (RFC 6901) that also choose among the elements of a list.

mod mistakes;

use std::borrow::Cow;

use serde_json::Value;

use super::{Nothing, scalar};
use crate::json_pointer;

/// Where an item holds what was fetched from the CRM.
const FETCHED: &str = "/fetched";

/// A value, and the JSON Pointer to it.
pub(in crate::crm) type Found<'a> = (String, &'a Value);

/// A pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) struct Pointer {
    text: String,
    steps: Vec<Step>,
}

/// From a value to those in it. A name of the object itself goes first, so that each is still a JSON Pointer to what is
/// called so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The value of this name, or of this place in an array.
    Name(String),
    /// `*`: every element of an array, or of an object.
    All,
    /// `fields[name=x]`: of the list `fields` the elements whose `name` is x.
    Choice { literal: String, list: String, key: String, is: String },
}

impl Pointer {
    /// # Errors
    /// If it is no pointer, or one that never finds anything, and the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tildes = text.split('~').skip(1);
        if !text.is_empty() && !text.starts_with('/') {
            Err(format!("a JSON Pointer begins with /: write \"/{text}\""))
        } else if !tildes.all(|rest| rest.starts_with(['0', '1'])) {
            Err("a ~ in a JSON Pointer is written ~0, and a / in a name ~1".into())
        } else {
            let steps: Result<_, String> = text.split('/').skip(1).map(Step::parse).collect();
            Ok(Self { text: text.into(), steps: steps.map_err(|what| format!("{text} {what}"))? })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it should be where it has a name as forms have, and JSON is read.
    pub fn in_json(&self) -> Option<String> {
        let plain = |step: (&Step, &str)| step.0.of_form().unwrap_or_else(|| format!("/{}", step.1));
        let is_any = self.steps.iter().any(|step| step.of_form().is_some());
        is_any.then(|| self.steps.iter().zip(self.text.split('/').skip(1)).map(plain).collect())
    }

    pub fn is_in_fetched(&self) -> bool {
        self.text.strip_prefix(FETCHED).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
    }

    /// The name that it begins with.
    pub fn root(&self) -> Option<String> {
        json_pointer::names(&self.text).next()
    }

    /// Everything it points at, in its order.
    pub fn all<'a>(&self, item: &'a Value) -> Vec<Found<'a>> {
        let mut found = vec![(String::new(), item)];
        for step in &self.steps {
            found = found.iter().flat_map(|(at, value)| step.from(at, value)).collect();
        }
        found
    }

    /// The value it points at, unless that is nothing. Of several that differ it is an array: what must be one value
    /// can't be any of them.
    pub fn find<'a>(&self, item: &'a Value, nothing: Nothing) -> Option<(String, Cow<'a, Value>)> {
        let mut found = self.all(item);
        found.retain(|(_, value)| !nothing.includes(value));
        let first = found.first()?.1;
        if found.iter().all(|(_, value)| *value == first) {
            let (at, value) = found.swap_remove(0);
            return Some((at, Cow::Borrowed(value)));
        }
        let flat = found.into_iter().flat_map(|(_, value)| match value {
            Value::Array(elements) => elements.clone(),
            one => vec![one.clone()],
        });
        Some((self.text.clone(), Cow::Owned(flat.collect())))
    }
}

/// Checks a JSON Pointer that can't choose among elements.
///
/// # Errors
/// What is wrong with it, and the fix.
pub(crate) fn check_json_pointer(text: &str) -> Result<(), String> {
    let pointer = Pointer::parse(text)?;
    if pointer.steps.iter().all(|step| matches!(step, Step::Name(_))) {
        return Ok(());
    }
    Err(format!(
        "{text} chooses among elements, which sources of leads can't: name one place, such as /answers/0/email"
    ))
}

impl Step {
    fn parse(segment: &str) -> Result<Self, String> {
        let name = json_pointer::unescaped(segment);
        mistakes::check(&name)?;
        if name == "*" {
            return Ok(Self::All);
        }
        let choice = name.split_once('[').and_then(|(list, rest)| {
            let (key, is) = rest.strip_suffix(']')?.split_once('=')?;
            let is = is.trim();
            let is = is.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(is);
            let is_key = !key.trim().is_empty() && !key.contains(['[', ']']);
            is_key.then(|| (list.to_owned(), key.trim().to_owned(), is.to_owned()))
        });
        Ok(match choice {
            Some((list, key, is)) => Self::Choice { literal: name, list, key, is },
            None => Self::Name(name),
        })
    }

    fn from<'a>(&self, at: &str, value: &'a Value) -> Vec<Found<'a>> {
        match self {
            Self::Name(name) => child(at, value, name).into_iter().collect(),
            Self::All => child(at, value, "*").map_or_else(|| elements(at, value), |it| vec![it]),
            Self::Choice { literal, list, key, is } => {
                if let Some(called_so) = child(at, value, literal) {
                    return vec![called_so];
                }
                let of = if list.is_empty() { Some((at.to_owned(), value)) } else { child(at, value, list) };
                let mut chosen = of.map(|(at, value)| elements(&at, value)).unwrap_or_default();
                chosen.retain(|(_, element)| element.get(key).and_then(scalar).is_some_and(|it| it == *is));
                chosen
            }
        }
    }
}

fn child<'a>(at: &str, value: &'a Value, name: &str) -> Option<Found<'a>> {
    let child = match value {
        Value::Object(object) => object.get(name),
        Value::Array(array) => place(name).and_then(|place| array.get(place)),
        _ => None,
    };
    child.map(|child| (under(at, name), child))
}

/// A place in an array has no leading zeros.
fn place(name: &str) -> Option<usize> {
    let is_place = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    is_place.then(|| name.parse().ok())?
}

fn elements<'a>(at: &str, value: &'a Value) -> Vec<Found<'a>> {
    match value {
        Value::Array(array) => {
            array.iter().enumerate().map(|(place, it)| (under(at, &place.to_string()), it)).collect()
        }
        Value::Object(object) => object.iter().map(|(name, it)| (under(at, name), it)).collect(),
        _ => Vec::new(),
    }
}

/// The pointer to what is called so in what is there.
pub(in crate::crm) fn under(at: &str, name: &str) -> String {
    format!("{at}/{}", json_pointer::escaped(name))
}

/// Has the lookup been done?
pub(in crate::crm) fn is_fetched(item: &Value) -> bool {
    item.get("fetched").is_some()
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests;
