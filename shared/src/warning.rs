//! A warning in an answer: a field was accepted but can't be used fully.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::identity::{Addresses, Phone};

/// One such field. Never its value: answers may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The field's name in the body; of one within an object with that one's name before it, as in
    /// `consent/ad_user_data`.
    pub field: &'static str,
    /// Why, and how to fix it.
    pub detail: String,
}

impl Serialize for Warning {
    /// With the field as a JSON Pointer, and as its name for those who read it before there was one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut warning = serializer.serialize_struct("Warning", 3)?;
        warning.serialize_field("pointer", &format!("/{}", self.field))?;
        warning.serialize_field("detail", &self.detail)?;
        warning.serialize_field("field", self.field)?;
        warning.end()
    }
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

    /// The text of the body had to be mended before it could be read as JSON.
    #[must_use]
    pub fn of_mended_body() -> Self {
        let detail = "has line breaks or tabs within its texts, which JSON writes as \\n and \\t: they were taken as such. \
                      A quotation mark would make it unreadable: let the sender escape what it puts into the template";
        Self { field: "body", detail: detail.into() }
    }
}
