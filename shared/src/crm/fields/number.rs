//! Fields that are numbers.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess};

use super::shapes::{OneOr, Shapes};
use super::{Nothing, Pointers};

/// A number, or a text that is one.
#[derive(Debug)]
pub(in crate::crm) struct Number {
    pub at: Pointers,
    /// How many of its units make one of ours: 100 for cents and for percent.
    pub divide_by: Option<f64>,
    /// How this source writes numbers in texts, if it is declared.
    pub decimal: Option<DecimalSign>,
}

/// What a source writes before decimals. The other one may stand between thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) enum DecimalSign {
    Point,
    Comma,
}

impl DecimalSign {
    pub fn as_char(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

impl TryFrom<String> for DecimalSign {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match &*text {
            "." => Ok(Self::Point),
            "," => Ok(Self::Comma),
            _ => Err("decimal is \".\" where this source writes 1,234.56, and \",\" where it writes 1.234,56"),
        }
    }
}

impl Number {
    /// The same, where this is nothing.
    pub fn without(self, nothing: Nothing) -> Self {
        Self { at: self.at.without(nothing), ..self }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, an array of them, or { at = \"/pointer\", divide_by = 100, decimal = \",\" }",
        ))
    }
}

impl Shapes for Number {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self { at: Pointers::one(text)?, divide_by: None, decimal: None })
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        Ok(Self { at: Pointers::several(array)?, divide_by: None, decimal: None })
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            at: Pointers,
            divide_by: Option<f64>,
            decimal: Option<DecimalSign>,
        }
        let Table { at, divide_by, decimal } = Table::deserialize(MapAccessDeserializer::new(table))?;
        if divide_by.is_none_or(|units| units.is_finite() && units > 0.0) {
            Ok(Self { at, divide_by, decimal })
        } else {
            Err(A::Error::custom("divide_by is a number above 0, such as 100 where cents are sent"))
        }
    }
}
