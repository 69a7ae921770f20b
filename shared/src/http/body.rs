//! Reads a JSON body field by field and reports everything that is wrong with it at once.

mod consent;
mod fields;
mod filled_in;
mod form_post;
mod json;
mod mending;
mod names;
mod of_people;
mod salvage;
mod several;
mod shape;

use std::cell::RefCell;

use serde_json::{Map, Value};

use super::problem::{FieldError, Problem};
use crate::warning::Warning;
use mending::with_whole_characters;

pub use consent::Answers;
pub use fields::{Fields, value_in};
pub use filled_in::filled_in;
pub use form_post::{as_json, multipart_as_json, with_plus_in_email};
pub use json::{Oddity, OddityKind, escaped, json, json_passing_over};
pub use mending::{with_escaped_breaks, without_mark};
pub use of_people::{Mended, of_people};
pub use shape::{Shape, lines};

/// A JSON object as a request's body. Its content type is ignored: beacons can only send `text/plain`.
#[derive(Debug)]
pub struct Body {
    object: Map<String, Value>,
    /// What had to be mended before it could be read.
    pub warnings: Vec<Warning>,
    errors: RefCell<Vec<FieldError>>,
}

/// A field is invalid. The error is collected for [`Body::check`], which must be called before the fields are used.
#[derive(Debug)]
pub struct Invalid;

impl From<Invalid> for Problem {
    fn from(_: Invalid) -> Self {
        Self::unreadable_body("A field is invalid.")
    }
}

impl Body {
    /// # Errors
    /// 400 if the bytes are not a JSON object, or [`json`] rejects them.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let value = json(&with_whole_characters(bytes)).map_err(|refusal| Problem::invalid_body(vec![refusal]))?;
        Self::of(value, Vec::new())
    }

    /// As [`Body::parse`], for what a person filled in: as [`filled_in`] reads it.
    ///
    /// # Errors
    /// 400 if nothing of it can be read.
    pub fn of_form(bytes: &[u8]) -> Result<Self, Problem> {
        let (object, warnings) = filled_in(bytes).map_err(|refusal| Problem::invalid_body(vec![refusal]))?;
        Ok(Self { object, warnings, errors: RefCell::default() })
    }

    /// The same with the fields beside the others that are within them; none if there are none.
    #[must_use]
    pub fn unfolded(&self) -> Option<Self> {
        let mut warnings = self.warnings.clone();
        let object = filled_in::unfolded(&self.object, &mut warnings)?;
        Some(Self { object, warnings, errors: RefCell::default() })
    }

    fn of(value: Value, warnings: Vec<Warning>) -> Result<Self, Problem> {
        match value {
            Value::Object(object) => Ok(Self { object, warnings, errors: RefCell::default() }),
            _ => Err(Problem::unreadable_body("must be a JSON object.")),
        }
    }

    /// The fields of the body itself.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields::of(&self.object, &self.errors)
    }

    /// # Errors
    /// 400 with every field that was invalid so far.
    pub fn check(&self) -> Result<(), Problem> {
        let errors = self.errors.take();
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_body(errors)) }
    }
}

/// A text of at most `limit` characters, without control characters but line breaks and tabs.
///
/// # Errors
/// The limit.
pub fn text_up_to(limit: usize) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if text.chars().count() > limit {
            Err(format!("must be at most {limit} characters"))
        } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            Err("must not contain control characters".into())
        } else {
            Ok(text.into())
        }
    }
}

/// An id shared between systems: 1 to 128 letters, digits and `_ . : -`.
///
/// # Errors
/// What is allowed.
pub fn shared_id(text: &str) -> Result<String, String> {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"_.:-".contains(&c);
    if text.len() <= 128 && text.bytes().all(known) {
        Ok(text.into())
    } else {
        Err("must be at most 128 letters, digits, underscores, dots, colons or hyphens".into())
    }
}

/// A boolean.
///
/// # Errors
/// If it is not a boolean.
pub fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &[u8]) -> Value {
        let problem = Body::parse(body).unwrap_err();
        serde_json::from_slice(problem.into_response().body()).unwrap()
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for body in [&b""[..], b"{", b"[]", b"7", b"\"\xff\"", b"{\"a\":1e999}", b"<html>", b"a=b"] {
            assert_eq!(refusal(body)["status"], 400, "{}", String::from_utf8_lossy(body));
        }
        let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
        assert_eq!(refusal(format!("{{\"a\":{deep}}}").as_bytes())["status"], 400);
        let bottomless = "[".repeat(100_000);
        assert_eq!(refusal(bottomless.as_bytes())["status"], 400);
    }

    #[test]
    fn u0000_is_refused_where_it_stands() {
        assert_eq!(refusal(br#"{"a":{"b":["x","\u0000"]}}"#)["errors"][0]["pointer"], "/a/b/1");
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_at_any_depth() {
        for (body, pointer) in [
            (r#"{"a":1,"a":1}"#, "/a"),
            (r#"{"a":{"b/c":[{"d~":1,"e":2,"d~":null}]}}"#, "/a/b~1c/0/d~0"),
            (r#"{"a":1,"\u0061":2}"#, "/a"),
        ] {
            let refused = refusal(body.as_bytes());
            assert_eq!(
                refused["errors"][0],
                serde_json::json!({"pointer": pointer, "detail": "must not be there twice"})
            );
        }
        assert!(Body::parse(br#"{"a":{"a":{"a":[{"a":1},{"a":1}]}}}"#).is_ok());
    }

    #[test]
    fn a_long_key_is_not_repeated_as_a_whole() {
        for (key, shown) in [
            ("k".repeat(64), "k".repeat(64)),
            ("k".repeat(65), format!("{}…", "k".repeat(64))),
            ("ü~".repeat(100_000), format!("{}…", "ü~0".repeat(32))),
        ] {
            let document = refusal(format!(r#"{{"{key}":1,"{key}":2}}"#).as_bytes());
            assert_eq!(document["errors"][0]["pointer"], format!("/{shown}"));
            assert_eq!(document["detail"], format!("/{shown} must not be there twice"));
        }
    }

    #[test]
    fn a_text_is_read_as_any_other_parser_reads_it() {
        let text = r#"{"a":[null,true,-7,18446744073709551615,0.1,-0.0,1e300,"\u00fc\ud83d\ude00",""],"b":{}}"#;
        assert_eq!(json(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert!(json(b"{} {}").is_err() && json(b" {} \n").is_ok());
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let body = Body::parse(br#"{"a":1,"c":{"d":"no"},"e":[]}"#).unwrap();
        let fields = body.fields();
        let _ = fields.required_text("a", text_up_to(3));
        let _ = fields.required_text("b", text_up_to(3));
        let _ = fields.object("c").optional("d", boolean);
        let _ = fields.object("e").optional("f", boolean);
        let document: Value = serde_json::from_slice(body.check().unwrap_err().into_response().body()).unwrap();
        let pointers: Vec<_> = document["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
        assert_eq!(pointers, ["/a", "/b", "/c/d", "/e"]);
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        let body = Body::parse(br#"{"a":null,"b":"  "}"#).unwrap();
        for name in ["a", "b", "c"] {
            assert_eq!(body.fields().optional_text(name, text_up_to(3)).unwrap(), None);
        }
        body.check().unwrap();
    }
}
