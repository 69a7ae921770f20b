//! A mapping names columns as they are called; a declaration has pointers in their place.

use shared::json_pointer;
use toml_edit::{DocumentMut, Item, TableLike, Value};

/// What of the fields are no columns.
const SETTINGS: [&str; 2] = ["zone", "date_order"];
const SUBJECTS: [&str; 3] = ["stage", "status", "pipeline"];

/// The same mapping with pointers, line by line.
///
/// # Errors
/// If it is no TOML.
pub(super) fn with_pointers(toml: &str) -> Result<String, String> {
    let mut document: DocumentMut = toml.parse().map_err(|error| format!("is no TOML: {error}"))?;
    for (_, source) in document.iter_mut() {
        let Some(source) = source.as_table_like_mut() else { continue };
        if let Some(fields) = source.get_mut("fields").and_then(Item::as_table_like_mut) {
            for (_, field) in fields.iter_mut().filter(|(name, _)| !SETTINGS.contains(&name.get())) {
                if let Some(value) = field.as_value_mut() {
                    point(value);
                }
            }
        }
        if let Some(only) = source.get_mut("only").and_then(Item::as_table_like_mut) {
            point_keys(only);
        }
        if let Some(rules) = source.get_mut("rules").and_then(Item::as_array_of_tables_mut) {
            for rule in rules.iter_mut() {
                if let Some(when) = rule.get_mut("when").and_then(Item::as_table_like_mut) {
                    point_keys(when);
                }
                // The names of merged deals.
                for key in ["into", "from"] {
                    if let Some(value) = rule.get_mut(key).and_then(Item::as_value_mut) {
                        point(value);
                    }
                }
            }
        }
    }
    Ok(document.to_string())
}

/// A column, several, or a table that says where (`at`).
fn point(value: &mut Value) {
    match value {
        Value::String(column) => {
            // With the line breaks around it: problems are told by their lines.
            let around = column.decor().clone();
            *column = toml_edit::Formatted::new(pointer(column.value()));
            *column.decor_mut() = around;
        }
        Value::Array(several) => several.iter_mut().for_each(point),
        Value::InlineTable(table) => {
            if let Some(at) = table.get_mut("at") {
                point(at);
            }
        }
        _ => {}
    }
}

fn point_keys(conditions: &mut dyn TableLike) {
    let columns: Vec<_> = conditions.iter().map(|(name, _)| name.to_owned()).collect();
    for column in columns.into_iter().filter(|it| !SUBJECTS.contains(&it.as_str()) && !it.starts_with('/')) {
        if let Some(wanted) = conditions.remove(&column) {
            conditions.insert(&pointer(&column), wanted);
        }
    }
}

fn pointer(column: &str) -> String {
    if column.starts_with('/') { column.to_owned() } else { format!("/{}", json_pointer::escaped(column)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_pointers_in_the_same_lines() {
        let mapping = "[old.fields]\ndeal_id = \"Deal ID\" # its number\nvalue = { at = \"Sum w/o tax\", decimal = \",\" }\n\
                       email = [\"E-mail\", \"/Other\"]\nzone = \"UTC\"\ncurrency = { text = \"EUR\" }\n[[old.rules]]\n\
                       when = { stage = \"won\", \"Pipeline\" = \"1\" }\nconversion = \"closed\"\n";
        let expected = mapping
            .replace("\"Deal ID\"", "\"/Deal ID\"")
            .replace("Sum w/o tax", "/Sum w~1o tax")
            .replace("E-mail", "/E-mail");
        let read = with_pointers(mapping).unwrap();
        assert_eq!(read.lines().count(), mapping.lines().count());
        assert_eq!(read.lines().take(6).collect::<Vec<_>>(), expected.lines().take(6).collect::<Vec<_>>());
        assert!(read.contains("\"/Pipeline\""), "{read}");
    }
}
