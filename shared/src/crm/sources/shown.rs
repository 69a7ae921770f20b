//! A source as the operator sees it.

use super::Source;
use crate::crm::payload::BodyEncoding;
use crate::crm::rules::{Amount, Rule};

impl Source {
    /// Its rules in their order, for people: `status = won: closed`.
    pub fn rules(&self) -> impl Iterator<Item = String> {
        self.rules.iter().map(in_words)
    }

    /// The media type of what it sends.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.encoding {
            BodyEncoding::Json => "application/json",
            BodyEncoding::Form => "application/x-www-form-urlencoded",
        }
    }
}

fn in_words(rule: &Rule) -> String {
    let value = match rule.value {
        Amount::Deal => String::new(),
        Amount::Expected => ", value expected".into(),
        Amount::Fixed(value) => format!(", value {value}"),
        Amount::None => ", without value".into(),
    };
    format!("{}: {}{value}", rule.when, rule.conversion)
}
