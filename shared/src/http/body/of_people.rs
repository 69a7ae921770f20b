//! JSON of what people filled in: whatever of it can be read is. A script or a template put it together, and a refusal
//! reaches neither who wrote that nor the person, who is gone.

use std::borrow::Cow;

use serde_json::Value;

use super::json::{Oddity, OddityKind, json_combining, json5_combining};
use super::mending::{with_escaped_controls, with_whole_characters, without_nul};
use super::salvage::salvaged;
use super::shape::behind_something;
use crate::encoding::text_of;
use crate::http::problem::FieldError;
use crate::warning::Warning;

const ENCODING: &str = "isn't in UTF-8: what isn't was read as Windows-1252. Let the sender write UTF-8";
const CHARACTERS: &str = "has characters that can't be stored, such as U+0000 or half of an emoji: each was replaced \
                          by U+FFFD";
const TWICE: &str =
    "names something twice: what says something counts, and of several values the first that can be used";
const JSON5: &str = "is no JSON, but reads as JSON5: no comma may be the last, names and texts stand in \"…\", and there \
                     is no NaN";
const BROKEN: &str = "is broken JSON, and only what is surely whole was read: let a library write it, and look at where it \
                      ends";
const DEEP: &str = "nests deeper than 16 levels: what is deeper is left out";

/// A document that was read, and what had to be mended for that.
#[derive(Debug)]
pub struct Mended {
    pub value: Value,
    pub warnings: Vec<Warning>,
}

/// Reads a text as JSON that people's answers are in.
///
/// # Errors
/// When it is no JSON for another reason than those that are mended.
pub fn of_people(bytes: &[u8]) -> Result<Mended, FieldError> {
    let text = text_of(bytes);
    let escaped = with_escaped_controls(text.as_bytes());
    let whole = without_nul(escaped.as_deref().unwrap_or(text.as_bytes()));
    let stored = with_whole_characters(&whole);
    let (read, mended) = match json_combining(&stored) {
        Ok(read) => (read, None),
        Err(refusal) => nearly(&stored, &text).map(|(read, how)| (read, Some(how))).ok_or(refusal)?,
    };
    let (value, oddities) = read;
    let is_there = |kind| oddities.iter().any(|it| it.kind == kind);
    let is_replaced = matches!(whole, Cow::Owned(_)) || matches!(stored, Cow::Owned(_));
    let found = [
        (mended == Some(JSON5), JSON5),
        (mended == Some(BROKEN), BROKEN),
        (matches!(text, Cow::Owned(_)), ENCODING),
        (is_replaced, CHARACTERS),
        (is_there(OddityKind::Twice), TWICE),
        (is_there(OddityKind::Deep), DEEP),
    ];
    let of_body = |(is_found, detail): (bool, &str)| is_found.then(|| Warning { field: "body", detail: detail.into() });
    let of_breaks = escaped.is_some().then(Warning::of_mended_body);
    let warnings = of_breaks.into_iter().chain(found.into_iter().filter_map(of_body)).collect();
    Ok(Mended { value, warnings })
}

/// What isn't JSON: what `stored` is as JSON5, else what can be read of the text as it came.
fn nearly(stored: &[u8], text: &str) -> Option<((Value, Vec<Oddity>), &'static str)> {
    let stored = str::from_utf8(stored).ok().filter(|text| nests_at_most(text, MOST_NESTED) && !has_bare_plus(text));
    if let Some(read) = stored.and_then(|text| json5_combining(text).ok()) {
        return Some((read, JSON5));
    }
    let text = behind_something(text).unwrap_or(text);
    salvaged(&text.replace('\0', "\u{fffd}")).map(|value| ((value, Vec::new()), BROKEN))
}

/// The reader of JSON5 calls itself for every level.
const MOST_NESTED: usize = 64;

fn nests_at_most(text: &str, levels: usize) -> bool {
    let mut depth = 0_usize;
    text.bytes().all(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth <= levels
    })
}

