//! The click ids of a deal: fields that are named like the networks' parameters.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};

use super::{DeclaredFields, Nothing, Pointers};
use crate::attribution::networks::NETWORKS;

/// Where the values are, by the parameter's name.
#[derive(Debug, Default)]
pub(in crate::crm) struct ClickFields(BTreeMap<&'static str, Pointers>);

impl ClickFields {
    pub fn get(&self, parameter: &str) -> Option<&Pointers> {
        self.0.get(parameter)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Pointers)> {
        self.0.iter().map(|(name, pointers)| (*name, pointers))
    }

    /// These; those that are absent are taken from the other.
    pub fn over(self, mut other: Self) -> Self {
        other.0.extend(self.0);
        other
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    NETWORKS.iter().flat_map(|network| network.parameters).map(|parameter| parameter.name)
}

/// Reads the fields of a source. Each parameter of each network is one, so that `NETWORKS` alone lists them. Serde's
/// `flatten` would do the same, but its errors have no line.
pub(in crate::crm) fn with_clicks<'de, D: Deserializer<'de>>(table: D) -> Result<DeclaredFields, D::Error> {
    table.deserialize_map(Fields)
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = DeclaredFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table such as [acme.fields]")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<DeclaredFields, A::Error> {
        let mut clicks = ClickFields::default();
        let others = MapAccessDeserializer::new(Others { table, clicks: &mut clicks });
        let fields = DeclaredFields::deserialize(others)?;
        let clicked_at = fields.clicked_at.map(|pointers| pointers.without(Nothing::Words));
        Ok(DeclaredFields { clicked_at, clicks, ..fields })
    }
}

/// The fields of a table without the click ids, which are put aside.
struct Others<'a, A> {
    table: A,
    clicks: &'a mut ClickFields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, mut other: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            match self.table.next_key_seed(Key { other })? {
                None => return Ok(None),
                Some(Field::Other(name)) => return Ok(Some(name)),
                Some(Field::Click(name, seed)) => {
                    // A word that says nothing is no click, however strict the source is.
                    let pointers: Pointers = self.table.next_value()?;
                    self.clicks.0.insert(name, pointers.without(Nothing::Words));
                    other = seed;
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, value: V) -> Result<V::Value, A::Error> {
        self.table.next_value_seed(value)
    }
}

/// The name of a field: of a click id, or what `other` makes of it.
struct Key<K> {
    other: K,
}

enum Field<K, T> {
    Click(&'static str, K),
    Other(T),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<K> {
    type Value = Field<K, K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(key)?;
        if let Some(name) = names().find(|name| *name == key) {
            return Ok(Field::Click(name, self.other));
        }
        self.other.deserialize(key.into_deserializer()).map(Field::Other).map_err(|error: D::Error| {
            let names: Vec<_> = names().map(|name| format!("`{name}`")).collect();
            D::Error::custom(format!("{}, or of the click ids: {}", error.to_string().trim_end(), names.join(", ")))
        })
    }
}
