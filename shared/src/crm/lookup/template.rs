//! Texts with placeholders for what is in an item: `{/deal/id}` is what a JSON Pointer finds.

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{id, in_url};
use crate::crm::fields::{Nothing, Pointer};
use crate::outgoing::Reach;

/// The longest value that is put into a request: an id, an address, or the like.
const LONGEST_VALUE: usize = 300;
/// The longest URL that is called.
const LONGEST_URL: usize = 4_000;

/// A text in parts.
#[derive(Clone, Debug)]
struct Parts(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    At(Pointer),
}

impl Parts {
    /// A brace that no slash follows is a brace.
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{/") {
            let (before, placeholder) = rest.split_at(at);
            let pointer = placeholder[1..].split_once('}');
            let (pointer, after) = pointer.ok_or("has a placeholder without its closing brace")?;
            let pointer = Pointer::parse(pointer)?;
            if pointer.is_in_fetched() {
                return Err(format!("has {{{}}} in it, but nothing is fetched yet", pointer.as_str()));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::At(pointer));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self(parts))
    }

    /// # Errors
    /// The pointer whose value `write` can't use.
    fn fill<'s>(&'s self, item: &Value, write: impl Fn(&Value) -> Option<String>) -> Result<String, &'s str> {
        let part = |part: &'s Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::At(pointer) => {
                let found = pointer.find(item, Nothing::Empty);
                found.and_then(|(_, value)| write(&value)).ok_or(pointer.as_str())
            }
        };
        self.0.iter().map(part).collect()
    }

    fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().filter_map(|part| match part {
            Part::At(pointer) => Some(pointer),
            Part::Text(_) => None,
        })
    }
}

/// The URL of a lookup.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct UrlTemplate {
    text: String,
    parts: Parts,
    host: String,
    pub reach: Reach,
}

impl UrlTemplate {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// With its port, for people.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn has_placeholders(&self) -> bool {
        self.parts.pointers().next().is_some()
    }

    /// The URL for this item. A value stands for itself, whatever characters it has.
    ///
    /// # Errors
    /// The pointer that finds nothing that could be in a URL.
    pub fn fill(&self, item: &Value) -> Result<String, &str> {
        let first = || self.parts.pointers().next().map_or("", Pointer::as_str);
        let url = self.parts.fill(item, |value| text(value).map(|text| in_url(&text)))?;
        // A value of dots alone would be a step up in the path.
        let is_as_written = Url::parse(&url).is_ok_and(|parsed| parsed.as_str() == url);
        if is_as_written && url.len() <= LONGEST_URL { Ok(url) } else { Err(first()) }
    }
}

/// A text, or a number or boolean as one.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let is_short = (1..=LONGEST_VALUE).contains(&text.len());
    (is_short && !text.contains(char::is_control)).then_some(text)
}

impl TryFrom<String> for UrlTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = Parts::parse(&text).map_err(|problem| format!("url {problem}"))?;
        if parts.0.iter().any(|part| matches!(part, Part::Text(text) if text.contains(['{', '}']))) {
            return Err("url has a brace in it that is no placeholder: write {/deal/id} for what is at /deal/id".into());
        }
        let sample: String = parts.0.iter().map(|part| if let Part::Text(text) = part { text } else { "x" }).collect();
        let url =
            Url::parse(&sample).map_err(|_| "url must be a URL such as https://api.example.com/deals/{/deal/id}")?;
        let (_, rest) = text.split_once("://").unwrap_or_default();
        if rest.split(['/', '?', '#']).next().is_some_and(|host| host.contains('{')) {
            return Err(
                "url has a placeholder in its host: whoever sends a webhook would choose who gets the token".into()
            );
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("url must not have a login or a # in it: write user and password beside it".into());
        }
        let reach = Reach::of(&text, &url).map_err(|_| {
            "url must lead to the internet, or plainly to this machine: 127.0.0.1, localhost or [::1]".to_owned()
        })?;
        if url.scheme() != "https" && (url.scheme(), reach) != ("http", Reach::ThisMachine) {
            return Err("url must start with https://".into());
        }
        if url.as_str() != sample {
            return Err(format!("url must be written as it is called, with encoded characters and a path: {url}"));
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        Ok(Self { text, parts, host, reach })
    }
}

