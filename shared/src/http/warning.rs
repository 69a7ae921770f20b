//! A warning in an answer: a field was accepted but can't be used fully.

use serde::Serialize;

use crate::identity::{Addresses, Phone};

/// One such field. Never its value: answers may be logged.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The field's name in the body.
    pub field: &'static str,
    /// Why, and how to fix it.
    pub detail: String,
}

impl Warning {
    /// The field `phone` can't be used for matching, or is read by a guess.
    #[must_use]
    pub fn of_phone(phone: Option<&Phone>) -> Option<Self> {
        let phone = phone?;
        let detail = phone.hash().err().map(|why| why.to_string()).or(phone.guess().map(|guess| guess.to_string()))?;
        Some(Self { field: "phone", detail })
    }

    /// White space in the field `email` may have been another character.
    #[must_use]
    pub fn of_addresses(addresses: &Addresses) -> Option<Self> {
        let detail = "has white space in it, which is left out: if that was a plus, the sender has to escape it (%2B)";
        addresses.were_spaced.then(|| Self { field: "email", detail: detail.into() })
    }
}
