//! What people filled in, whatever the body was written as and wrapped in: one object with our names.

use serde_json::{Map, Value};

use super::form_post;
use super::names::ours;
use super::of_people::{Mended, of_people};
use super::several::combined;
use super::shape::{Shape, lines};
use crate::encoding::text_of;
use crate::http::problem::FieldError;
use crate::identity::{Carrier, Email};
use crate::warning::Warning;

const AS_A_FORM: &str = "is read as a form, which its content type doesn't say";
const AS_LINES: &str = "is read line by line, as names and values: send JSON or a form";
const AS_A_TEXT: &str = "is JSON within a text: send it as it is";
const AS_A_LIST: &str = "is a list: what it has is taken together, unless it is of several persons. Send one object";
const OF_SEVERAL: &str = "is of several persons, and only the first is taken: send each in a request of its own";
const INSIDE: &str = "has nothing that says who it is but within other fields: send our fields beside each other";

/// How often JSON may be a text within JSON, and how deep fields may be within others.
const DEEPEST: usize = 4;

/// The fields of a body.
///
/// # Errors
/// 400 if it has no names and values.
pub fn filled_in(bytes: &[u8]) -> Result<(Map<String, Value>, Vec<Warning>), FieldError> {
    let text = text_of(bytes);
    let of_pairs = |pairs, detail| (form_post::form(pairs), vec![warning(detail)]);
    match Shape::of(&text) {
        Shape::Form => Ok(of_pairs(form_post::urlencoded(text.as_bytes()), AS_A_FORM)),
        Shape::Multipart => Ok(of_pairs(form_post::multipart(text.as_bytes(), ""), AS_A_FORM)),
        Shape::Lines => Ok(of_pairs(lines(&text).collect(), AS_LINES)),
        Shape::Json | Shape::Other => {
            let Mended { value, mut warnings } = of_people(bytes)?;
            let object = object(value, &mut warnings, DEEPEST)
                .ok_or_else(|| FieldError { pointer: String::new(), detail: "must be a JSON object.".into() })?;
            let mut fields = with_our_names(object);
            // Forms that are sent by a script may have it as a text.
            let consent = fields.get("consent").filter(|said| said.is_string()).cloned();
            if let Some(consent) = consent.and_then(|said| self::object(said, &mut warnings, 1)) {
                fields.insert("consent".into(), consent.into());
            }
            Ok((fields, warnings))
        }
    }
}

fn warning(detail: &str) -> Warning {
    Warning { field: "body", detail: detail.into() }
}

/// A name may be in any case. What is filled in counts more than what is empty.
fn with_our_names(object: Map<String, Value>) -> Map<String, Value> {
    let is_ours = |(name, _): &(String, Value)| ours(name) == *name;
    let (named, others): (Vec<_>, Vec<_>) = object.into_iter().partition(is_ours);
    let mut named: Map<_, _> = named.into_iter().collect();
    for (name, value) in others {
        let name = ours(&name);
        let known = named.remove(&name).unwrap_or_default();
        named.insert(name, combined(known, value));
    }
    named
}

/// The object that a value is, or that is in it.
fn object(value: Value, warnings: &mut Vec<Warning>, depth: usize) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        Value::String(text) if depth > 0 && Shape::of(&text) == Shape::Json => {
            let inner = of_people(text.as_bytes()).ok()?;
            warnings.push(warning(AS_A_TEXT));
            warnings.extend(inner.warnings);
            object(inner.value, warnings, depth - 1)
        }
        Value::Array(several) if depth > 0 => {
            let objects: Vec<_> = several.into_iter().filter_map(|it| object(it, warnings, depth - 1)).collect();
            warnings.push(warning(AS_A_LIST));
            together(objects, warnings)
        }
        _ => None,
    }
}

/// What several objects say: of one person each a part, or each of a person.
fn together(objects: Vec<Map<String, Value>>, warnings: &mut Vec<Warning>) -> Option<Map<String, Value>> {
    let parts: Vec<_> = objects.into_iter().map(|it| named_value(&it).unwrap_or(it)).collect();
    let mut parts = parts.into_iter();
    let mut first = parts.next()?;
    for part in parts {
        let is_another = part.iter().any(|(name, value)| first.get(name).is_some_and(|known| known != value));
        if is_another {
            warnings.push(warning(OF_SEVERAL));
            break;
        }
        first.extend(part);
    }
    Some(first)
}

