//! The question by which some CRMs find out whether a URL is ours: they send a text and want it back.

use serde_json::{Map, Value};

use super::Source;
use crate::crm::payload;
use crate::json_pointer;

/// The longest text that is sent back, in bytes.
const LONGEST: usize = 1_000;

/// What a sender may put beside its challenge.
const BESIDE: [(&str, Option<&str>); 2] = [("type", Some("url_verification")), ("token", None)];

impl Source {
    /// The answer to a body that is a challenge: its field with its value, as sent. None for every other body.
    #[must_use]
    pub fn challenge(&self, body: &[u8]) -> Option<Value> {
        let pointer = self.challenge.as_ref()?.as_str();
        let item = payload::items(body, self.encoding, None, true).ok()?.pop()?.value;
        let value = item.pointer(pointer).filter(|value| match value {
            Value::String(text) => (1..=LONGEST).contains(&text.len()) && !text.contains(char::is_control),
            Value::Number(number) => !number.is_f64(),
            _ => false,
        })?;
        let names: Vec<_> = json_pointer::names(pointer).collect();
        let mut inner = &item;
        for name in &names {
            let object = inner.as_object().filter(|object| is_alone(object, name))?;
            inner = object.get(name)?;
        }
        Some(Value::Object(Map::from_iter([(names.last()?.clone(), value.clone())])))
    }
}

/// Has the object no other field but those that may be beside it?
fn is_alone(object: &Map<String, Value>, name: &str) -> bool {
    let may_be_beside = |other: &str, value: &Value| {
        let mut known = BESIDE.iter().filter(|(known, _)| *known == other);
        value.is_string() && known.any(|(_, wanted)| wanted.is_none_or(|wanted| *value == wanted))
    };
    object.iter().all(|(other, value)| other == name || may_be_beside(other, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crm::Sources;
    use crate::deals::Stages;

    fn source(keys: &str) -> Sources {
        let toml = format!(
            "[acme]
             {keys}
             auth = [{{ bearer = {{ secret = \"ACME_TOKEN\" }} }}]
             fields = {{ deal_id = \"/id\" }}
             rules = [{{ when = {{}}, conversion = \"closed\" }}]"
        );
        Sources::parse(&toml, &Stages::default(), &|_| Some("0123456789abcdef".into())).unwrap()
    }

    #[test]
    fn a_challenge_alone_is_sent_back_as_it_came() {
        let longest = "x".repeat(1_000);
        for (keys, body, name, value) in [
            ("challenge = \"/challenge\"", r#"{"challenge": "abc"}"#, "challenge", json!("abc")),
            ("challenge = \"/challenge\"", "{\"challenge\": \"\\u00fc<b>\\\"\"}\n", "challenge", json!("ü<b>\"")),
            ("challenge = \"/challenge\"", r#"{"challenge": 18446744073709551615}"#, "challenge", json!(u64::MAX)),
            ("challenge = \"/challenge\"\nitems = \"/events\"", r#"{"challenge": "abc"}"#, "challenge", json!("abc")),
            ("challenge = \"/challenge\"\nitems = \"\"", r#"{"challenge": "abc"}"#, "challenge", json!("abc")),
            ("challenge = \"/data/token\"", r#"{"data": {"token": "abc"}}"#, "token", json!("abc")),
            ("challenge = \"/a~1b\"", r#"{"a/b": "abc"}"#, "a/b", json!("abc")),
            ("challenge = \"/challenge\"\nbody = \"form\"", "challenge=a%20b", "challenge", json!("a b")),
            (
                "challenge = \"/challenge\"",
                r#"{"token": "t", "challenge": "abc", "type": "url_verification"}"#,
                "challenge",
                json!("abc"),
            ),
            ("challenge = \"/challenge\"", &format!("{{\"challenge\": \"{longest}\"}}"), "challenge", json!(longest)),
        ] {
            let expected = Value::Object(Map::from_iter([(name.to_owned(), value)]));
            assert_eq!(
                source(keys).get("acme").unwrap().challenge(body.as_bytes()),
                Some(expected),
                "{keys} {body:.60}"
            );
        }
    }

    #[test]
    fn what_is_more_or_other_than_a_challenge_is_read_as_a_webhook() {
        let declared = source("challenge = \"/challenge\"");
        let nested = source("challenge = \"/data/challenge\"");
        let long = format!("{{\"challenge\": \"{}\"}}", "x".repeat(1_001));
        for body in [
            r#"{"challenge": "abc", "id": 7}"#,
            r#"{"challenge": "abc", "type": "deal.won"}"#,
            r#"{"challenge": ""}"#,
            r#"{"challenge": null}"#,
            r#"{"challenge": true}"#,
            r#"{"challenge": 1.5}"#,
            r#"{"challenge": ["abc"]}"#,
            r#"{"challenge": {"a": 1}}"#,
            r#"{"challenge": "a\nb"}"#,
            r#"{"challenge": "a", "challenge": "b"}"#,
            r#"[{"challenge": "abc"}]"#,
            r#"{"Challenge": "abc"}"#,
            "challenge=abc",
            "",
            &long,
        ] {
            assert_eq!(declared.get("acme").unwrap().challenge(body.as_bytes()), None, "{body:.60}");
        }
        for body in [r#"{"data": {"challenge": "a"}, "id": 1}"#, r#"{"data": {"challenge": "a", "id": 1}}"#] {
            assert_eq!(nested.get("acme").unwrap().challenge(body.as_bytes()), None, "{body}");
        }
        assert_eq!(source("").get("acme").unwrap().challenge(br#"{"challenge": "abc"}"#), None, "undeclared");
    }
}
