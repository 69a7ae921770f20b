//! Tables whose fields depend on each other.

/// Checks tables whose fields depend on each other within the parser's visit: errors found later have no line. Serde
/// generates their `deserialize` with `remote = "Self"`; the errors of their `check` say the fix.
macro_rules! checked {
    ($($table:ident),+) => {$(
        impl<'de> serde::Deserialize<'de> for $table {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Table;
                impl<'de> serde::de::Visitor<'de> for Table {
                    type Value = $table;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a table")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$table, A::Error> {
                        let declared = $table::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                        declared.check().map_err(<A::Error as serde::de::Error>::custom)?;
                        Ok(declared)
                    }
                }
                deserializer.deserialize_map(Table)
            }
        }
    )+};
}

pub(super) use checked;
