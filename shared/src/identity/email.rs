//! E-mail addresses.

mod reading;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{Carrier, Hash};

/// An e-mail address in its one spelling: lower case, composed and compatible characters (NFKC), nothing invisible, no
/// white space, the domain in ASCII (`xn--`), at most 254 characters. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// The addresses that a text has.
#[derive(Debug)]
pub struct Addresses {
    /// In their order, each once, and at least one.
    pub emails: Vec<Email>,
    /// Was white space between the characters of one? It is left out.
    pub were_spaced: bool,
}

impl Email {
    /// The first address in a text that no form carried.
    ///
    /// # Errors
    /// What an address must look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::all(text, Carrier::Json).map(|mut addresses| addresses.emails.swap_remove(0))
    }

    /// Every address in a text: alone, with a name (`Jane Doe <jane@example.com>`), as `mailto:`, in quotes or
    /// brackets, or a list separated by semicolons, commas or line breaks.
    ///
    /// # Errors
    /// What an address must look like, if there is none.
    pub fn all(text: &str, carrier: Carrier) -> Result<Addresses, String> {
        let found = reading::addresses(text, carrier);
        if found.is_empty() {
            return Err("must be an e-mail address of at most 254 characters, such as jane@example.com".into());
        }
        let were_spaced = found.iter().any(|mailbox| mailbox.was_spaced);
        let emails = found.into_iter().map(|mailbox| Self(mailbox.address)).collect();
        Ok(Addresses { emails, were_spaced })
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

    /// What the same mailbox may have been matched by before: leads that are stored keep the hash of the spelling that
    /// they were stored with.
    #[must_use]
    pub fn former_hashes(&self) -> Vec<Hash> {
        reading::former_spellings(&self.0).into_iter().map(Hash::of).collect()
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
