//! Authentication of webhooks: the schemes a source declares, their checks, verification, and signing for tests.
//!
//! Every scheme is one of two kinds: a [`Signature`] over parts of the request, or a [`Credential`], a secret that is
//! sent as it is. A vendor's own scheme is a signature with that vendor's headers filled in.

mod called_url;
mod credential;
mod declared;
mod encoding;
mod header_part;
mod key;
mod names;
mod signature;
mod template;
mod timestamp;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::http::Request;
use credential::Credential;
use signature::Signature;

pub use declared::DeclaredScheme;

/// A declared scheme with its live secrets.
#[derive(Debug)]
pub struct Scheme {
    name: &'static str,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    Signature(Signature),
    Credential(Credential),
}

/// A request whose sender was authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The scheme that matched, such as `hmac`.
    pub scheme: Cow<'static, str>,
    /// The setting whose secret matched; `public_key` where there is no secret.
    pub secret: String,
    /// The sender's name for the event, where the scheme has a header for it. It is signed only if the scheme signs it.
    pub event_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No declared scheme found its header or parameter.
    #[error("The request has neither a signature nor a secret.")]
    Missing,
    /// Well-formed, but made with another secret or over other bytes.
    #[error("The signature or secret does not match: check the secret, and sign exactly the bytes that are sent.")]
    Wrong,
    /// A malformed signature, a repeated header, or a header that is not plain ASCII.
    #[error("The signature or one of its headers is malformed or was sent more than once.")]
    Malformed,
    /// The timestamp header is absent.
    #[error("The header with the signed timestamp is missing.")]
    TimestampMissing,
    /// The timestamp is not a number.
    #[error("The signed timestamp must be a Unix time in digits.")]
    TimestampMalformed,
    /// Signed too long ago, or in the future.
    #[error(
        "The signature has expired or its timestamp is in the future: check the sender's clock, and sign every retry \
             again."
    )]
    Expired,
}

impl Refusal {
    /// The name used in counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Wrong => "signature_wrong",
            Self::Malformed => "signature_malformed",
            Self::TimestampMissing => "timestamp_missing",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::Expired => "signature_expired",
        }
    }
}

/// A request to sign.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    pub body: &'a [u8],
    /// The name of the event, for schemes that send one.
    pub id: &'a str,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// What signing adds to a request. It has no `Debug`: it may hold a secret.
pub struct Signed {
    /// These headers are added.
    pub headers: Vec<(String, String)>,
    /// This URL is called.
    pub url: String,
}

impl Scheme {
    /// Looks the secrets up by the name of their setting: NAME, and NAME_PREVIOUS for the one that is being replaced.
    ///
    /// # Errors
    /// Which setting is missing or invalid, and the fix; never its value.
    pub fn new(declared: &DeclaredScheme, secret: &dyn Fn(&str) -> Option<SecretString>) -> Result<Self, String> {
        let proof = match declared {
            DeclaredScheme::Hmac(hmac) => Proof::Signature(Signature::hmac(hmac, secret)?),
            DeclaredScheme::StandardWebhooks(standard) => {
                Proof::Signature(Signature::standard_webhooks(standard, secret)?)
            }
            DeclaredScheme::HubspotV3(hubspot) => Proof::Signature(Signature::hubspot_v3(hubspot, secret)?),
            DeclaredScheme::Close(close) => Proof::Signature(Signature::close(close, secret)?),
            DeclaredScheme::Ed25519(ed25519) => Proof::Signature(Signature::ed25519(ed25519)?),
            DeclaredScheme::Basic(basic) => Proof::Credential(Credential::basic(basic, secret)?),
            DeclaredScheme::Bearer(bearer) => Proof::Credential(Credential::bearer(bearer, secret)?),
            DeclaredScheme::Header(header) => Proof::Credential(Credential::header(header, secret)?),
            DeclaredScheme::Url(url) => Proof::Credential(Credential::url(url, secret)?),
        };
        Ok(Self { name: declared.name(), proof })
    }

    /// The scheme as it is called in a declaration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The settings whose secrets are live, the current one first; none where there is only a public key.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        match &self.proof {
            Proof::Signature(signature) => signature.secrets(),
            Proof::Credential(credential) => credential.secrets(),
        }
    }

    /// What a caller must send, such as `x-signature: sha256=<hex HMAC-SHA-256 of the body>`.
    #[must_use]
    pub fn expects(&self) -> String {
        match &self.proof {
            Proof::Signature(signature) => signature.expects(),
            Proof::Credential(credential) => credential.expects(),
        }
    }

    /// Signs with the current secret, as a sender does. None when only a public key is known.
    #[must_use]
    pub fn sign(&self, sample: &Sample<'_>) -> Option<Signed> {
        match &self.proof {
            Proof::Signature(signature) => signature.sign(sample),
            Proof::Credential(credential) => Some(credential.sign(sample)),
        }
    }

    /// None when nothing of this scheme is in the request.
    fn check(&self, request: &Request, now: DateTime<Utc>) -> Result<Option<Verified>, Refusal> {
        match &self.proof {
            Proof::Signature(signature) => signature.check(self.name, request, now),
            Proof::Credential(credential) => credential.check(self.name, request),
        }
    }
}

/// Authenticates a request. One matching scheme is enough, but everything that is present must be valid: a correct
/// secret doesn't make up for a wrong signature.
///
/// # Errors
/// Why it is refused.
pub fn verify(schemes: &[Scheme], request: &Request, now: DateTime<Utc>) -> Result<Verified, Refusal> {
    let mut verified = None;
    for scheme in schemes {
        let fits = scheme.check(request, now)?;
        verified = verified.or(fits);
    }
    verified.ok_or(Refusal::Missing)
}