/// A phone number without quotation marks would lose its plus.
fn has_bare_plus(text: &str) -> bool {
    text.split(':').skip(1).any(|behind| behind.trim_start().starts_with('+'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mended(body: &[u8]) -> (Value, Vec<String>) {
        let read = of_people(body).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", String::from_utf8_lossy(body)));
        (read.value, read.warnings.into_iter().map(|it| it.detail).collect())
    }

    #[test]
    fn what_is_right_is_read_as_it_is() {
        for text in [
            r#"{"a":[null,true,-7,18446744073709551615,0.1,1e300,"\u00fc\ud83d\ude00\\u0000\n",""],"b":{}}"#,
            "\u{feff} {\n\t\"a\": \"ä\"\r\n}",
            "[]",
            r#"{"a":{"a":[{"a":1},{"a":1}]}}"#,
        ] {
            let plain = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')).unwrap();
            assert_eq!(mended(text.as_bytes()), (plain, vec![]), "{text}");
        }
    }

    #[test]
    fn what_is_nearly_right_is_mended_and_said() {
        let breaks = Warning::of_mended_body().detail;
        for (body, value, said) in [
            (&b"{\"a\":\"one\ntwo\"}"[..], json!({"a": "one\ntwo"}), &*breaks),
            (b"{\"a\":\"one\r\n\ttwo\"}", json!({"a": "one\r\n\ttwo"}), &breaks),
            (b"{\"a\":\"bell\x07 \x1f\"}", json!({"a": "bell\u{7} \u{1f}"}), &breaks),
            (b"{\"a\nb\":\"\\\"\n\\\\\"}", json!({"a\nb": "\"\n\\"}), &breaks),
            (b"{\"name\":\"J\xfcrgen\"}", json!({"name": "Jürgen"}), ENCODING),
            (b"{\"a\":\"\x93so\x94 \x96 100 \x80\"}", json!({"a": "“so” – 100 €"}), ENCODING),
            (b"{\"stra\xdfe\":1,\"b\":\"\xc3\xa9\xe9\"}", json!({"straße": 1, "b": "éé"}), ENCODING),
            (br#"{"a":"x\u0000y","b":"\\u0000"}"#, json!({"a": "x\u{fffd}y", "b": "\\u0000"}), CHARACTERS),
            (br#"{"a\u0000":["\ud83d"]}"#, json!({"a\u{fffd}": ["\u{fffd}"]}), CHARACTERS),
            (br#"{"a":"\udc00\ud83d\ude00"}"#, json!({"a": "\u{fffd}\u{1F600}"}), CHARACTERS),
            (br#"{"a":"","a":"x"}"#, json!({"a": "x"}), TWICE),
            (br#"{"a":"x","a":null}"#, json!({"a": "x"}), TWICE),
            (br#"{"a":"undefined","\u0061":"x"}"#, json!({"a": "x"}), TWICE),
            (br#"{"a":"x","a":"y","a":"x","a":7}"#, json!({"a": ["x", "y", 7]}), TWICE),
            (br#"{"a":["x"],"a":"y"}"#, json!({"a": ["x", "y"]}), TWICE),
            (
                br#"{"c":{"a":"x","d":{"e":1}},"c":{"a":"y","d":{"f":2}}}"#,
                json!({"c": {"a": ["x", "y"], "d": {"e": 1, "f": 2}}}),
                TWICE,
            ),
            (br#"{"c":"no","c":{"a":"x"},"c":{"b":"y"}}"#, json!({"c": ["no", {"a": "x", "b": "y"}]}), TWICE),
        ] {
            assert_eq!(mended(body), (value, vec![said.to_owned()]), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(mended(br#"{"a":"x","a":"x"}"#), (json!({"a": "x"}), vec![]), "the same again says nothing new");
        let (value, said) = mended(b"{\"a\":\"\0\xfc\n\",\"a\":1}");
        assert_eq!((value, said.len()), (json!({"a": ["\u{fffd}ü\n", 1]}), 4));
    }

    #[test]
    fn what_is_too_deep_is_left_out() {
        for levels in [17, 18, 100, 127, 128, 1_000, 100_000] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
                let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
                let body = format!("{{\"deep\":{deep},\"email\":\"jane@example.com\"}}");
                let (value, said) = mended(body.as_bytes());
                assert_eq!((&value["email"], said), (&json!("jane@example.com"), vec![DEEP.to_owned()]), "{levels}");
            }
        }
    }

    #[test]
    fn what_is_no_json_is_read_as_far_as_it_is_surely_whole() {
        let jane = json!({"email": "jane@example.com"});
        for (body, value, said) in [
            (r#"{"email":"jane@example.com",}"#, jane.clone(), JSON5),
            ("{'email':'jane@example.com'}", jane.clone(), JSON5),
            ("{email:\"jane@example.com\"}", jane.clone(), JSON5),
            ("{\"email\":\"jane@example.com\"} // the end", jane.clone(), JSON5),
            (
                r#"{"email":"jane@example.com","n":NaN,"i":-Infinity,"x":1e999}"#,
                json!({"email": "jane@example.com", "n": null, "i": null, "x": null}),
                JSON5,
            ),
            (r#"{"email":"jane@example.com","x":1e999}"#, json!({"email": "jane@example.com", "x": null}), JSON5),
            (r#"{"a":'\0',}"#, json!({"a": "\u{fffd}"}), JSON5),
            (r#"{"phone":+4930901820}"#, json!({"phone": "+4930901820"}), BROKEN),
            (r#"{"email":"jane@example.com""#, jane.clone(), BROKEN),
            (r#"{"email":"jane@example.com","name":"Ja"#, jane.clone(), BROKEN),
            (r#"{"email":"jane@example.com"}}"#, jane.clone(), BROKEN),
            ("callback({\"email\":\"jane@example.com\"});", jane.clone(), BROKEN),
            (r#"{"email":"jane@example.com","ok":True}"#, json!({"email": "jane@example.com", "ok": true}), BROKEN),
            (
                r#"{"a":"60" oak","email":"jane@example.com"}"#,
                json!({"a": "60\" oak", "email": "jane@example.com"}),
                BROKEN,
            ),
        ] {
            assert_eq!(mended(body.as_bytes()), (value, vec![said.to_owned()]), "{body}");
        }
        let utf_16: Vec<u8> =
            "\u{feff}{\"email\":\"jane@example.com\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(mended(&utf_16), (jane, vec![ENCODING.to_owned()]));
    }

    #[test]
    fn where_nothing_is_whole_it_is_refused() {
        for body in ["", "{", "{\"a\":\"x", "{\"email\":\"jane@example.co", "a=b", "<html>", "{} {}"] {
            let refused = of_people(body.as_bytes()).unwrap_err();
            assert!(refused.detail.starts_with("must be JSON"), "{body}: {refused:?}");
        }
        for bottomless in ["[", "{\"a\":", "[{\"a\":", "{a:"] {
            assert!(of_people(bottomless.repeat(60_000).as_bytes()).is_err(), "{bottomless}");
        }
    }
}
