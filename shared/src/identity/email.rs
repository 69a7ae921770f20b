//! E-mail addresses.

use std::fmt;

use super::Hash;

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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

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
    fn the_published_base64_is_of_the_same_bytes() {
        let bytes = STANDARD.decode("UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=").unwrap();
        assert_eq!(Email::parse("alexz@example.com").unwrap().google_hash().as_str(), crate::identity::hex(&bytes));
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
}
