//! Whether every function would start with the settings that are planned.

use secrecy::SecretString;
use serde_json::{Map, Value};
use shared::http::cors::Origins;
use shared::settings::Values;
use shared::{App, intake};

use super::{google, secret_text};
use crate::Failure;

/// The parameters that functions read as settings, and the settings' names.
const PARAMETERS: [(&str, &str); 2] = [("AllowedOrigins", "ALLOWED_ORIGINS"), ("ConsentUnknown", "CONSENT_UNKNOWN")];

/// What all functions read.
type Everything = (
    Origins,
    (
        track_visit::Config,
        (
            track_event::Config,
            (
                record_consent::Config,
                (create_lead::Config, (intake::Config, (tracking_health::Config, upload_conversions::Config))),
            ),
        ),
    ),
);

/// Reads the settings as the functions do when they start.
///
/// # Errors
/// Everything that is missing or wrong, at once.
pub(crate) fn start<'a>(
    secret: &Map<String, Value>,
    parameter: impl Fn(&str) -> Option<&'a str>,
) -> Result<(), Failure> {
    let mut values: Values =
        secret.iter().map(|(name, value)| (name.clone(), SecretString::from(secret_text(value)))).collect();
    for (name, setting) in PARAMETERS.into_iter().chain(google::PARAMETERS) {
        // The template leaves a variable out whose parameter is empty.
        if let Some(value) = parameter(name).filter(|value| !value.is_empty()) {
            values.insert(setting.into(), value.into());
        }
    }
    let required = [
        track_visit::ENDPOINT.requires,
        track_event::ENDPOINT.requires,
        record_consent::ENDPOINT.requires,
        create_lead::ENDPOINT.requires,
        crm_conversion::ENDPOINT.requires,
        tracking_health::ENDPOINT.requires,
        upload_conversions::REQUIRES,
    ];
    let started = App::<Everything>::deployed(&values, &required.concat());
    started.map(drop).map_err(|error| {
        Failure::Message(format!("The functions would not start with these settings. {}", error.problems()))
    })
}

/// Keys of the secret that are probably one of `missing`, misspelled: a fresh key would silently replace them.
///
/// # Errors
/// All of them, with what they could mean.
pub(crate) fn spelling(secret: &Map<String, Value>, missing: &[&str]) -> Result<(), Failure> {
    /// Two slips of a finger. Names of settings differ by more.
    const SLIPS: usize = 2;
    let mut doubts = Vec::new();
    for name in missing {
        let is_close = |key: &&String| {
            let key = key.to_ascii_uppercase().replace('-', "_");
            key == **name || strsim::damerau_levenshtein(&key, name) <= SLIPS
        };
        let close = secret.keys().find(is_close);
        doubts.extend(
            close.map(|key| format!("The secret has {key} and no {name}: is it misspelled? Rename it, or remove it.")),
        );
    }
    if doubts.is_empty() { Ok(()) } else { Err(Failure::Message(doubts.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(secret: &Value, origins: &str) -> String {
        let parameter = |name: &str| match name {
            "AllowedOrigins" => Some(origins.to_owned().leak() as &str),
            "ConsentUnknown" => Some("hold"),
            _ => None,
        };
        start(secret.as_object().unwrap(), parameter).err().map(|it| it.to_string()).unwrap_or_default()
    }

    #[test]
    fn everything_that_would_keep_a_function_from_starting_is_named_at_once() {
        let key = "0123456789abcdef";
        let mut secret = json!({
            "DATABASE_URL": "postgresql://postgres@127.0.0.1/postgres",
            "IP_HASH_KEY": key, "WEBHOOK_SECRET": key, "HEALTH_KEY": key,
        });
        assert_eq!(said(&secret, "https://www.example.com"), "");
        secret["WEBHOOK_SECRET"] = "short".into();
        secret["PHONE_DEFAULT_REGION"] = "UK".into();
        secret.as_object_mut().unwrap().remove("HEALTH_KEY");
        let said = said(&secret, "*");
        for name in ["HEALTH_KEY", "WEBHOOK_SECRET must", "PHONE_DEFAULT_REGION must", "ALLOWED_ORIGINS must"] {
            assert!(said.contains(name), "{name} in {said}");
        }
    }

    #[test]
    fn keys_that_look_misspelled_are_all_named() {
        let secret = json!({"WEBHOK_SECRET": "a", "health-key": "b", "CLOSE_SIGNATURE_KEY": "c"});
        let missing = ["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY"];
        let said = spelling(secret.as_object().unwrap(), &missing).unwrap_err().to_string();
        assert!(said.contains("WEBHOK_SECRET and no WEBHOOK_SECRET") && said.contains("health-key and no"), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}
