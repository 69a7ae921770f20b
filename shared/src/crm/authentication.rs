//! How a source's webhooks prove who sent them: schemes, as they are declared, checked, verified, and signed for a try.
//!
//! Every scheme is one of two kinds: a [`Signature`] over parts of the request, or a [`Credential`], a secret that is
//! sent as it is. A vendor's own way is a signature with that vendor's headers filled in.

mod called_url;
mod credential;
mod declared;
mod encoding;
mod key;
mod names;
mod signature;
mod template;
mod timestamp;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::http::Request;
use credential::Credential;
use signature::Signature;

pub use declared::Declared;

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

/// Who sent it, as far as a secret says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The scheme that fitted, such as `hmac`.
    pub scheme: &'static str,
    /// The setting whose secret fitted; `public_key` where there is no secret.
    pub secret: String,
    /// The sender's name for the event, where the scheme has a header for it. It is signed only if the scheme signs it.
    pub event_id: Option<String>,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No scheme found anything of its own.
    #[error("The request carries neither a signature nor a secret.")]
    Missing,
    /// Of the right shape, made with another secret or over something else.
    #[error("The signature or secret doesn't fit: check the secret, and that exactly the sent bytes are signed.")]
    Wrong,
    /// A signature of another shape, a header that comes twice, or one that is not plain ASCII.
    #[error("The signature, or a header that belongs to it, is not of the shape that is expected, or comes twice.")]
    Malformed,
    /// The header with the timestamp is absent.
    #[error("The header with the signed timestamp is missing.")]
    TimestampMissing,
    /// The timestamp is something else than digits.
    #[error("The signed timestamp must be one Unix time in digits.")]
    TimestampMalformed,
    /// Signed too long ago, or in the future.
    #[error("The signed timestamp is too far from now: check the sender's clock, and sign each try anew.")]
    Expired,
}

impl Refusal {
    /// For counters.
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

/// A request that is to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// Its body.
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
    /// Which setting is missing or can't be such a secret, and how to put it right; never its value.
    pub fn new(declared: &Declared, secret: &dyn Fn(&str) -> Option<SecretString>) -> Result<Self, String> {
        let proof = match declared {
            Declared::Hmac(hmac) => Proof::Signature(Signature::hmac(hmac, secret)?),
            Declared::StandardWebhooks(standard) => Proof::Signature(Signature::standard_webhooks(standard, secret)?),
            Declared::HubspotV3(hubspot) => Proof::Signature(Signature::hubspot_v3(hubspot, secret)?),
            Declared::Close(close) => Proof::Signature(Signature::close(close, secret)?),
            Declared::Ed25519(ed25519) => Proof::Signature(Signature::ed25519(ed25519)?),
            Declared::Basic(basic) => Proof::Credential(Credential::basic(basic, secret)?),
            Declared::Bearer(bearer) => Proof::Credential(Credential::bearer(bearer, secret)?),
            Declared::Header(header) => Proof::Credential(Credential::header(header, secret)?),
            Declared::Url(url) => Proof::Credential(Credential::url(url, secret)?),
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

/// Is the request from one who knows a secret? Any of the schemes will do. But what is there must be right: a good secret
/// doesn't make up for a wrong signature.
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
