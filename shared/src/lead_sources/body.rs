//! A body as form builders send it: JSON, or a form whose names may have brackets.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::http::Problem;
use crate::http::body::json;

/// Brackets in brackets that a name may have.
const DEPTH: usize = 8;

/// Reads JSON if it looks like that, else a form.
///
/// # Errors
/// 400 if it is neither.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {
            let value = json(bytes).map_err(|refusal| Problem::invalid_body(vec![refusal]))?;
            // Some send a list of one.
            Ok(match value {
                Value::Array(mut several) if several.len() == 1 => several.remove(0),
                value => value,
            })
        }
        Some(_) if bytes.contains(&b'=') => {
            let mut form = Map::new();
            for (name, value) in form_urlencoded::parse(bytes) {
                let (name, value) = (name.replace('\0', ""), value.replace('\0', ""));
                let mut parts = name.split('[').map(|part| part.trim_end_matches(']')).take(DEPTH);
                put(&mut form, parts.next().unwrap_or_default(), &mut parts, value);
            }
            Ok(Value::Object(form))
        }
        _ => Err(Problem::unreadable_body("must be a JSON object or a form.")),
    }
}

/// Puts a value into objects of these names. What is there stays, unless it is empty.
fn put<'a>(object: &mut Map<String, Value>, name: &str, rest: &mut impl Iterator<Item = &'a str>, value: String) {
    match rest.next() {
        Some(next) if !next.is_empty() => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, next, rest, value);
            }
        }
        // Of several values, as of boxes to tick, the first is kept.
        _ => {
            let kept = object.entry(name).or_insert(Value::Null);
            if kept.is_null() || kept.as_str().is_some_and(str::is_empty) {
                *kept = Value::String(value);
            }
        }
    }
}
