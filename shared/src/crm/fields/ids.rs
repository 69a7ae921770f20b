//! Ids of several deals in one item.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess};
use serde_json::Value;

use super::shapes::{OneOr, Shapes};
use super::text::Part;
use super::{Nothing, Pointer, is_fetched};

/// Where the ids are: at all of these pointers, and each may be an id or an array of ids. Or joined, with a pointer of
/// which the same holds.
#[derive(Debug)]
pub(in crate::crm) struct Ids(Vec<Vec<Part>>);

impl Ids {
    /// The pointer to name in an error.
    pub fn first(&self) -> &str {
        self.pointers().next().map_or("", Pointer::as_str)
    }

    /// Every id there is, as it is sent or joined.
    pub fn find(&self, item: &Value) -> Vec<Value> {
        self.0.iter().flat_map(|parts| joined(parts, item)).collect()
    }

    /// Could a lookup still provide them?
    pub fn wait(&self, item: &Value) -> bool {
        self.point_at_fetched() && !is_fetched(item) && self.find(item).is_empty()
    }

    pub fn point_at_fetched(&self) -> bool {
        self.pointers().any(Pointer::is_in_fetched)
    }

    pub fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().flatten().filter_map(|part| match part {
            Part::At(pointer) => Some(pointer),
            Part::Always(_) => None,
        })
    }
}

/// The ids at one pointer, each with the texts around it.
fn joined(parts: &[Part], item: &Value) -> Vec<Value> {
    let mut ids = vec![None];
    for part in parts {
        let found: Vec<Value> = match part {
            Part::Always(text) => vec![Value::from(text.as_str())],
            Part::At(pointer) => match pointer.find(item, Nothing::Empty).map(|(_, found)| found.into_owned()) {
                Some(Value::Array(several)) => several,
                found => found.into_iter().collect(),
            },
        };
        ids = ids.iter().flat_map(|id: &Option<Value>| found.iter().map(|next| append(id.as_ref(), next))).collect();
    }
    ids.into_iter().flatten().collect()
}

/// A single value stays what it is, so that a number is read as one.
fn append(id: Option<&Value>, next: &Value) -> Option<Value> {
    let Some(id) = id else { return Some(next.clone()) };
    Some(format!("{}{}", super::scalar(id)?, super::scalar(next)?).into())
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, an array of them, or { join = [\"text\", \"/pointer\"] }",
        ))
    }
}

/// One entry of an array.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Entry {
    At(Pointer),
    Joined { join: Vec<Part> },
}

impl Shapes for Ids {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self(vec![vec![Part::At(Pointer::parse(text)?)]]))
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        let entries = Vec::<Entry>::deserialize(SeqAccessDeserializer::new(array))?;
        if entries.is_empty() {
            return Err(A::Error::custom("name at least one JSON Pointer"));
        }
        let parts = entries.into_iter().map(|entry| match entry {
            Entry::At(pointer) => vec![Part::At(pointer)],
            Entry::Joined { join } => join,
        });
        Ok(Self(parts.collect()))
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            join: Vec<Part>,
        }
        let Table { join } = Table::deserialize(MapAccessDeserializer::new(table))?;
        if join.iter().any(|part| matches!(part, Part::At(_))) {
            Ok(Self(vec![join]))
        } else {
            Err(A::Error::custom("write { join = […] } with at least one JSON Pointer in it"))
        }
    }
}
