//! A secret that the sender writes into the body.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Secrets;
use super::declared::DeclaredKey;
use crate::http::authorization::is_same;

/// Where it is, and what it may be.
#[derive(Debug)]
pub(super) struct Key {
    pub at: String,
    /// The settings that hold it.
    pub names: Vec<String>,
    live: Vec<SecretString>,
}

impl Key {
    /// # Errors
    /// Which setting is missing.
    pub fn new(declared: &DeclaredKey, secret: &Secrets<'_>) -> Result<Self, String> {
        let names = [declared.secret.clone(), format!("{}_PREVIOUS", declared.secret)];
        let set = |name: &String| secret(name).filter(|it| !it.expose_secret().trim().is_empty());
        if set(&names[0]).is_none() {
            return Err(format!(
                "{} is not set: it must hold the key that the sender writes into {}",
                names[0], declared.at
            ));
        }
        let (names, live) = names.into_iter().filter_map(|name| Some((name.clone(), set(&name)?))).unzip();
        Ok(Self { at: declared.at.clone(), names, live })
    }

    /// As the sender writes it.
    pub fn live(&self) -> &str {
        self.live.first().map(ExposeSecret::expose_secret).unwrap_or_default()
    }

    /// Does the body have it?
    pub fn is_in(&self, body: &Value) -> bool {
        let Some(given) = body.pointer(&self.at).and_then(Value::as_str) else { return false };
        self.live.iter().fold(false, |found, live| is_same(given.as_bytes(), live.expose_secret().as_bytes()) | found)
    }
}
