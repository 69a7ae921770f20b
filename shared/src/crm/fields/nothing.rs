//! What stands for nothing in a field.

use serde_json::Value;

use crate::absent::is_nothing;

/// What a field takes for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::crm) enum Nothing {
    /// Null, an empty text and an empty array: CRMs' templates send them for that.
    #[default]
    Empty,
    /// Also `false`, which some CRMs send for whatever is empty, and words such as `N/A`.
    Words,
    /// Also such words, but `false` is an answer.
    WordsButFalse,
}

impl Nothing {
    pub fn includes(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(elements) => elements.is_empty(),
            Value::Bool(false) => self == Self::Words,
            Value::String(text) => self.includes_text(text.trim()),
            _ => false,
        }
    }

    fn includes_text(self, text: &str) -> bool {
        match self {
            Self::Empty => text.is_empty(),
            Self::Words => is_nothing(text) || text.eq_ignore_ascii_case("false"),
            Self::WordsButFalse => is_nothing(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_field_has_its_own_nothing() {
        for (value, empty, words, but_false) in [
            (json!(null), true, true, true),
            (json!(" "), true, true, true),
            (json!([]), true, true, true),
            (json!(false), false, true, false),
            (json!("False"), false, true, false),
            (json!("undefined"), false, true, true),
            (json!("None"), false, true, true),
            (json!(" — "), false, true, true),
            (json!("N/A"), false, true, true),
            (json!("NaN"), false, true, true),
            (json!("{{deal.amount}}"), false, true, true),
            (json!(0), false, false, false),
            (json!("0"), false, false, false),
            (json!(true), false, false, false),
            (json!({}), false, false, false),
            (json!("Nonesuch"), false, false, false),
        ] {
            let kinds = [Nothing::Empty, Nothing::Words, Nothing::WordsButFalse];
            assert_eq!(kinds.map(|it| it.includes(&value)), [empty, words, but_false], "{value}");
        }
    }
}
