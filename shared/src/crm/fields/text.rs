//! Fields that are texts.

use std::borrow::Cow;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess};
use serde_json::Value;

use super::mark::Mark;
use super::shapes::{OneOr, Shapes};
use super::{Nothing, Pointer, Pointers, is_fetched, scalar};

/// A text, or a number that stands for one.
#[derive(Debug)]
pub(in crate::crm) enum Text {
    At(Pointers),
    /// What follows a mark in the value, such as the id at the end of a URI.
    After(Mark, Pointers),
    /// Parts that are concatenated; absent if one of them is.
    Join(Vec<Part>, Nothing),
    /// The same for every item.
    Always(String),
}

#[derive(Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) enum Part {
    At(Pointer),
    Always(String),
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('/') { Pointer::parse(&text).map(Self::At) } else { Ok(Self::Always(text)) }
    }
}

impl Text {
    /// The same, where this is nothing.
    pub fn without(self, nothing: Nothing) -> Self {
        match self {
            Self::At(pointers) => Self::At(pointers.without(nothing)),
            Self::After(mark, pointers) => Self::After(mark, pointers.without(nothing)),
            Self::Join(parts, _) => Self::Join(parts, nothing),
            Self::Always(text) => Self::Always(text),
        }
    }

    /// The pointer to name in an error.
    pub fn first(&self) -> &str {
        match self {
            Self::At(pointers) | Self::After(_, pointers) => pointers.first(),
            Self::Join(parts, _) => {
                let mut pointers = parts.iter().filter_map(|part| match part {
                    Part::At(pointer) => Some(pointer.as_str()),
                    Part::Always(_) => None,
                });
                pointers.next().unwrap_or_default()
            }
            Self::Always(_) => "",
        }
    }

    /// Where it was found, and what it is.
    pub fn find<'a>(&self, item: &'a Value) -> Option<(String, Cow<'a, Value>)> {
        match self {
            Self::At(pointers) => pointers.find(item),
            Self::After(mark, pointers) => {
                let (at, value) = pointers.find(item)?;
                let Some(text) = scalar(&value) else { return Some((at, value)) };
                let id = Value::from(mark.id_in(&text));
                (!pointers.nothing().includes(&id)).then_some((at, Cow::Owned(id)))
            }
            Self::Join(parts, nothing) => {
                let text = |part: &Part| match part {
                    Part::At(pointer) => pointer.find(item, *nothing).and_then(|(_, value)| scalar(&value)),
                    Part::Always(text) => Some(text.clone()),
                };
                let joined: Option<String> = parts.iter().map(text).collect();
                joined.map(|text| (self.first().to_owned(), Cow::Owned(text.into())))
            }
            Self::Always(text) => Some((String::new(), Cow::Owned(text.clone().into()))),
        }
    }

    /// Could a lookup still provide it?
    pub fn waits(&self, item: &Value) -> bool {
        self.points_at_fetched() && !is_fetched(item) && self.find(item).is_none()
    }

    fn points_at_fetched(&self) -> bool {
        self.pointers().into_iter().any(Pointer::is_in_fetched)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, an array of them, { text = \"…\" }, { join = [\"/pointer\", \"text\"] } or \
             { at = \"/pointer\", after = \"/\" }",
        ))
    }
}

impl Shapes for Text {
    fn one(text: &str) -> Result<Self, String> {
        Pointers::one(text).map(Self::At)
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        Pointers::several(array).map(Self::At)
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            text: Option<String>,
            join: Option<Vec<Part>>,
            at: Option<Pointers>,
            after: Option<Mark>,
        }
        let Table { text, join, at, after } = Table::deserialize(MapAccessDeserializer::new(table))?;
        match (text, join, at, after) {
            (Some(text), None, None, None) if !text.trim().is_empty() => Ok(Self::Always(text)),
            (None, Some(parts), None, None) if parts.iter().any(|part| matches!(part, Part::At(_))) => {
                Ok(Self::Join(parts, Nothing::default()))
            }
            (None, None, Some(at), Some(mark)) => Ok(Self::After(mark, at)),
            _ => Err(A::Error::custom(
                "write { text = \"…\" }, { join = […] } with at least one JSON Pointer in it, or \
                 { at = \"/pointer\", after = \"/\" } for what follows the last /",
            )),
        }
    }
}
