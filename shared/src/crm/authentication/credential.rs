//! Secrets that are sent as they are. Anyone who sees one request can forge others; for senders that can't sign.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::declared::{Basic, Bearer, SecretHeader, SecretParameter};
use super::names::{Header, Live, Lookup, is_visible};
use super::{Refusal, Sample, Signed, Verified};
use crate::http::Request;
use crate::http::authorization::{credentials, is_same};

/// A secret and where it is sent.
#[derive(Debug)]
pub(super) struct Credential {
    place: Place,
    /// The current secret first; for HTTP Basic with the user's name before it.
    live: Vec<Live>,
}

#[derive(Debug)]
enum Place {
    Basic,
    Bearer,
    Header(Header),
    Parameter(String),
}

impl Credential {
    pub(super) fn basic(declared: &Basic, secret: Lookup<'_>) -> Result<Self, String> {
        let pair = |password: &str| Ok(format!("{}:{password}", declared.user.0).into_bytes());
        Ok(Self { place: Place::Basic, live: declared.password.live(secret, pair)? })
    }

    pub(super) fn bearer(declared: &Bearer, secret: Lookup<'_>) -> Result<Self, String> {
        Ok(Self { place: Place::Bearer, live: declared.secret.live(secret, header_value)? })
    }

    pub(super) fn header(declared: &SecretHeader, secret: Lookup<'_>) -> Result<Self, String> {
        Ok(Self { place: Place::Header(declared.name.clone()), live: declared.secret.live(secret, header_value)? })
    }

    pub(super) fn url(declared: &SecretParameter, secret: Lookup<'_>) -> Result<Self, String> {
        let live = declared.secret.live(secret, |text| Ok(text.as_bytes().to_vec()))?;
        Ok(Self { place: Place::Parameter(declared.parameter.0.clone()), live })
    }

    /// None if the request has no credential of this kind. Every live secret is compared.
    pub(super) fn check(&self, scheme: &'static str, request: &Request) -> Result<Option<Verified>, Refusal> {
        let Some(given) = self.place.value(request)? else { return Ok(None) };
        let mut fitted = None;
        for live in &self.live {
            let is_same = is_same(&given, live.secret.expose_secret());
            fitted = fitted.or(is_same.then_some(&live.setting));
        }
        let setting = fitted.ok_or(Refusal::Wrong)?;
        Ok(Some(Verified { scheme: scheme.into(), secret: setting.clone(), event_id: None }))
    }

    pub(super) fn sign(&self, sample: &Sample<'_>) -> Signed {
        let secret = self.live.first().map_or(&[][..], |live| live.secret.expose_secret());
        let text = String::from_utf8_lossy(secret);
        let mut url = sample.url.to_owned();
        let mut headers = Vec::new();
        match &self.place {
            Place::Basic => headers.push((AUTHORIZATION.to_string(), format!("Basic {}", STANDARD.encode(secret)))),
            Place::Bearer => headers.push((AUTHORIZATION.to_string(), format!("Bearer {text}"))),
            Place::Header(header) => headers.push((header.as_str().to_owned(), text.into_owned())),
            Place::Parameter(name) => {
                url.push(if url.contains('?') { '&' } else { '?' });
                url += &form_urlencoded::Serializer::new(String::new()).append_pair(name, &text).finish();
            }
        }
        Signed { headers, url }
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        self.live.iter().map(|live| live.setting.as_str()).collect()
    }

    pub(super) fn expects(&self) -> String {
        match &self.place {
            Place::Basic => "Authorization: Basic <base64 of user:password>".to_owned(),
            Place::Bearer => "Authorization: Bearer <the secret>".to_owned(),
            Place::Header(header) => format!("{}: <the secret>", header.as_str()),
            Place::Parameter(name) => format!("{name}=<the secret> in the query string"),
        }
    }
}

impl Place {
    fn value<'r>(&self, request: &'r Request) -> Result<Option<Cow<'r, [u8]>>, Refusal> {
        match self {
            Self::Basic => {
                let given = authorization(request, "Basic")?;
                given.map(|pair| STANDARD.decode(pair).map(Cow::Owned).map_err(|_| Refusal::Malformed)).transpose()
            }
            Self::Bearer => Ok(authorization(request, "Bearer")?.map(|token| Cow::Borrowed(token.as_bytes()))),
            Self::Header(header) => Ok(header.value(request)?.map(|value| Cow::Borrowed(value.as_bytes()))),
            Self::Parameter(name) => {
                let query = request.uri().query().unwrap_or_default().as_bytes();
                let mut given = form_urlencoded::parse(query).filter(|(parameter, _)| parameter == name);
                match (given.next(), given.next()) {
                    (Some((_, value)), None) => Ok(Some(Cow::Owned(value.into_owned().into_bytes()))),
                    (None, _) => Ok(None),
                    (Some(_), Some(_)) => Err(Refusal::Malformed),
                }
            }
        }
    }
}

fn authorization<'r>(request: &'r Request, scheme: &str) -> Result<Option<&'r str>, Refusal> {
    let value = Header::of_vendor("Authorization").value(request)?;
    Ok(value.and_then(|value| credentials(value, scheme)))
}

/// A secret that a header can carry.
fn header_value(text: &str) -> Result<Vec<u8>, String> {
    if text.trim() == text && is_visible(text) {
        Ok(text.as_bytes().to_vec())
    } else {
        Err("must be visible ASCII without leading or trailing spaces, because it is sent in a header: generate one \
             with openssl rand -hex 32"
            .to_owned())
    }
}
