//! Where a person's telephone number is, and how it is written.

use serde::Deserialize as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess};

use super::shapes::{OneOr, Shapes};
use super::{Nothing, Pointers};

/// A number.
#[derive(Debug)]
pub(in crate::crm) struct PhoneField {
    pub at: Pointers,
    /// Is it complete but for the plus that international numbers begin with?
    pub international: bool,
}

impl PhoneField {
    /// The same, where this is nothing.
    pub fn without(self, nothing: Nothing) -> Self {
        Self { at: self.at.without(nothing), ..self }
    }
}

impl<'de> serde::Deserialize<'de> for PhoneField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, an array of them, or { at = \"/pointer\", international = true }",
        ))
    }
}

impl Shapes for PhoneField {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self { at: Pointers::one(text)?, international: false })
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        Ok(Self { at: Pointers::several(array)?, international: false })
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            at: Pointers,
            #[serde(default)]
            international: bool,
        }
        let Table { at, international } = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Self { at, international })
    }
}
