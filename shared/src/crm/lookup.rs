//! Looks up at a CRM what its webhook left out.
//!
//! The webhooks of HubSpot, Pipedrive and Close name a deal, a person or a lead, but no e-mail and no phone. Each
//! adapter knows which requests find them; of any other API the declaration says it. The result is put into the item at
//! `/fetched`, where a declaration can point.

use std::fmt::Write as _;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use self::any_api::{AnyApi, Get, Post};
use self::api::CrmApi;
use self::asked::Asked;
use self::crm::Crm;
use super::fields::Pointer;
use crate::settings;

mod answers;
mod any_api;
mod api;
mod asked;
mod caller;
mod close;
mod crm;
mod hubspot;
mod pipedrive;
mod template;

/// The maximum number of e-mails, and of phones, of a lookup.
const MOST: usize = 20;

/// What a source declares under `fetch`: the CRM and its credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclaredLookup {
    /// HubSpot, with the access token of a private app.
    Hubspot(Access),
    /// Pipedrive, with the API token of a user. Companies have an address of their own, such as
    /// `https://acme.pipedrive.com`.
    Pipedrive(Access),
    /// Close, with an API key.
    Close(Access),
    /// Any JSON API, by GET.
    Get(Get),
    /// Any JSON API, by POST.
    Post(Post),
}

/// How to access a CRM's API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The name of the setting that has the token.
    #[serde(deserialize_with = "setting")]
    token: String,
    /// The API's base URL, without a path. By default the CRM's usual one.
    #[serde(default, deserialize_with = "address")]
    url: Option<String>,
}

const NO_NAME: &str =
    "a token, password or secret must be the name of a setting, such as CRM_API_TOKEN, not the secret itself";

/// The name of a setting. A token that was put there instead must not appear in an error.
fn setting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_name = (1..=64).contains(&name.len()) && settings::is_spelled_as_name(&name);
    if is_name { Ok(name) } else { Err(D::Error::custom(NO_NAME)) }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = crate::outgoing::endpoint(&String::deserialize(deserializer)?)
        .map_err(|problem| D::Error::custom(format!("url {problem}")))?;
    // A path would be prepended to the API's own, and every lookup answered with 404.
    let host = url::Url::parse(&text).ok().filter(|url| {
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
    });
    let host = host.ok_or_else(|| D::Error::custom("url must be a host alone, such as https://acme.pipedrive.com"))?;
    Ok(Some(host.origin().ascii_serialization()))
}

/// Looks records up at one API. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Lookup(Api);

#[derive(Clone, Debug)]
enum Api {
    Crm(Box<CrmApi>, Asked),
    Any(Box<AnyApi>),
}

/// Why a lookup failed. The reasons are for operators: they contain no token, no address and no personal data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The CRM is unavailable, or limits the rate: retry.
    #[error("{reason}")]
    Later {
        /// A sentence.
        reason: String,
        /// How long the CRM asks us to wait, at most six hours.
        after: Option<TimeDelta>,
    },
    /// The answer can't be read, perhaps because of this record: retry.
    #[error("{reason}")]
    Unreadable {
        /// A sentence.
        reason: String,
    },
    /// The CRM denies access. Every lookup of the source fails until someone applies the fix.
    #[error("{reason}")]
    Refused {
        /// A sentence with the fix.
        reason: String,
    },
    /// The record doesn't exist: don't retry.
    #[error("{reason}")]
    Gone {
        /// A sentence.
        reason: String,
    },
}

