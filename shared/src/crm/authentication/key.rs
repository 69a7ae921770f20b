//! What a signature is checked with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use ring::signature::{ED25519, UnparsedPublicKey};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::encoding::SignatureEncoding;
use super::names::Live;

/// A live key, and the prefix of its signatures.
#[derive(Debug)]
pub(super) struct Key {
    /// The setting that holds it.
    pub(super) name: String,
    pub(super) prefix: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Hmac { algorithm: Algorithm, secret: SecretSlice<u8> },
    Ed25519(PublicKey),
}

/// The hash in an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Algorithm {
    #[default]
    Sha256,
    /// For senders that support nothing newer. In an HMAC it is still secure.
    Sha1,
    Sha512,
}

impl Key {
    pub(super) fn hmac(live: Live, algorithm: Algorithm, prefix: &str) -> Self {
        let kind = Kind::Hmac { algorithm, secret: live.secret };
        Self { name: live.setting, prefix: prefix.to_owned(), kind }
    }

    pub(super) fn ed25519(key: &PublicKey, prefix: &str) -> Self {
        Self { name: "public_key".to_owned(), prefix: prefix.to_owned(), kind: Kind::Ed25519(key.clone()) }
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Hmac { .. })
    }

    /// The name of its signatures.
    pub(super) fn algorithm(&self) -> &'static str {
        match &self.kind {
            Kind::Hmac { algorithm: Algorithm::Sha256, .. } => "HMAC-SHA-256",
            Kind::Hmac { algorithm: Algorithm::Sha1, .. } => "HMAC-SHA-1",
            Kind::Hmac { algorithm: Algorithm::Sha512, .. } => "HMAC-SHA-512",
            Kind::Ed25519(_) => "Ed25519 signature",
        }
    }

    /// The bytes of a signature, if the text has the shape of one of this key's.
    pub(super) fn read(&self, text: &str, encoding: SignatureEncoding) -> Option<Vec<u8>> {
        let length = match &self.kind {
            Kind::Hmac { algorithm: Algorithm::Sha256, .. } => 32,
            Kind::Hmac { algorithm: Algorithm::Sha1, .. } => 20,
            Kind::Hmac { algorithm: Algorithm::Sha512, .. } | Kind::Ed25519(_) => 64,
        };
        encoding.decode(text.strip_prefix(&self.prefix)?).filter(|bytes| bytes.len() == length)
    }

    /// Is one of the signatures this key's? All are compared, in constant time.
    pub(super) fn has_made_one_of(&self, signatures: &[Vec<u8>], message: &[u8]) -> bool {
        match &self.kind {
            Kind::Hmac { algorithm, secret } => {
                let good = algorithm.mac(secret, message);
                signatures.iter().fold(false, |found, signature| bool::from(signature.ct_eq(&good)) | found)
            }
            Kind::Ed25519(PublicKey(key)) => {
                let key = UnparsedPublicKey::new(&ED25519, key);
                signatures.iter().fold(false, |found, signature| key.verify(message, signature).is_ok() | found)
            }
        }
    }

    /// None for a public key.
    pub(super) fn sign(&self, message: &[u8], encoding: SignatureEncoding) -> Option<String> {
        match &self.kind {
            Kind::Hmac { algorithm, secret } => {
                Some(format!("{}{}", self.prefix, encoding.encode(&algorithm.mac(secret, message))))
            }
            Kind::Ed25519(_) => None,
        }
    }
}

impl Algorithm {
    fn mac(self, secret: &SecretSlice<u8>, message: &[u8]) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(secret: &SecretSlice<u8>, message: &[u8]) -> Vec<u8> {
            let mut mac =
                <M as KeyInit>::new_from_slice(secret.expose_secret()).expect("HMAC takes a key of any length");
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha256 => of::<Hmac<Sha256>>(secret, message),
            Self::Sha1 => of::<Hmac<Sha1>>(secret, message),
            Self::Sha512 => of::<Hmac<Sha512>>(secret, message),
        }
    }
}

/// An Ed25519 public key.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PublicKey([u8; 32]);

impl PublicKey {
    /// The prefix of the 32 bytes in a SubjectPublicKeyInfo (RFC 8410).
    const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

    fn parse(text: &str) -> Option<Self> {
        let pem = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
        let bytes = match pem.and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----")) {
            Some(lines) => {
                STANDARD.decode(lines.split_whitespace().collect::<String>()).ok()?.strip_prefix(&Self::SPKI)?.to_vec()
            }
            None => STANDARD.decode(text.strip_prefix("whpk_").unwrap_or(text)).ok()?,
        };
        bytes.try_into().ok().map(Self)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or(
            "public_key must be an Ed25519 public key: base64 of its 32 bytes, with or without whpk_ before it, or the PEM \
             text from -----BEGIN PUBLIC KEY----- on",
        )
    }
}
