//! What an answer says of a field that was taken and is of less use than it could be.

use serde::Serialize;

use crate::identity::Phone;

/// One such field. Without the value: an answer may be logged.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Its name in the body.
    pub field: &'static str,
    /// Why, and what to do about it.
    pub detail: String,
}

impl Warning {
    /// That nobody can be matched by the field `phone`.
    #[must_use]
    pub fn of_phone(phone: Option<&Phone>) -> Option<Self> {
        let why = phone?.hash().err()?;
        Some(Self { field: "phone", detail: why.to_string() })
    }
}