/// The field that an object like `{"name": "email", "value": "jane@example.com"}` is.
fn named_value(object: &Map<String, Value>) -> Option<Map<String, Value>> {
    let value = object.get("value")?;
    let name = ["name", "key", "field", "id", "label"].into_iter().find_map(|it| object.get(it)?.as_str())?;
    Some([(name.to_owned(), value.clone())].into_iter().collect())
}

/// The same fields with those beside them that are within others: for a body that else says nothing of anybody.
pub(super) fn unfolded(fields: &Map<String, Value>, warnings: &mut Vec<Warning>) -> Option<Map<String, Value>> {
    let mut all = fields.clone();
    for value in fields.values() {
        unfold(value, &mut all, DEEPEST);
    }
    // Whatever it is called, nothing else looks like an address.
    let is_address = |value: &&Value| value.as_str().is_some_and(|text| Email::all(text, Carrier::Json).is_ok());
    if let Some(address) = all.values().find(is_address).cloned() {
        let known = all.remove("email").unwrap_or_default();
        all.insert("email".into(), combined(known, address));
    }
    (all != *fields).then(|| {
        warnings.push(warning(INSIDE));
        all
    })
}

fn unfold(value: &Value, all: &mut Map<String, Value>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let is_inside = match value {
        Value::String(text) => text.trim_start().starts_with(['{', '[']),
        value => value.is_object() || value.is_array(),
    };
    let Some(inner) = is_inside.then(|| object(value.clone(), &mut Vec::new(), depth)).flatten() else { return };
    let inner = with_our_names(inner);
    for (name, value) in &inner {
        let known = all.remove(name).unwrap_or_default();
        all.insert(name.clone(), combined(known, value.clone()));
    }
    for (_, value) in inner.iter().filter(|(name, _)| *name != "consent") {
        unfold(value, all, depth);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Value {
        filled_in(body.as_bytes()).map_or(Value::Null, |(fields, _)| Value::Object(fields))
    }

    #[test]
    fn a_body_is_read_whatever_it_is_written_as() {
        let jane = json!({"email": "jane@example.com"});
        for body in [
            r#"{"email":"jane@example.com"}"#,
            r#"[{"email":"jane@example.com"}]"#,
            r#"[[{"E-Mail":"jane@example.com"}]]"#,
            r#""{\"email\":\"jane@example.com\"}""#,
            r#""\"{\\\"email\\\":\\\"jane@example.com\\\"}\"""#,
            r#"[{"name":"email","value":"jane@example.com"}]"#,
            "email=jane%40example.com",
            "email: jane@example.com",
            "Your e-mail:\tjane@example.com\r\n",
            "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\njane@example.com\r\n--x--\r\n",
            "{email:'jane@example.com',}",
            "callback({\"email\":\"jane@example.com\"});",
        ] {
            assert_eq!(read(body), jane, "{body}");
        }
        for nobody in ["", "7", "null", "Jane", "<html>", "[]", "[7]", "\"jane\""] {
            assert_eq!(read(nobody), Value::Null, "{nobody}");
        }
    }

    #[test]
    fn a_list_is_of_one_person_unless_it_is_plainly_of_several() {
        let parts = r#"[{"email":"jane@example.com"},{"gclid":"Ab1"},{"email":"jane@example.com","name":"Jane"}]"#;
        assert_eq!(read(parts), json!({"email": "jane@example.com", "gclid": "Ab1", "name": "Jane"}));
        let several = r#"[{"email":"jane@example.com"},{"email":"joe@example.com","gclid":"Ab1"}]"#;
        assert_eq!(read(several), json!({"email": "jane@example.com"}));
        let (_, warnings) = filled_in(several.as_bytes()).unwrap();
        assert!(warnings.iter().any(|it| it.detail == OF_SEVERAL));
    }
}
