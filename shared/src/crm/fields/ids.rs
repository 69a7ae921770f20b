//! Ids of several deals in one item.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess};
use serde_json::Value;

use super::mark::Mark;
use super::shapes::{OneOr, Shapes};
use super::text::Part;
use super::{Nothing, Pointer, is_fetched};

/// Where the ids are: at all of these pointers, and each may be an id or an array of ids. Or joined, or behind a mark,
/// with a pointer of which the same holds.
#[derive(Debug)]
pub(in crate::crm) struct Ids(Vec<Entry>);

/// A pointer, or texts around one.
#[derive(Debug)]
struct Entry {
    parts: Vec<Part>,
    after: Option<Mark>,
}

impl Ids {
    /// The pointer to name in an error.
    pub fn first(&self) -> &str {
        self.pointers().next().map_or("", Pointer::as_str)
    }

    /// Every id there is, as it is sent or joined.
    pub fn find(&self, item: &Value) -> Vec<Value> {
        self.0.iter().flat_map(|entry| entry.find(item)).collect()
    }

    /// Could a lookup still provide them?
    pub fn wait(&self, item: &Value) -> bool {
        self.point_at_fetched() && !is_fetched(item) && self.find(item).is_empty()
    }

    fn point_at_fetched(&self) -> bool {
        self.pointers().any(Pointer::is_in_fetched)
    }

    pub fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().flat_map(|entry| &entry.parts).filter_map(|part| match part {
            Part::At(pointer) => Some(pointer),
            Part::Always(_) => None,
        })
    }
}

impl Entry {
    fn find(&self, item: &Value) -> Vec<Value> {
        let ids = joined(&self.parts, item);
        let Some(mark) = &self.after else { return ids };
        let id = |it: Value| super::scalar(&it).map_or(it, |text| mark.id_in(&text).into());
        ids.into_iter().map(id).collect()
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
            "a JSON Pointer, an array of them, { join = [\"text\", \"/pointer\"] } or \
             { at = \"/pointer\", after = \"/\" }",
        ))
    }
}

/// One of several, as it is written.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, { join = [\"text\", \"/pointer\"] } or { at = \"/pointer\", after = \"/\" }",
        ))
    }
}

impl Shapes for Entry {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self { parts: vec![Part::At(Pointer::parse(text)?)], after: None })
    }

    fn several<'de, A: SeqAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom("is an array within an array: write all pointers in one"))
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        Self::try_from(table).map_err(A::Error::custom)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    join: Option<Vec<Part>>,
    at: Option<Pointer>,
    after: Option<Mark>,
}

impl TryFrom<Table> for Entry {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        match table {
            Table { join: Some(parts), at: None, after: None }
                if parts.iter().any(|part| matches!(part, Part::At(_))) =>
            {
                Ok(Self { parts, after: None })
            }
            Table { join: None, at: Some(pointer), after: Some(mark) } => {
                Ok(Self { parts: vec![Part::At(pointer)], after: Some(mark) })
            }
            _ => Err(
                "write { join = […] } with at least one JSON Pointer in it, or { at = \"/pointer\", after = \"/\" }",
            ),
        }
    }
}

impl Shapes for Ids {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self(vec![Entry::one(text)?]))
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        let entries = Vec::<Entry>::deserialize(SeqAccessDeserializer::new(array))?;
        if entries.is_empty() {
            return Err(A::Error::custom("name at least one JSON Pointer"));
        }
        Ok(Self(entries))
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        Ok(Self(vec![Entry::table(table)?]))
    }
}
