//! A warning in an answer: a field was accepted but can't be used fully.

use serde::Serialize;

use crate::identity::Phone;

/// One such field. Never its value: answers may be logged.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The field's name in the body.
    pub field: &'static str,
    /// Why, and how to fix it.
    pub detail: String,
}

impl Warning {
    /// The field `phone` can't be used for matching.
    #[must_use]
    pub fn of_phone(phone: Option<&Phone>) -> Option<Self> {
        let why = phone?.hash().err()?;
        Some(Self { field: "phone", detail: why.to_string() })
    }
}