impl Lookup {
    /// With the token that `secret` has under the declared name. It asks for what the pointers need, too.
    ///
    /// # Errors
    /// If that setting is missing or isn't a valid token, the pointers need more than one request can ask for, or TLS
    /// can't be set up.
    pub(super) fn new<'a>(
        declared: &DeclaredLookup,
        pointers: impl IntoIterator<Item = &'a Pointer>,
        secret: &dyn Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, String> {
        let (crm, Access { token: setting, url }) = match declared {
            DeclaredLookup::Hubspot(access) => (Crm::Hubspot, access),
            DeclaredLookup::Pipedrive(access) => (Crm::Pipedrive, access),
            DeclaredLookup::Close(access) => (Crm::Close, access),
            DeclaredLookup::Get(get) => return AnyApi::get(get, secret).map(|api| Self(Api::Any(api.into()))),
            DeclaredLookup::Post(post) => return AnyApi::post(post, secret).map(|api| Self(Api::Any(api.into()))),
        };
        let url = url.as_deref().unwrap_or(crm.usual_url());
        let asked = Asked::by(pointers);
        if matches!(crm, Crm::Hubspot) {
            hubspot::check(&asked)?;
        }
        let token = secret(setting).ok_or_else(|| {
            if settings::is_name(setting) {
                format!("{setting} is missing. Set it to {}", crm.token_origin())
            } else {
                NO_NAME.into()
            }
        })?;
        CrmApi::new(crm, url, setting, token.expose_secret()).map(|api| Self(Api::Crm(api.into(), asked)))
    }

    /// The names of the settings it took its secrets from.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        match &self.0 {
            Api::Crm(api, _) => vec![&api.setting],
            Api::Any(api) => api.setting().into_iter().collect(),
        }
    }

    /// Whom it asks, for people: `HubSpot at https://api.hubapi.com`.
    #[must_use]
    pub fn asks(&self) -> String {
        match &self.0 {
            Api::Crm(api, _) => format!("{} at {}", api.crm.name(), api.url),
            Api::Any(api) => api.asks(),
        }
    }

    /// Looks up what belongs to this item of a webhook. A known CRM's answer has `emails` and `phones`, arrays of
    /// texts: the person's main one first, none twice, at most 20, possibly empty. Beside them is what the CRM
    /// answered: `deal` and `contacts` (HubSpot), `person` or null (Pipedrive), `lead` (Close). Of any other API it is
    /// what that answers.
    ///
    /// One request, two for HubSpot, of at most 10 seconds each.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn fetch(&self, item: &Value) -> Result<Value, LookupError> {
        match &self.0 {
            Api::Any(api) => api.fetch(item).await,
            Api::Crm(api, asked) => match api.crm {
                Crm::Hubspot => hubspot::fetch(api, asked, item).await,
                Crm::Pipedrive => pipedrive::fetch(api, item).await,
                Crm::Close => close::fetch(api, asked, item).await,
            },
        }
    }
}

/// An id, a text or a number, that can be put into a path unencoded. Anyone who has the secret can send a webhook, so
/// characters with a meaning in a URL are rejected.
fn id(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let known = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
    ((1..=100).contains(&text.len()) && text.bytes().all(known)).then_some(text)
}

