//! What is signed: a text with placeholders for the parts of the request.

use std::fmt;

use serde::Deserialize;

/// The signed message, such as `{timestamp}.{body}`. The body is always in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplatePart {
    Body,
    Timestamp,
    Method,
    Url,
    Id,
    Text(String),
}

/// The parts of one request. What the template doesn't name may be empty.
pub(super) struct Parts<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) body: &'a [u8],
    pub(super) timestamp: &'a str,
    pub(super) id: &'a str,
}

impl Template {
    pub(super) fn of<const N: usize>(parts: [TemplatePart; N]) -> Self {
        Self(parts.into())
    }

    pub(super) fn has(&self, part: &TemplatePart) -> bool {
        self.0.contains(part)
    }

    /// The message of this request.
    pub(super) fn fill(&self, parts: &Parts<'_>) -> Vec<u8> {
        let bytes = |part| match part {
            &TemplatePart::Body => parts.body,
            TemplatePart::Timestamp => parts.timestamp.as_bytes(),
            TemplatePart::Method => parts.method.as_bytes(),
            TemplatePart::Url => parts.url.as_bytes(),
            TemplatePart::Id => parts.id.as_bytes(),
            TemplatePart::Text(text) => text.as_bytes(),
        };
        self.0.iter().map(bytes).collect::<Vec<_>>().concat()
    }
}

impl Default for Template {
    fn default() -> Self {
        Self::of([TemplatePart::Body])
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            TemplatePart::Body => f.write_str("{body}"),
            TemplatePart::Timestamp => f.write_str("{timestamp}"),
            TemplatePart::Method => f.write_str("{method}"),
            TemplatePart::Url => f.write_str("{url}"),
            TemplatePart::Id => f.write_str("{id}"),
            TemplatePart::Text(text) => f.write_str(text),
        })
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = "{body}, {timestamp}, {method}, {url} and {id}";
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, placeholder) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(TemplatePart::Text(before.to_owned()));
            }
            let Some((name, after)) = placeholder.strip_prefix('{').and_then(|it| it.split_once('}')) else {
                return Err(format!("signed has a brace without its other half; placeholders are {known}"));
            };
            parts.push(match name {
                "body" => TemplatePart::Body,
                "timestamp" => TemplatePart::Timestamp,
                "method" => TemplatePart::Method,
                "url" => TemplatePart::Url,
                "id" => TemplatePart::Id,
                _ => return Err(format!("signed has the unknown placeholder {{{name}}}; there are {known}")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Text(rest.to_owned()));
        }
        if parts.contains(&TemplatePart::Body) {
            Ok(Self(parts))
        } else {
            Err("signed must have {body} in it: whoever has one signature could send any body otherwise".to_owned())
        }
    }
}
