//! The body of a webhook, as items that are read one by one.

use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::fields::Pointer;
use crate::http::body::{escaped, json};
use crate::http::problem::FieldError;

/// HubSpot sends up to 100 at once; no known CRM sends more.
const MAX_ITEMS: usize = 100;

/// The format of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyEncoding {
    #[default]
    Json,
    /// application/x-www-form-urlencoded; all its fields are texts.
    Form,
}

/// The items of a body: those of the array that `items` points at, or the body itself.
pub(super) fn items(body: &[u8], encoding: BodyEncoding, items: Option<&Pointer>) -> Result<Vec<Value>, FieldError> {
    let value = match encoding {
        BodyEncoding::Json => json(body)?,
        BodyEncoding::Form => form(body)?,
    };
    let Some(pointer) = items else {
        return if value.is_object() { Ok(vec![value]) } else { Err(refusal("", "must be a JSON object.")) };
    };
    let array = match value.pointer(pointer.as_str()) {
        Some(Value::Array(array)) if array.is_empty() => Err("must not be an empty array"),
        Some(Value::Array(array)) if array.len() > MAX_ITEMS => Err("must have at most 100 items"),
        Some(Value::Array(array)) => Ok(array.clone()),
        None => Err("is required"),
        Some(_) => Err("must be an array of objects"),
    };
    let array = array.map_err(|detail| refusal(pointer.as_str(), detail))?;
    match array.iter().position(|item| !item.is_object()) {
        Some(at) => Err(refusal(&format!("{}/{at}", pointer.as_str()), "must be an object")),
        None => Ok(array),
    }
}

fn form(body: &[u8]) -> Result<Value, FieldError> {
    let body = body.trim_ascii_end();
    if body.is_empty() {
        return Err(refusal("", "must not be empty."));
    }
    // Form encoders escape these characters, which are common in JSON and HTML.
    let is_plain = body.iter().all(|byte| !byte.is_ascii_control() && !b" \"<>\\^`{|}".contains(byte));
    let mut escapes = body.split(|byte| *byte == b'%').skip(1);
    if !is_plain || !escapes.all(|escape| escape.len() >= 2 && escape[..2].iter().all(u8::is_ascii_hexdigit)) {
        return Err(refusal("", "must be application/x-www-form-urlencoded."));
    }
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        // Invalid UTF-8 is decoded to the replacement character, which no form contains on purpose.
        if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
            return Err(refusal("", "must be in UTF-8."));
        }
        if name.is_empty() || name.contains('\0') {
            return Err(refusal("", "must name every field."));
        }
        let pointer = format!("/{}", escaped(&name));
        if value.contains('\0') {
            return Err(refusal(&pointer, "must not contain U+0000"));
        }
        if fields.insert(name.into_owned(), value.into()).is_some() {
            return Err(refusal(&pointer, "must not be there twice"));
        }
    }
    Ok(Value::Object(fields))
}

fn refusal(pointer: &str, detail: &str) -> FieldError {
    FieldError { pointer: pointer.into(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: impl AsRef<[u8]>, pointer: Option<&str>) -> Result<Vec<Value>, FieldError> {
        items(body.as_ref(), BodyEncoding::Json, pointer.map(|it| Pointer::parse(it).unwrap()).as_ref())
    }

    fn read_form(body: &[u8]) -> Result<Vec<Value>, FieldError> {
        items(body, BodyEncoding::Form, None)
    }

    #[test]
    fn a_body_is_one_item_or_an_array_of_them() {
        assert_eq!(read(r#"{"a":1}"#, None).unwrap(), [json!({"a": 1})]);
        assert_eq!(read(r#"[{"a":1},{}]"#, Some("")).unwrap(), [json!({"a": 1}), json!({})]);
        assert_eq!(read(r#"{"events":[{"a":1}]}"#, Some("/events")).unwrap(), [json!({"a": 1})]);
        let hundred = vec![json!({}); 100];
        assert_eq!(read(json!(hundred).to_string(), Some("")).unwrap().len(), 100);
    }

    #[test]
    fn a_body_of_another_shape_is_refused_where_it_differs() {
        let many = json!({"events": vec![json!({}); 101]}).to_string();
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(17), "]".repeat(17));
        for (body, pointer, refused_at) in [
            ("", None, ""),
            ("<html><body>Bad Gateway</body></html>", None, ""),
            ("[]", None, ""),
            ("[{}]", None, ""),
            ("7", None, ""),
            (&*deep, None, ""),
            (r#"{"a":"\u0000"}"#, None, "/a"),
            (r#"[{"a":{"b":1,"b":2}}]"#, Some(""), "/0/a/b"),
            ("{}", Some(""), ""),
            ("[]", Some(""), ""),
            ("[{}]", Some("/events"), "/events"),
            ("{}", Some("/events"), "/events"),
            (r#"{"events":{}}"#, Some("/events"), "/events"),
            (r#"{"events":[{},7]}"#, Some("/events"), "/events/1"),
            (&*many, Some("/events"), "/events"),
        ] {
            let refused = read(body, pointer).unwrap_err();
            assert_eq!(refused.pointer, refused_at, "{body:.40} {refused:?}");
        }
    }

    #[test]
    fn a_form_is_an_object_of_texts() {
        let read = read_form(b"deal_id=42&email=jane%40example.com&name=J%C3%A4ne+Doe&empty=&a%2Fb=1\n").unwrap();
        let expected =
            json!({"deal_id": "42", "email": "jane@example.com", "name": "Jäne Doe", "empty": "", "a/b": "1"});
        assert_eq!(read, [expected]);
    }

    #[test]
    fn a_form_with_junk_is_refused() {
        for (body, refused_at) in [
            (&b""[..], ""),
            (b"\n", ""),
            (b"<html>", ""),
            (br#"{"deal_id":42}"#, ""),
            (b"a=%", ""),
            (b"a=%4", ""),
            (b"a=%zz", ""),
            (b"a=%ff", ""),
            (b"a=\xff", ""),
            (b"a=b c", ""),
            (b"=1", ""),
            (b"a=%00", "/a"),
            (b"a=1&b=2&a=1", "/a"),
            (b"a=1&%61=2", "/a"),
        ] {
            let refused = read_form(body).unwrap_err();
            assert_eq!(refused.pointer, refused_at, "{}", String::from_utf8_lossy(body));
        }
    }
}