/// A text as a part of a URL that stands for nothing but itself (RFC 3986: all but unreserved characters encoded).
fn in_url(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// E-mails or phones in the order in which they were added: none twice, none empty, at most [`MOST`].
#[derive(Debug, Default, Serialize)]
struct Reachable(Vec<String>);

impl Reachable {
    fn add<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        let Self(known) = self;
        for text in texts.into_iter().map(str::trim).filter(|text| !text.is_empty()) {
            if known.len() < MOST && !known.iter().any(|other| other.eq_ignore_ascii_case(text)) {
                known.push(text.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(toml: &str) -> Result<DeclaredLookup, String> {
        #[derive(Deserialize)]
        struct Source {
            fetch: DeclaredLookup,
        }
        toml::from_str(toml).map(|Source { fetch }| fetch).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_comes_from_the_setting_that_is_named() {
        let declared = declared("[fetch]\nhubspot = { token = \"HUBSPOT_TOKEN\" }").unwrap();
        let found = |name: &str| (name == "HUBSPOT_TOKEN").then(|| SecretString::from("pat-eu1-sesame"));
        let lookup = Lookup::new(&declared, [], &found).unwrap();
        assert_eq!(lookup.secrets(), ["HUBSPOT_TOKEN"]);
        assert!(!format!("{lookup:?}").contains("sesame"));
    }

    #[test]
    fn a_missing_or_invalid_token_is_reported_with_its_origin() {
        for (crm, origin) in [("hubspot", "Private Apps"), ("pipedrive", "Personal preferences"), ("close", "API Keys")]
        {
            let declared = declared(&format!("[fetch]\n{crm} = {{ token = \"CRM_TOKEN\" }}")).unwrap();
            let missing = Lookup::new(&declared, [], &|_| None).unwrap_err();
            assert!(missing.starts_with("CRM_TOKEN is missing") && missing.contains(origin), "{missing}");
            let broken = Lookup::new(&declared, [], &|_| Some("two\nlines".into())).unwrap_err();
            assert!(broken.contains("CRM_TOKEN") && !broken.contains("lines"), "{broken}");
            let pasted =
                super::tests::declared(&format!("[fetch]\n{crm} = {{ token = \"S3CR3TSESAME0PEN\" }}")).unwrap();
            let missing = Lookup::new(&pasted, [], &|_| None).unwrap_err();
            assert!(missing.contains("the name of a setting") && !missing.contains("S3CR3T"), "{missing}");
        }
    }

    #[test]
    fn an_invalid_declaration_is_refused_with_its_line() {
        for (access, problem) in [
            ("token = \"pat-eu1-sesame\"", "name of a setting"),
            ("token = \"\"", "name of a setting"),
            ("token = \"T\", url = \"http://acme.pipedrive.com\"", "url must start with https://"),
            ("token = \"T\", url = \"https://acme.pipedrive.com/v1\"", "host alone"),
            ("token = \"T\", url = \"https://acme.pipedrive.com?a=b\"", "host alone"),
            ("token = \"T\", url = \"https://me@acme.pipedrive.com\"", "host alone"),
            ("token = \"T\", secret = \"S\"", "unknown field"),
            ("url = \"https://acme.pipedrive.com\"", "missing field `token`"),
        ] {
            let error = declared(&format!("[fetch]\npipedrive = {{ {access} }}")).unwrap_err();
            assert!(error.contains(problem) && error.contains("line 2"), "{access}: {error}");
        }
        assert!(declared("[fetch]\nsalesforce = { token = \"T\" }").unwrap_err().contains("unknown variant"));
    }

    #[test]
    fn the_url_of_the_api_may_be_declared() {
        let url = |access: &str| {
            let declared = declared(&format!("[fetch]\npipedrive = {{ token = \"T\"{access} }}")).unwrap();
            Lookup::new(&declared, [], &|_| Some("t".into())).unwrap().asks()
        };
        assert_eq!(url(""), "Pipedrive at https://api.pipedrive.com");
        assert_eq!(url(", url = \"https://acme.pipedrive.com/\""), "Pipedrive at https://acme.pipedrive.com");
        assert_eq!(url(", url = \"http://127.0.0.1:8080\""), "Pipedrive at http://127.0.0.1:8080");
    }

    #[test]
    fn only_an_id_is_put_into_a_path() {
        assert_eq!(id(&json!(123)), Some("123".into()));
        assert_eq!(id(&json!("lead_zwqYhEFwzPyfCErS8uQ77is2wFLvr9BgVi6cTfbFM68")).map(|id| id.len()), Some(48));
        for hostile in ["", "../../x", "1?x=y", "1#", "1/2", "%2e", "a b", "ä", ".", &"1".repeat(101)] {
            assert_eq!(id(&json!(hostile)), None, "{hostile}");
        }
        for other in [json!(null), json!(1.5), json!([1]), json!({"id": 1}), json!(true)] {
            assert_eq!(id(&other), None, "{other}");
        }
    }

    #[test]
    fn an_address_is_listed_once() {
        let mut emails = Reachable::default();
        emails.add([" a@example.com ", "", "A@Example.com", "b@example.com"]);
        emails.add(None);
        assert_eq!(emails.0, ["a@example.com", "b@example.com"]);
        let many: Vec<_> = (0..30).map(|n| format!("{n}@example.com")).collect();
        emails.add(many.iter().map(String::as_str));
        assert_eq!(emails.0.len(), MOST);
    }
}
