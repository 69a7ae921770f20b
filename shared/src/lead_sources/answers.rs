//! The answers in a body: each form builder puts them, and the questions they answer, elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::absent::is_nothing;
use crate::identity::number_as_text;

/// Levels of objects that are searched where no place is declared.
const DEPTH: usize = 4;

/// An answer, and all that it is called.
pub(super) struct Answer {
    pub names: Vec<String>,
    /// Its type, as the form builder calls it.
    pub kind: String,
    /// What it says: several of boxes to tick, and of a name that comes again.
    pub values: Vec<String>,
}

/// Those of a body: of what these pointers point at, else of all of it.
pub(super) fn of(body: &Value, places: &[String], questions: Option<&str>) -> Vec<Answer> {
    let titles = questions.and_then(|questions| body.pointer(questions)).map(titles).unwrap_or_default();
    let mut found = Vec::new();
    if places.is_empty() {
        collect(body, &titles, DEPTH, &mut found);
    }
    for place in places.iter().filter_map(|place| body.pointer(place)) {
        collect(place, &titles, 1, &mut found);
    }
    found
}

/// A scalar as text, or each of a list, if it says something.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number_as_text(value).unwrap_or_else(|| number.to_string()),
        Value::Bool(said) => said.to_string(),
        Value::Array(several) => return several.iter().filter(|it| !it.is_array()).flat_map(texts).collect(),
        Value::Object(_) | Value::Null => return Vec::new(),
    };
    if is_nothing(&text) { Vec::new() } else { vec![text] }
}

/// The first of them.
pub(super) fn text(value: &Value) -> Option<String> {
    texts(value).into_iter().next()
}

/// In small letters, its words apart by `_`.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    let mut was_small = false;
    for c in name.trim().chars() {
        if c.is_alphanumeric() {
            if c.is_uppercase() && was_small {
                plain.push('_');
            }
            plain.extend(c.to_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
        was_small = c.is_lowercase();
    }
    plain.trim_end_matches('_').to_owned()
}

/// The questions of answers by their ids.
fn titles(questions: &Value) -> BTreeMap<String, String> {
    let all = questions.as_array().into_iter().flatten();
    all.filter_map(|it| Some((text(&it["id"])?, text(it.get("title").or(it.get("label"))?)?))).collect()
}

/// All answers in a value, those of outer objects first.
fn collect(value: &Value, titles: &BTreeMap<String, String>, depth: usize, found: &mut Vec<Answer>) {
    match value {
        Value::Array(answers) => {
            found.extend(answers.iter().filter_map(Value::as_object).filter_map(|it| answer(None, it, titles)));
        }
        Value::Object(object) => {
            for (name, value) in object {
                let names = || vec![plain(name)];
                let values = texts(value);
                let scalar = (!values.is_empty()).then(|| Answer { names: names(), kind: String::new(), values });
                let inner = value.as_object().and_then(|it| answer(Some(name), it, titles));
                found.extend(scalar.into_iter().chain(inner));
            }
            let is_consent = |name: &str, it: &Value| it.is_object() && plain(name) == "consent";
            let is_inner =
                |name: &str, it: &Value| depth > 1 && (it.is_object() || it.is_array()) || is_consent(name, it);
            for (_, it) in object.iter().filter(|(name, it)| is_inner(name, it)) {
                collect(it, titles, depth.saturating_sub(1), found);
            }
        }
        _ => {}
    }
}

/// An answer with its question beside it.
fn answer(name: Option<&str>, it: &Map<String, Value>, titles: &BTreeMap<String, String>) -> Option<Answer> {
    let field = it.get("field").and_then(Value::as_object);
    let get = |key: &str| it.get(key).or_else(|| field?.get(key)).and_then(text);
    let kind = it.get("type").and_then(text).unwrap_or_default();
    let value = ["string_value", "value", "answer", "raw_value", kind.as_str()].into_iter().find_map(|key| it.get(key));
    // A choice has a label of its own.
    let value = value?;
    let values = texts(value.get("label").unwrap_or(value));
    let names = ["column_id", "column_name", "key", "ref", "label", "title", "question", "name", "id"];
    let asked = get("id").and_then(|id| titles.get(&id).cloned());
    let names = names.into_iter().filter_map(get).chain(asked).chain(name.map(String::from));
    let names: Vec<_> = names.map(|name| plain(&name)).collect();
    (!names.is_empty() && !values.is_empty()).then(|| Answer { names, kind: plain(&kind), values })
}
