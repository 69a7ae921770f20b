//! What can be read of JSON that is broken: templates put values into it without escaping or quoting them, and a body
//! may end too early. It is read from its beginning, and a value that isn't surely whole is left out.

use serde_json::{Map, Value};

use super::json::MAX_DEPTH;
use super::several::combined;

/// Marks that begin a text, and those that may end it.
const QUOTES: &[(char, &[char])] =
    &[('"', &['"']), ('\'', &['\'']), ('“', &['”', '“', '"']), ('”', &['”', '"']), ('„', &['“', '”', '"'])];

/// The fields that can be read; none if there are none.
pub(super) fn salvaged(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text, places: Vec::new(), found: Map::new() };
    reader.read();
    (!reader.found.is_empty()).then_some(Value::Object(reader.found))
}

struct Reader<'a> {
    rest: &'a str,
    /// The names of the objects and arrays that are open; an array has none, nor the body itself.
    places: Vec<Option<String>>,
    found: Map<String, Value>,
}

/// A text or a word, and whether the body may have ended within it.
struct Token {
    value: Value,
    is_whole: bool,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut name: Option<String> = None;
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | '('));
            match self.rest.chars().next() {
                None => return,
                Some('{' | '[') => {
                    self.rest = &self.rest[1..];
                    self.places.push(name.take());
                }
                Some('}' | ']') => {
                    self.rest = &self.rest[1..];
                    self.places.pop();
                    name = None;
                }
                Some(_) => {
                    let Some(Token { value, is_whole }) = self.token(name.is_none()) else { return };
                    let behind = self.rest.trim_start();
                    match (name.take(), behind.strip_prefix([':', '='])) {
                        (None, Some(behind)) => {
                            self.rest = behind;
                            name = value.as_str().map(String::from);
                        }
                        (Some(name), _) if is_whole => self.put(name, value),
                        // Of an array.
                        (None, None) if is_whole => {
                            if let Some(Some(name)) = self.places.pop() {
                                self.put(name.clone(), value);
                                self.places.push(Some(name));
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// A name, or else a value. None if the body ends within a text.
    fn token(&mut self, is_name: bool) -> Option<Token> {
        let first = self.rest.chars().next()?;
        if let Some((_, ends)) = QUOTES.iter().find(|(quote, _)| *quote == first) {
            let inside = &self.rest[first.len_utf8()..];
            let (end, length) = end_of_text(inside, ends, is_name)?;
            self.rest = &inside[end + length..];
            return Some(Token { value: Value::String(unescaped(&inside[..end])), is_whole: true });
        }
        let is_end = |c: char| matches!(c, ',' | '{' | '}' | '[' | ']' | '\n') || is_name && matches!(c, ':' | '=');
        let end = self.rest.find(is_end);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let value = match word.trim() {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            word => Value::from(word),
        };
        Some(Token { value, is_whole: end.is_some() })
    }

    /// Puts a value where the reader is.
    fn put(&mut self, name: String, value: Value) {
        let mut object = &mut self.found;
        for place in self.places.iter().flatten().take(MAX_DEPTH) {
            let inner = object.entry(place).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let Value::Object(inner) = inner else { return };
            object = inner;
        }
        let known = object.remove(&name).unwrap_or_default();
        object.insert(name, combined(known, value));
    }
}

/// Where a text ends, and how long the mark is: a mark that nothing of JSON follows is part of the text.
fn end_of_text(inside: &str, ends: &[char], is_name: bool) -> Option<(usize, usize)> {
    let mut is_escaped = false;
    inside.char_indices().find_map(|(at, c)| {
        let is_mark = ends.contains(&c) && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        let behind = inside[at + c.len_utf8()..].trim_start_matches([' ', '\t', '\r']);
        let ends_here = match behind.chars().next() {
            None | Some(',' | '}' | ']' | '\n' | ')' | ';') => true,
            Some(':' | '=') => is_name,
            Some('"') => begins_with_a_name(&behind[1..]),
            Some(_) => false,
        };
        (is_mark && ends_here).then_some((at, c.len_utf8()))
    })
}

/// Is it a name and its end? There may be no comma before it.
fn begins_with_a_name(text: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
    text.split_once('"').is_some_and(|(name, behind)| is_name(name) && behind.trim_start().starts_with(':'))
}

fn unescaped(text: &str) -> String {
    let quoted =
        format!("\"{}\"", text.replace("\\\"", "\"").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r"));
    serde_json::from_str(&quoted).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_surely_there_is_read() {
        for (text, found) in [
            (r#"{"email":"jane@example.com""#, json!({"email": "jane@example.com"})),
            (r#"{"a":{"b":"c","d":["x","y"]"#, json!({"a": {"b": "c", "d": ["x", "y"]}})),
            (r#"{"email":"jane@example.com","name":"Jan"#, json!({"email": "jane@example.com"})),
            (r#"{"email":"jane@example.com","phone":4930"#, json!({"email": "jane@example.com"})),
            (
                r#"{"message":"60" oak","email":"jane@example.com"}"#,
                json!({"message": "60\" oak", "email": "jane@example.com"}),
            ),
            (r#"{"message":"she said "hi" twice","a":"b"}"#, json!({"message": "she said \"hi\" twice", "a": "b"})),
            (
                r#"{"email": jane@example.com, "phone": +49 30 901820}"#,
                json!({"email": "jane@example.com", "phone": "+49 30 901820"}),
            ),
            ("{email: jane@example.com\nphone: 030\n}", json!({"email": "jane@example.com", "phone": "030"})),
            (r#"{"a":"b" "c":"d"}"#, json!({"a": "b", "c": "d"})),
            ("{\"a\":\"b\"\n\"c\":\"d\"}", json!({"a": "b", "c": "d"})),
            ("{“email”: “jane@example.com”, “name”: “Jane”}", json!({"email": "jane@example.com", "name": "Jane"})),
            (
                "{'email': 'jane@example.com', 'ok': True, 'no': False}",
                json!({"email": "jane@example.com", "ok": true, "no": false}),
            ),
            (r#"{"a":"b"}}"#, json!({"a": "b"})),
            (r#"{"a":"b"});"#, json!({"a": "b"})),
            ("{\"a\":\"b\"}\n{\"a\":\"c\"}", json!({"a": ["b", "c"]})),
            (r#""a":"b","c":"d\n\u00fc""#, json!({"a": "b", "c": "d\nü"})),
        ] {
            assert_eq!(salvaged(text), Some(found), "{text}");
        }
    }

    #[test]
    fn where_nothing_is_whole_there_is_nothing() {
        for text in ["", "{", "{}", "{} {}", "[", "{\"a\":", "{\"a\":\"x", "{\"a\"", "<html>", "null", "]]}}"] {
            assert_eq!(salvaged(text), None, "{text}");
        }
        assert_eq!(salvaged(&"[".repeat(100_000)), None);
        assert!(salvaged(&format!("{}\"b\":\"c\"", "{\"a\":".repeat(50_000))).is_some());
    }
}