/// The JSON body of a lookup. Placeholders are in its texts, so that no value can change its structure.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct BodyTemplate(Node);

#[derive(Clone, Debug)]
enum Node {
    Value(Value),
    Text(Parts),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl BodyTemplate {
    /// The body for this item. A text that is nothing but a placeholder becomes the value itself, a number as a number.
    /// Within a longer text, such as a query, a value must be an id: letters, digits, hyphens and underscores.
    ///
    /// # Errors
    /// The pointer that finds nothing of the kind.
    pub fn fill(&self, item: &Value) -> Result<Value, &str> {
        self.0.fill(item)
    }

    pub fn has_placeholders(&self) -> bool {
        self.0.has_placeholders()
    }
}

impl Node {
    fn parse(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Parts::parse(&text)?),
            Value::Array(all) => Self::List(all.into_iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(all) => {
                let field = |(name, value)| Ok::<_, String>((name, Self::parse(value)?));
                Self::Object(all.into_iter().map(field).collect::<Result<_, _>>()?)
            }
            other => Self::Value(other),
        })
    }

    fn fill<'s>(&'s self, item: &Value) -> Result<Value, &'s str> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Text(parts) => match &parts.0[..] {
                [Part::At(pointer)] => {
                    let found = pointer.find(item, Nothing::Empty).map(|(_, value)| value.into_owned());
                    found.filter(|value| text(value).is_some()).ok_or(pointer.as_str())?
                }
                _ => parts.fill(item, id)?.into(),
            },
            Self::List(all) => all.iter().map(|node| node.fill(item)).collect::<Result<Vec<_>, _>>()?.into(),
            Self::Object(all) => {
                let field = |(name, node): &'s (String, Self)| Ok((name.clone(), node.fill(item)?));
                Value::Object(all.iter().map(field).collect::<Result<Map<_, _>, &str>>()?)
            }
        })
    }

    fn has_placeholders(&self) -> bool {
        match self {
            Self::Value(_) => false,
            Self::Text(parts) => parts.pointers().next().is_some(),
            Self::List(all) => all.iter().any(Self::has_placeholders),
            Self::Object(all) => all.iter().any(|(_, node)| node.has_placeholders()),
        }
    }
}

