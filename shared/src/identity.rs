//! Who a person is, as far as the platforms and the CRM need to know: normalised once, hashed once.
//!
//! Google and the rest of the world hash the same address differently, and a hash can't be normalised again, so both
//! are made at intake. These hashes are plain SHA-256 because the platforms require it: treat them as personal data.

mod carrier;
pub mod client_id;
mod email;
mod phone;
#[cfg(test)]
pub(crate) mod vectors;

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use carrier::Carrier;
pub use client_id::ClientId;
pub use email::{Addresses, Email};
pub use phone::{Guess, NoHash, Phone, PhoneReading, Region, number_as_text, with_lost_plus};

/// The version of what [`Email`] and [`Phone`] make of a text. Raise it when they read more, or another spelling: deals
/// that wait for their lead are then read again, once.
pub const READING: i16 = 2;

/// A lower-case hexadecimal SHA-256, 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
pub struct Hash(String);

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_hash = text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if is_hash { Ok(Self(text)) } else { Err("must be a SHA-256 in 64 lower-case hexadecimal digits") }
    }
}

impl Hash {
    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes as lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// HMAC-SHA-256 of a visitor's address under the deployment's key: every plain hash of an IPv4 address can be searched
/// through in minutes. IPv6 is cut to its /64, which is what one connection is given.
#[must_use]
pub fn ip_hash(address: IpAddr, key: &SecretString) -> Hash {
    let canonical = match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets()[..8].to_vec(),
    };
    Hash(hex(&hmac(key, &canonical).finalize().into_bytes()))
}

/// HMAC-SHA-256 of a message under a secret.
#[expect(clippy::missing_panics_doc, reason = "HMAC takes a key of any length")]
#[must_use]
pub fn hmac(key: &SecretString, message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_hash_alike_and_keys_differ() {
        let key = SecretString::from("one");
        let hash = |text: &str, key: &SecretString| ip_hash(text.parse().unwrap(), key);
        assert_eq!(hash("2001:db8::1", &key), hash("2001:db8::ffff", &key));
        assert_eq!(hash("::ffff:192.0.2.1", &key), hash("192.0.2.1", &key));
        assert_ne!(hash("192.0.2.1", &key), hash("192.0.2.2", &key));
        assert_ne!(hash("192.0.2.1", &key), hash("192.0.2.1", &SecretString::from("two")));
    }

    #[test]
    fn nothing_personal_shows_in_debug() {
        let shown = format!("{:?} {:?}", Email::parse("jane@example.com"), Phone::parse("+1 800-555-0100", None));
        assert!(!shown.contains("jane") && !shown.contains("555"), "{shown}");
    }
}
