//! Fields that can be written in more than one way.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};

/// The forms in which a field can be written.
pub(super) trait Shapes: Sized {
    fn one(text: &str) -> Result<Self, String>;
    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error>;
    fn table<'de, A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(A::Error::custom("is no table: write a JSON Pointer such as \"/deal/id\", or an array of them"))
    }
}

/// Reads such a field. An untagged enum would be simpler, but its errors have no line.
pub(super) struct OneOr<T> {
    expected: &'static str,
    field: PhantomData<T>,
}

impl<T> OneOr<T> {
    pub fn new(expected: &'static str) -> Self {
        Self { expected, field: PhantomData }
    }
}

impl<'de, T: Shapes> Visitor<'de> for OneOr<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::one(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<T, A::Error> {
        T::several(array)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
        T::table(table)
    }
}
