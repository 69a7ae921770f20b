//! A warning in an answer: a field was accepted but can't be used fully.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::identity::Phone;

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
    /// The field `phone` can't be used for matching.
    #[must_use]
    pub fn of_phone(phone: Option<&Phone>) -> Option<Self> {
        let why = phone?.hash().err()?;
        Some(Self { field: "phone", detail: why.to_string() })
    }
}
