//! Who a person is, as far as the platforms and the CRM need to know: normalised once, hashed once.
//!
//! Google and the rest of the world hash the same address differently, and a hash can't be normalised again, so both
//! are made at intake. These hashes are plain SHA-256 because the platforms require it: treat them as personal data.

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A lower-case hexadecimal SHA-256, 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Hash(String);

impl Hash {
    /// The SHA-256 of these bytes.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// As text.
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

/// An e-mail address: lower case, no white space, at most 254 characters. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// # Errors
    /// What an address must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let address: String = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
        let well_formed = address.split_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len())
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
                && !domain.contains('@')
        });
        // What has a display name, a scheme or quotes around it is another text and another hash.
        let plain = !address.chars().any(|c| c.is_control() || "<>()[]:;,\\\"".contains(c));
        if well_formed && plain && address.len() <= 254 {
            Ok(Self(address))
        } else {
            Err("must be an e-mail address of at most 254 characters, such as jane@example.com".into())
        }
    }

    /// The normalised address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What leads are matched by, and what every platform but Google wants.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }

    /// Google's: for gmail.com and googlemail.com without the dots and the +tag of the local part
    /// (Data Manager API, "Format user data").
    #[must_use]
    pub fn google_hash(&self) -> Hash {
        match self.0.split_once('@') {
            Some((local, domain @ ("gmail.com" | "googlemail.com"))) => {
                let local = local.split('+').next().unwrap_or_default().replace('.', "");
                Hash::of(format!("{local}@{domain}"))
            }
            _ => self.hash(),
        }
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// A telephone number as the person wrote it, at most 64 characters. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// # Errors
    /// What a number must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let plain = !text.chars().any(char::is_control);
        if plain && text.chars().any(|c| c.is_ascii_digit()) && text.chars().count() <= 64 {
            Ok(Self(text.into()))
        } else {
            Err("must be a telephone number of at most 64 characters, best with its country code: +49 30 901820".into())
        }
    }

    /// The number as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash of the number in E.164, or none when it names no country: a guess would be somebody else's number.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        let digits = self.0.strip_prefix('+')?;
        if digits.contains("(0)") || digits.chars().any(|c| c.is_alphabetic() || c == '+') {
            return None;
        }
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        ((7..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| Hash::of(format!("+{digits}")))
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
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
    fn google_hashes_match_googles_published_vectors() {
        let vectors = [
            ("  ALEXZ@EXAMPLE.com ", "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"),
            (
                "cloudy.sanfrancisco+shopping@gmail.com",
                "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4",
            ),
            (
                "Jefferson.LOVES.Hiking@googlemail.com",
                "2824967181c781aced84c32bf8bb51fc6401202eeff88263776f63c99df9314c",
            ),
            ("user.name+NYC@Example.com", "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"),
        ];
        for (address, expected) in vectors {
            assert_eq!(Email::parse(address).unwrap().google_hash().as_str(), expected, "{address}");
        }
    }

    #[test]
    fn the_same_mailbox_at_gmail_has_one_google_hash_and_its_own_plain_hash() {
        let written = Email::parse("Jane.Doe+x@gmail.com").unwrap();
        assert_eq!(written.google_hash(), Hash::of("janedoe@gmail.com"));
        assert_eq!(written.hash(), Hash::of("jane.doe+x@gmail.com"));
        let other = Email::parse("j.doe@gmail.example.org").unwrap();
        assert_eq!(other.google_hash(), Hash::of("j.doe@gmail.example.org"));
        assert_eq!(Email::parse("jane doe@example.com").unwrap().google_hash(), Hash::of("janedoe@example.com"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in [
            "",
            "jane",
            "jane@",
            "@example.com",
            "a@b",
            "a@b..c",
            "a@b@example.com",
            "a\0@example.com",
            "<a@example.com>",
            "mailto:a@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_phone_is_hashed_in_e164_or_not_at_all() {
        let hash = |text: &str| Phone::parse(text).unwrap().hash();
        let expected = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30";
        assert_eq!(hash("+1 800-555-0100").unwrap().as_str(), expected);
        for ambiguous in ["030 901820", "0049 30 901820", "+49 (0)30 901820", "+49 30 901820 ext 7", "+12"] {
            assert_eq!(hash(ambiguous), None, "{ambiguous}");
        }
        assert!(Phone::parse("call me").is_err());
    }

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
        let shown = format!("{:?} {:?}", Email::parse("jane@example.com"), Phone::parse("+1 800-555-0100"));
        assert!(!shown.contains("jane") && !shown.contains("555"), "{shown}");
    }
}