impl TryFrom<String> for BodyTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let value = serde_json::from_str(&text)
            .map_err(|_| "body must be JSON whose placeholders are in quotes, such as '{\"id\": \"{/deal/id}\"}'")?;
        Node::parse(value).map(Self).map_err(|problem| format!("body {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Result<UrlTemplate, String> {
        UrlTemplate::try_from(text.to_owned())
    }

    #[test]
    fn a_value_is_put_into_a_url_as_itself() {
        let template = url("https://api.example.com/v2/records/{/id/record_id}?by={/by}").unwrap();
        for (value, encoded) in [
            (json!("abc-1"), "abc-1"),
            (json!(94_001), "94001"),
            (json!(" a b "), "a%20b"),
            (json!("a/b"), "a%2Fb"),
            (json!("../../admin"), "..%2F..%2Fadmin"),
            (json!("%2e%2e"), "%252e%252e"),
            (json!("x?y=z&a#b"), "x%3Fy%3Dz%26a%23b"),
            (json!("ü@example.com"), "%C3%BC%40example.com"),
            (json!("https://api.example.org/7"), "https%3A%2F%2Fapi.example.org%2F7"),
            (json!("\\\\evil.example.org"), "%5C%5Cevil.example.org"),
            (json!("{/by}"), "%7B%2Fby%7D"),
        ] {
            let item = json!({"id": {"record_id": value}, "by": value});
            let expected = format!("https://api.example.com/v2/records/{encoded}?by={encoded}");
            assert_eq!(template.fill(&item), Ok(expected), "{value}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_in_a_url_is_named() {
        let template = url("https://api.example.com/v2/{/id}/x").unwrap();
        let long = "x".repeat(301);
        for value in [
            json!(null),
            json!(""),
            json!(" "),
            json!("."),
            json!(".."),
            json!(["1"]),
            json!({"a": 1}),
            json!("a\u{0}b"),
            json!("a\nb"),
            json!(long),
        ] {
            assert_eq!(template.fill(&json!({"id": value})), Err("/id"), "{value}");
        }
        assert_eq!(template.fill(&json!({})), Err("/id"));
    }

    #[test]
    fn an_unsafe_url_is_refused_with_the_fix() {
        for (text, fix) in [
            ("api.example.com/{/id}", "such as https://"),
            ("http://api.example.com/{/id}", "start with https://"),
            ("ftp://api.example.com/{/id}", "start with https://"),
            ("https://{/host}/x", "placeholder in its host"),
            ("https://api{/host}.example.com/x", "placeholder in its host"),
            ("https://api.example.com:{/port}/x", ""),
            ("https://me:pw@api.example.com/{/id}", "login"),
            ("https://api.example.com/{/id}#x", "#"),
            ("https://api.example.com/{id}", "no placeholder"),
            ("https://api.example.com/{/id", "closing brace"),
            ("https://api.example.com/{/fetched/id}", "nothing is fetched yet"),
            ("https://api.example.com/{/a~b}", "~0"),
            ("https://api.example.com/../{/id}", "as it is called"),
            ("https://api.example.com/%2e%2e/{/id}", "as it is called"),
            ("https://api.example.com/a b/{/id}", "as it is called"),
            ("https://api.example.com", "as it is called"),
            ("https:\\\\api.example.com/{/id}", ""),
            ("https://10.0.0.1/{/id}", "internet"),
            ("https://169.254.169.254/latest/{/id}", "internet"),
            ("http://2130706433/{/id}", "internet"),
            ("http://127.1/{/id}", "internet"),
            ("https://[::ffff:10.0.0.1]/{/id}", "internet"),
        ] {
            let refused = url(text).expect_err(text);
            assert!(refused.contains(fix), "{text}: {refused}");
        }
        for text in ["http://127.0.0.1:8080/{/id}", "http://localhost/{/id}", "https://[::1]/{/id}"] {
            assert_eq!(url(text).map(|url| url.reach), Ok(Reach::ThisMachine), "{text}");
        }
    }

    #[test]
    fn a_value_cannot_change_a_body() {
        let body =
            r#"{"query": "{ items(ids: [{/id}]) { name } }", "variables": {"id": ["{/id}", 7], "who": "{/who}"}}"#;
        let template = BodyTemplate::try_from(body.to_owned()).unwrap();
        let item = |id: Value| json!({"id": id, "who": "\"}, {\"admin\": true"});
        let filled = template.fill(&item(json!(94))).unwrap();
        let who = "\"}, {\"admin\": true";
        let query = "{ items(ids: [94]) { name } }";
        assert_eq!(filled, json!({"query": query, "variables": {"id": [94, 7], "who": who}}));
        assert_eq!(template.fill(&item(json!("94"))).unwrap()["variables"]["id"], json!(["94", 7]));
        for hostile in ["1]) { secrets }", "\"", "1 2", "", "a{b}", "#"] {
            assert_eq!(template.fill(&item(json!(hostile))), Err("/id"), "{hostile}");
        }
        for (text, fix) in [
            ("", "must be JSON"),
            (r#"{"id": {/id}}"#, "in quotes"),
            (r#"{"id": "{/id"}"#, "closing brace"),
            (r#"{"id": "{/fetched/x}"}"#, "nothing is fetched yet"),
        ] {
            let refused = BodyTemplate::try_from(text.to_owned()).expect_err(text);
            assert!(refused.contains(fix), "{text}: {refused}");
        }
    }
}
