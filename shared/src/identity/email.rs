//! E-mail addresses.

use std::fmt;

use super::Hash;
use crate::invisible::is_invisible;

/// An e-mail address: lower case, no white space, at most 254 characters. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// # Errors
    /// What an address must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        // What is pasted may have invisible characters around it.
        let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
        if text.contains(is_invisible) {
            return Err("must not have invisible characters in it: type it instead of pasting it".into());
        }
        let address: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        // What has a display name, a scheme or quotes around it is another text and another hash.
        let is_letter = |c: char| c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_control());
        let is_local = |c: char| is_letter(c) || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        let is_label = |c: char| is_letter(c) || matches!(c, '-' | '_');
        let well_formed = address.split_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.chars().count())
                && local.chars().all(is_local)
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty() && label.chars().all(is_label))
        });
        if well_formed && address.chars().count() <= 254 {
            Ok(Self(address.chars().flat_map(char::to_lowercase).collect()))
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

    /// Google's: for gmail.com and googlemail.com without the dots of the local part.
    ///
    /// None for such an address with a +tag: Google's guide removes the tag ("Format user data" of the Data Manager
    /// API), the code that Google publishes keeps it, and a hash that Google doesn't have matches nobody.
    #[must_use]
    pub fn google_hash(&self) -> Option<Hash> {
        match self.0.split_once('@') {
            Some((local, "gmail.com" | "googlemail.com")) if local.contains('+') => None,
            Some((local, domain @ ("gmail.com" | "googlemail.com"))) => {
                Some(Hash::of(format!("{}@{domain}", local.replace('.', ""))))
            }
            _ => Some(self.hash()),
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

    fn google_hash(address: &str) -> Option<Hash> {
        Email::parse(address).unwrap().google_hash()
    }

    #[test]
    fn google_hashes_match_googles_published_vectors() {
        let vectors = [
            ("  ALEXZ@EXAMPLE.com ", "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"),
            ("cloudy.sanfrancisco@gmail.com", "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4"),
            (
                "Jefferson.LOVES.Hiking@googlemail.com",
                "2824967181c781aced84c32bf8bb51fc6401202eeff88263776f63c99df9314c",
            ),
            ("user.name+NYC@Example.com", "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"),
        ];
        for (address, expected) in vectors {
            assert_eq!(google_hash(address).unwrap().as_str(), expected, "{address}");
        }
    }

    #[test]
    fn the_published_base64_is_of_the_same_bytes() {
        let bytes = STANDARD.decode("UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=").unwrap();
        assert_eq!(google_hash("alexz@example.com").unwrap().as_str(), crate::identity::hex(&bytes));
    }

    #[test]
    fn the_same_mailbox_at_gmail_has_one_google_hash_and_its_own_plain_hash() {
        let written = Email::parse("Jane.Doe@gmail.com").unwrap();
        assert_eq!(written.google_hash(), Some(Hash::of("janedoe@gmail.com")));
        assert_eq!(written.hash(), Hash::of("jane.doe@gmail.com"));
        assert_eq!(google_hash("j.doe@gmail.example.org"), Some(Hash::of("j.doe@gmail.example.org")));
        assert_eq!(google_hash("jane doe@example.com"), Some(Hash::of("janedoe@example.com")));
    }

    #[test]
    fn with_a_tag_at_gmail_there_is_no_google_hash_and_the_plain_one_stays() {
        for address in ["Jane.Doe+x@gmail.com", "jane+@googlemail.com", "+jane@gmail.com"] {
            assert_eq!(google_hash(address), None, "{address}");
        }
        assert_eq!(Email::parse("Jane.Doe+x@gmail.com").unwrap().hash(), Hash::of("jane.doe+x@gmail.com"));
        assert_eq!(google_hash("jane+x@example.com"), Some(Hash::of("jane+x@example.com")), "a tag only at Gmail");
    }

    #[test]
    fn letters_of_any_script_are_accepted() {
        for address in ["jürgen@bücher.example", "jose\u{301}@example.com", "राज@राजस्थान.भारत", "李@例子.example"]
        {
            assert_eq!(Email::parse(address).unwrap().as_str(), address);
        }
    }

    #[test]
    fn invisible_characters_are_removed_around_and_refused_inside() {
        for hidden in ["\u{200b}", "\u{202e}", "\u{2066}", "\u{feff}", "\u{ad}", "\u{e0041}"] {
            let around = Email::parse(&format!(" {hidden} {hidden}jane@example.com{hidden}\n{hidden}")).unwrap();
            assert_eq!(around.hash(), Hash::of("jane@example.com"), "{}", hidden.escape_unicode());
            for inside in [format!("ja{hidden}ne@example.com"), format!("jane@ex{hidden}ample.com")] {
                let why = Email::parse(&inside).unwrap_err();
                assert!(why.contains("invisible characters") && !why.contains("jane"), "{why}");
            }
            assert!(Email::parse(hidden).is_err());
        }
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
            "a@example.com*",
            "a@[192.0.2.1]",
            "a;b@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }
}
