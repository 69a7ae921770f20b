//! Presets for common CRMs, each with a sample of what that CRM sends.

use std::fmt::Write;

use serde::Deserialize;
use toml::de::{DeTable, ValueDeserializer};

use super::sources::{DEFAULT, DeclaredSource};
use crate::deals::Stages;

/// A body as a CRM sends it.
#[derive(Clone, Copy, Debug)]
pub struct PresetSample {
    pub body: &'static str,
    pub content_type: &'static str,
}

struct Preset {
    name: &'static str,
    toml: &'static str,
    sample: PresetSample,
}

macro_rules! preset {
    ($name:literal, $ending:literal, $content_type:literal) => {
        Preset {
            name: $name,
            toml: include_str!(concat!("presets/", $name, ".toml")),
            sample: PresetSample {
                body: include_str!(concat!("presets/", $name, ".", $ending)),
                content_type: $content_type,
            },
        }
    };
    ($name:literal) => {
        preset!($name, "json", "application/json")
    };
}

const PRESETS: [Preset; 13] = [
    preset!("close"),
    preset!("crm-conversion"),
    preset!("gohighlevel"),
    preset!("hubspot-app"),
    preset!("hubspot-workflow"),
    preset!("make"),
    preset!("n8n"),
    preset!("nethunt"),
    preset!("pipedrive"),
    preset!("salesforce-flow"),
    preset!("standard-webhooks"),
    preset!("zapier"),
    preset!("zoho", "form", "application/x-www-form-urlencoded"),
];

/// The names of all presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The preset of this name, in TOML, with the steps to set up in that CRM.
#[must_use]
pub fn toml(name: &str) -> Option<&'static str> {
    find(name).map(|preset| preset.toml)
}

/// A sample of what that CRM sends.
#[must_use]
pub fn sample(name: &str) -> Option<PresetSample> {
    find(name).map(|preset| preset.sample)
}

fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset of this name. A preset may start from another one.
///
/// # Errors
/// The names of all presets.
pub(super) fn declared(name: &str, stages: &Stages) -> Result<DeclaredSource, String> {
    let unknown = || format!("there is no preset {name}: it is one of {}", names().collect::<Vec<_>>().join(", "));
    let mut text = toml(name).ok_or_else(unknown)?.to_owned();
    if name == DEFAULT {
        // Whoever keeps this contract names stages as we do.
        for stage in stages.declared() {
            let _ = write!(text, "\n[[{name}.rules]]\nwhen = {{ stage = \"{stage}\" }}\nconversion = \"{stage}\"\n");
        }
    }
    let defect = |error: toml::de::Error| format!("the preset {name} is broken: {}", error.message());
    let table = DeTable::parse(&text).map_err(defect)?.into_inner().into_iter().next();
    let (_, table) = table.ok_or_else(unknown)?;
    let declared = DeclaredSource::deserialize(ValueDeserializer::from(table)).map_err(defect)?;
    match &declared.preset {
        Some(base) => {
            let base = self::declared(base.get_ref(), stages)?;
            Ok(declared.over(base))
        }
        None => Ok(declared),
    }
}

#[cfg(test)]
mod tests;
