//! Ready declarations for common CRMs, each with a sample of what that CRM sends.

use serde::Deserialize;
use toml::de::{DeTable, ValueDeserializer};

use super::sources::Declared;

/// A body as a CRM sends it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The body.
    pub body: &'static str,
    /// Its media type.
    pub content_type: &'static str,
}

struct Ready {
    name: &'static str,
    toml: &'static str,
    sample: Sample,
}

macro_rules! ready {
    ($name:literal, $ending:literal, $content_type:literal) => {
        Ready {
            name: $name,
            toml: include_str!(concat!("ready/", $name, ".toml")),
            sample: Sample { body: include_str!(concat!("ready/", $name, ".", $ending)), content_type: $content_type },
        }
    };
    ($name:literal) => {
        ready!($name, "json", "application/json")
    };
}

const READY: [Ready; 13] = [
    ready!("close"),
    ready!("crm-conversion"),
    ready!("gohighlevel"),
    ready!("hubspot-app"),
    ready!("hubspot-workflow"),
    ready!("make"),
    ready!("n8n"),
    ready!("nethunt"),
    ready!("pipedrive"),
    ready!("salesforce-flow"),
    ready!("standard-webhooks"),
    ready!("zapier"),
    ready!("zoho", "form", "application/x-www-form-urlencoded"),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    READY.iter().map(|ready| ready.name)
}

/// The declaration of this name, in TOML, with what to paste where in that CRM.
#[must_use]
pub fn toml(name: &str) -> Option<&'static str> {
    find(name).map(|ready| ready.toml)
}

/// What that CRM sends.
#[must_use]
pub fn sample(name: &str) -> Option<Sample> {
    find(name).map(|ready| ready.sample)
}

fn find(name: &str) -> Option<&'static Ready> {
    READY.iter().find(|ready| ready.name == name)
}

/// The declaration of this name. One may start from another.
///
/// # Errors
/// The names there are.
pub(super) fn declared(name: &str) -> Result<Declared, String> {
    let unknown =
        || format!("there is no ready declaration {name}: it is one of {}", names().collect::<Vec<_>>().join(", "));
    let text = toml(name).ok_or_else(unknown)?;
    let defect = |error: toml::de::Error| format!("the ready declaration {name} is broken: {}", error.message());
    let table = DeTable::parse(text).map_err(defect)?.into_inner().into_iter().next();
    let (_, table) = table.ok_or_else(unknown)?;
    let declared = Declared::deserialize(ValueDeserializer::from(table)).map_err(defect)?;
    match &declared.ready {
        Some(base) => {
            let base = self::declared(base.get_ref())?;
            Ok(declared.over(base))
        }
        None => Ok(declared),
    }
}

#[cfg(test)]
mod tests;
