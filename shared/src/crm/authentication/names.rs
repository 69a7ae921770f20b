//! The names in a declaration: of headers, of the settings that hold the secrets, and what else goes into a header or
//! URL.

use lambda_http::http::HeaderName;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;

use super::Refusal;
use crate::http::Request;
use crate::settings;

/// The name of a header, spelled as it is declared.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Header(String);

impl Header {
    /// A header that a vendor has named.
    pub(super) fn of_vendor(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its only value. Several are refused, because senders and proxies disagree on which one counts.
    pub(super) fn value<'r>(&self, request: &'r Request) -> Result<Option<&'r str>, Refusal> {
        let mut values = request.headers().get_all(self.as_str()).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match std::str::from_utf8(value.as_bytes()) {
                Ok(text) if is_visible(text) => Ok(Some(text)),
                _ => Err(Refusal::Malformed),
            },
            (Some(_), Some(_)) => Err(Refusal::Malformed),
        }
    }
}

impl TryFrom<String> for Header {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(_) => Ok(Self(name)),
            Err(_) => Err(format!("{name:?} is not a header name: use letters, digits and hyphens, as in x-signature")),
        }
    }
}

/// Can the text be a header's value? Visible ASCII and blanks.
pub(super) fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The name of a setting that holds a secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Setting(String);

const NO_NAME: &str = "must be the name of a setting that holds the secret, as ACME_SECRET, never the secret itself";

/// Finds the value of a setting.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<SecretString>;

/// A live secret.
#[derive(Debug)]
pub(super) struct Live {
    /// The setting it is in.
    pub(super) setting: String,
    pub(super) secret: SecretSlice<u8>,
}

impl Setting {
    /// The current secret and, while it is being replaced, the previous one. `read` converts a setting's text to bytes;
    /// its error says what the text must be.
    pub(super) fn live(
        &self,
        lookup: Lookup<'_>,
        read: impl Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<Live>, String> {
        let previous = format!("{}_PREVIOUS", self.0);
        let mut live = Vec::new();
        for setting in [&self.0, &previous] {
            // Templates can't leave a variable out, so an empty one counts as none.
            let Some(text) = lookup(setting).filter(|text| !text.expose_secret().is_empty()) else { continue };
            let secret = read(text.expose_secret()).map_err(|problem| format!("{setting} {problem}"))?;
            if secret.is_empty() {
                return Err(format!("{setting} must not be empty"));
            }
            live.push(Live { setting: setting.clone(), secret: SecretSlice::from(secret) });
        }
        if live.first().is_none_or(|first| first.setting != self.0) {
            if !settings::is_name(&self.0) {
                return Err(NO_NAME.into());
            }
            return Err(format!(
                "The setting {} is missing: put the secret that the sender uses there, in the environment or in the secret \
                 ADTRAIL_SECRET_ID names",
                self.0
            ));
        }
        Ok(live)
    }
}

impl TryFrom<String> for Setting {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        // The text is not in the error: it may be the secret itself.
        let is_name = name.len() <= 100
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && settings::is_spelled_as_name(&name);
        if !is_name {
            Err(NO_NAME)
        } else if name.ends_with("_PREVIOUS") {
            Err("must name the current secret's setting; the one of the same name and _PREVIOUS is read automatically")
        } else {
            Ok(Self(name))
        }
    }
}

/// A user's name. It has no colon, because HTTP Basic ends it there.
#[derive(Deserialize, Debug, Clone)]
#[serde(try_from = "String")]
pub(super) struct User(pub(super) String);

impl TryFrom<String> for User {
    type Error = &'static str;

    fn try_from(user: String) -> Result<Self, Self::Error> {
        if user.contains(':') || user.contains(char::is_control) {
            return Err("user must not contain a colon or a control character: HTTP Basic can't send them");
        }
        Ok(Self(user))
    }
}

/// The name of a parameter in a query string.
#[derive(Deserialize, Debug, Clone)]
#[serde(try_from = "String")]
pub(super) struct Parameter(pub(super) String);

impl Default for Parameter {
    fn default() -> Self {
        Self("secret".to_owned())
    }
}

impl TryFrom<String> for Parameter {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(known) {
            return Err("parameter must be letters, digits, hyphens, underscores and dots, as in secret");
        }
        Ok(Self(name))
    }
}

/// The prefix of a signature.
#[derive(Deserialize, Debug, Clone, Default)]
#[serde(try_from = "String")]
pub(super) struct Prefix(pub(super) String);

impl TryFrom<String> for Prefix {
    type Error = &'static str;

    fn try_from(prefix: String) -> Result<Self, Self::Error> {
        if !is_visible(&prefix) || prefix.starts_with(' ') {
            return Err("prefix must be the text before the signature in its header, in visible ASCII, as in sha256=");
        }
        Ok(Self(prefix))
    }
}
