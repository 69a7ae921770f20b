//! Presets for senders of leads, each with a sample of what it sends.

use serde::Deserialize;
use toml::de::{DeTable, ValueDeserializer};

use super::declared::DeclaredSource;

struct Preset {
    name: &'static str,
    toml: &'static str,
    sample: &'static str,
}

macro_rules! preset {
    ($name:literal, $ending:literal) => {
        Preset {
            name: $name,
            toml: include_str!(concat!("presets/", $name, ".toml")),
            sample: include_str!(concat!("presets/", $name, ".", $ending)),
        }
    };
}

const PRESETS: [Preset; 8] = [
    preset!("calendly", "json"),
    preset!("contact-form-7", "json"),
    preset!("elementor", "form"),
    preset!("google-lead-form", "json"),
    preset!("tally", "json"),
    preset!("typeform", "json"),
    preset!("webflow", "json"),
    preset!("wpforms", "json"),
];

/// The names of all presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The preset of this name, in TOML, with the steps to set it up.
#[must_use]
pub fn toml(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|preset| preset.name == name).map(|preset| preset.toml)
}

/// A body as that sender sends it.
#[must_use]
pub fn sample(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|preset| preset.name == name).map(|preset| preset.sample)
}

/// # Errors
/// The names of all presets.
pub(super) fn declared(name: &str) -> Result<DeclaredSource, String> {
    let unknown =
        || format!("there is no preset {name} of leads: it is one of {}", names().collect::<Vec<_>>().join(", "));
    let defect = |error: toml::de::Error| format!("the preset {name} is broken: {}", error.message());
    let table = DeTable::parse(toml(name).ok_or_else(unknown)?).map_err(defect)?.into_inner().into_iter().next();
    let (_, table) = table.ok_or_else(unknown)?;
    DeclaredSource::deserialize(ValueDeserializer::from(table)).map_err(defect)
}
