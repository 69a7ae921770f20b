//! What stands for nothing in a field.

use serde_json::Value;

use crate::absent::is_nothing;

/// The words that say nothing, also of an amount. `n/a` and `NaN` aren't among them: somebody reckoned an amount, and
/// couldn't.
const NO_AMOUNT: [&str; 7] = ["null", "undefined", "none", "nil", "-", "--", "—"];

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
    /// Also `false`, and the words that say nothing of an amount.
    Amount,
}

impl Nothing {
    pub fn includes(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(elements) => elements.is_empty(),
            Value::Bool(false) => matches!(self, Self::Words | Self::Amount),
            Value::String(text) => self.includes_text(text.trim()),
            _ => false,
        }
    }

    fn includes_text(self, text: &str) -> bool {
        let is = |word: &&str| text.eq_ignore_ascii_case(word);
        text.is_empty()
            || match self {
                Self::Empty => false,
                Self::Words => is_nothing(text) || is(&"false"),
                Self::WordsButFalse => is_nothing(text),
                Self::Amount => NO_AMOUNT.iter().any(is) || is(&"false"),
            }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_field_has_its_own_nothing() {
        for (value, empty, words, but_false, amount) in [
            (json!(null), true, true, true, true),
            (json!(" "), true, true, true, true),
            (json!([]), true, true, true, true),
            (json!(false), false, true, false, true),
            (json!("False"), false, true, false, true),
            (json!("undefined"), false, true, true, true),
            (json!("None"), false, true, true, true),
            (json!(" — "), false, true, true, true),
            (json!("N/A"), false, true, true, false),
            (json!("NaN"), false, true, true, false),
            (json!("{{deal.amount}}"), false, true, true, false),
            (json!(0), false, false, false, false),
            (json!("0"), false, false, false, false),
            (json!(true), false, false, false, false),
            (json!({}), false, false, false, false),
            (json!("Nonesuch"), false, false, false, false),
        ] {
            let kinds = [Nothing::Empty, Nothing::Words, Nothing::WordsButFalse, Nothing::Amount];
            assert_eq!(kinds.map(|it| it.includes(&value)), [empty, words, but_false, amount], "{value}");
        }
    }
}
