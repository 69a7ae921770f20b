//! Google's credentials: a file, whose content goes into the secret.

use std::fs;

use serde_json::{Map, Value};

use crate::visible;

const SERVICE_ACCOUNT_KEY: &str = "GOOGLE_SERVICE_ACCOUNT_KEY";
const EXTERNAL_ACCOUNT: &str = "GOOGLE_EXTERNAL_ACCOUNT";
const REFRESH_TOKEN: &str = "GOOGLE_REFRESH_TOKEN";

/// Reads the file of this name and answers its content.
///
/// # Errors
/// What is wrong with it: the end of a sentence.
pub(crate) fn read(file: &str) -> Result<String, String> {
    let name = visible::short(file);
    let text = fs::read_to_string(file).map_err(|error| format!("names {name}, which can't be read: {error}"))?;
    match setting(&text) {
        Some(_) => Ok(text),
        None => Err(format!(
            "names {name}, which is neither the JSON key of a service account nor the JSON that gcloud writes for \
             Workload Identity Federation: docs/google-ads.md says how to get one"
        )),
    }
}

/// The key of the secret that credentials of this content belong under.
pub(crate) fn setting(content: &str) -> Option<&'static str> {
    let object: Map<String, Value> = serde_json::from_str(content).ok()?;
    match object.get("type")?.as_str()? {
        "service_account" => Some(SERVICE_ACCOUNT_KEY),
        "external_account" => Some(EXTERNAL_ACCOUNT),
        _ => None,
    }
}

/// The key under which the secret has credentials.
pub(crate) fn kept(secret: &Map<String, Value>) -> Option<&'static str> {
    [SERVICE_ACCOUNT_KEY, EXTERNAL_ACCOUNT, REFRESH_TOKEN].into_iter().find(|name| secret.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_key_of_its_own() {
        assert_eq!(setting(r#"{"type": "service_account"}"#), Some(SERVICE_ACCOUNT_KEY));
        assert_eq!(setting(r#"{"type": "external_account"}"#), Some(EXTERNAL_ACCOUNT));
        assert_eq!(setting(r#"{"type": "authorized_user"}"#), None);
        assert_eq!(setting("nothing"), None);
        assert!(read("/nowhere/google-key.json").unwrap_err().contains("can't be read"));
    }
}
