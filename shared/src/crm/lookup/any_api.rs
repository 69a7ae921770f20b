//! Any JSON API: the request is declared, and what it answers is what was fetched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::caller::{Caller, Credentials, Fixes};
use super::template::{BodyTemplate, UrlTemplate};
use super::{LookupError, NO_NAME, setting};
use crate::crm::checked::checked;
use crate::outgoing::http_client_to;
use crate::settings;

/// A request that is declared: where, and the credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Get {
    url: UrlTemplate,
    #[serde(default)]
    token: Option<SettingName>,
    user: Option<String>,
    #[serde(default)]
    password: Option<SettingName>,
    header: Option<SecretHeader>,
}

/// The same with a JSON body, for an API that is asked by POST, such as GraphQL.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Post {
    url: UrlTemplate,
    body: BodyTemplate,
    #[serde(default)]
    token: Option<SettingName>,
    user: Option<String>,
    #[serde(default)]
    password: Option<SettingName>,
    header: Option<SecretHeader>,
}

checked!(Get, Post);

impl Get {
    fn check(&self) -> Result<(), &'static str> {
        if !self.url.has_placeholders() {
            return Err("url is the same for every event: put what it asks for into it, such as {/deal/id}");
        }
        self.login().check()
    }

    fn login(&self) -> Login<'_> {
        let Self { token, user, password, header, .. } = self;
        Login { token, user, password, header }
    }
}

impl Post {
    fn check(&self) -> Result<(), &'static str> {
        if !self.url.has_placeholders() && !self.body.has_placeholders() {
            return Err("url and body are the same for every event: put what they ask for into the body, such as \
                        \"{/deal/id}\"");
        }
        self.login().check()
    }

    fn login(&self) -> Login<'_> {
        let Self { token, user, password, header, .. } = self;
        Login { token, user, password, header }
    }
}

/// The name of the setting that holds a secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct SettingName(#[serde(deserialize_with = "setting")] String);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretHeader {
    name: CredentialHeader,
    secret: SettingName,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct CredentialHeader(HeaderName);

impl TryFrom<String> for CredentialHeader {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let ours =
            [ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !ours.contains(name));
        name.map(Self).ok_or("name must be the header that the API reads a secret from, such as x-api-key")
    }
}

/// The credentials as they are declared: of one kind, or none.
struct Login<'a> {
    token: &'a Option<SettingName>,
    user: &'a Option<String>,
    password: &'a Option<SettingName>,
    header: &'a Option<SecretHeader>,
}

impl Login<'_> {
    fn check(&self) -> Result<(), &'static str> {
        if self.user.is_some() != self.password.is_some() {
            return Err("user and password belong together: for a bearer token write token = \"NAME_OF_A_SETTING\"");
        }
        if self.user.as_ref().is_some_and(|user| user.contains(':') || user.contains(char::is_control)) {
            return Err("user must not contain a colon or a control character: HTTP Basic can't send them");
        }
        let kinds = [self.token.is_some(), self.user.is_some(), self.header.is_some()];
        if kinds.into_iter().filter(|is_there| *is_there).count() > 1 {
            return Err("authenticates in more than one way: keep token, or user and password, or header");
        }
        Ok(())
    }

    fn setting(&self) -> Option<&str> {
        let header = self.header.as_ref().map(|header| &header.secret);
        let setting = self.token.as_ref().or(self.password.as_ref()).or(header);
        setting.map(|SettingName(name)| name.as_str())
    }

    /// The header for this secret.
    fn credentials(&self, secret: &str) -> Option<Credentials> {
        let (name, value) = match (self.user, self.header) {
            (Some(user), _) => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))),
            (None, Some(SecretHeader { name: CredentialHeader(name), .. })) => (name.clone(), secret.to_owned()),
            (None, None) => (AUTHORIZATION, format!("Bearer {secret}")),
        };
        let is_visible = !secret.is_empty() && secret.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_visible && secret.trim() == secret { Credentials::new(name, &value) } else { None }
    }
}

/// An API that is asked as declared.
#[derive(Clone, Debug)]
pub(super) struct AnyApi {
    url: UrlTemplate,
    /// Of a POST.
    body: Option<BodyTemplate>,
    setting: Option<String>,
    caller: Caller,
}

type Secret<'a> = &'a dyn Fn(&str) -> Option<SecretString>;

impl AnyApi {
    pub fn get(declared: &Get, secret: Secret<'_>) -> Result<Self, String> {
        Self::new(&declared.url, None, &declared.login(), secret)
    }

    pub fn post(declared: &Post, secret: Secret<'_>) -> Result<Self, String> {
        Self::new(&declared.url, Some(&declared.body), &declared.login(), secret)
    }

    /// # Errors
    /// If the setting of its secret is missing or can't be sent, or TLS can't be set up.
    fn new(
        url: &UrlTemplate,
        body: Option<&BodyTemplate>,
        login: &Login<'_>,
        secret: Secret<'_>,
    ) -> Result<Self, String> {
        let name = format!("The API at {}", url.host());
        let setting = login.setting();
        let credentials = setting.map(|setting| {
            let secret = secret(setting).filter(|secret| !secret.expose_secret().is_empty()).ok_or_else(|| {
                if settings::is_name(setting) {
                    format!("{setting} is missing. Set it to the secret that the API at {} gave you", url.host())
                } else {
                    NO_NAME.into()
                }
            })?;
            let credentials = login.credentials(secret.expose_secret());
            credentials.ok_or_else(|| format!("{setting} must be visible ASCII, because it is sent in a header"))
        });
        let of_setting = setting.map(|setting| format!(" the secret in {setting}")).unwrap_or_default();
        let fixes = Fixes {
            rejected: match setting {
                Some(setting) => format!("{name} rejects{of_setting}. Set {setting} to one that is valid."),
                None => format!("{name} wants credentials. Add token, user and password, or header to fetch."),
            },
            denied: format!("{name} denies{of_setting} access to this record. Give it the permission to read it."),
            redirected: "Set url to the address it leads to: redirects are not followed.".into(),
        };
        let caller = Caller::new(name, credentials.transpose()?, fixes, http_client_to(url.reach)?);
        Ok(Self { url: url.clone(), body: body.cloned(), setting: setting.map(str::to_owned), caller })
    }

    pub fn setting(&self) -> Option<&str> {
        self.setting.as_deref()
    }

    /// For people.
    pub fn asks(&self) -> String {
        format!("{} {}", if self.body.is_some() { "POST" } else { "GET" }, self.url.as_str())
    }

    pub async fn fetch(&self, item: &Value) -> Result<Value, LookupError> {
        let Self { url, body, caller, .. } = self;
        let url = url.fill(item).map_err(|pointer| caller.no_id(pointer))?;
        let record = "such record";
        let Some(body) = body else { return caller.get(&url, record).await };
        let body = body.fill(item).map_err(|pointer| caller.no_id(pointer))?;
        let answer = caller.post(&url, &body, record).await?;
        // GraphQL says with 200 that it did nothing. What it says may be about a person.
        let has_errors = answer["errors"].as_array().is_some_and(|errors| !errors.is_empty());
        if has_errors && answer["data"].is_null() {
            let reason = format!(
                "{} answers with errors instead of data. Try the body and the secret of fetch; Adtrail retries by itself.",
                caller.name
            );
            return Err(LookupError::Unreadable { reason });
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
