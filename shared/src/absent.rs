//! Words that stand for nothing: what scripts, templates and CRMs write where they have no value.

/// What is written where there is nothing, besides an empty text.
const NOTHINGS: &[&str] =
    &["null", "undefined", "none", "nil", "n/a", "na", "nan", "-", "--", "—", "(not set)", "[object object]"];

/// Those of them that no person writes.
const FAILURES: &[&str] = &["nan", "undefined", "[object object]"];

/// What a template's gaps stand between, where nobody filled them in.
const GAPS: &[(&str, &str)] = &[("{", "}"), ("[[", "]]"), ("<%", "%>"), ("${", "}"), ("%", "%")];

/// Does this text say that there is no value? In any case, whatever white space is around it.
#[must_use]
pub fn is_nothing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || NOTHINGS.iter().any(|nothing| text.eq_ignore_ascii_case(nothing)) || is_unfilled(text)
}

/// Does it stand where a value was meant to be: a gap that a template didn't fill in, or what a program made of none?
#[must_use]
pub fn is_failure(text: &str) -> bool {
    let text = text.trim();
    FAILURES.iter().any(|failure| text.eq_ignore_ascii_case(failure)) || is_unfilled(text)
}

/// Is it nothing but a gap of a template, such as `{{x}}`?
fn is_unfilled(text: &str) -> bool {
    let inside = |(opening, closing): &(&str, &str)| text.strip_prefix(opening)?.strip_suffix(closing);
    // A gap has one name: two values in braces aren't one.
    let is_name = |name: &str| name.chars().any(char::is_alphanumeric) && !name.contains(['<', '>', ',', '"', ':']);
    GAPS.iter().filter_map(inside).any(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_words_stand_for_nothing() {
        for text in [
            "",
            "  \t",
            "null",
            "NULL",
            " Undefined ",
            "None",
            "nil",
            "N/A",
            "n/a",
            "NA",
            "NaN",
            "-",
            "--",
            "—",
            "(not set)",
            "(Not Set)",
            "[object Object]",
            "[Object object]",
            "{{gclid}}",
            "{gclid}",
            "%gclid%",
            "[[x]]",
            "<% x %>",
            "<%= lead.phone %>",
            "${x}",
            "{{ contact.phone }}",
            "%%email%%",
            "\u{a0}null\u{a0}",
        ] {
            assert!(is_nothing(text), "{text}");
        }
    }

    #[test]
    fn what_a_program_or_a_template_failed_to_fill_in_is_told_from_a_field_left_empty() {
        for (text, is_one) in [
            ("NaN", true),
            (" undefined ", true),
            ("[object Object]", true),
            ("{{deal.amount}}", true),
            ("${amount}", true),
            ("", false),
            ("N/A", false),
            ("None", false),
            ("null", false),
            ("-", false),
        ] {
            assert_eq!(is_failure(text), is_one, "{text}");
        }
    }

    #[test]
    fn what_somebody_wrote_is_something() {
        for text in [
            "0",
            "false",
            "no",
            "Nana",
            "Nullarbor",
            "none of it",
            "A-",
            "---",
            "{",
            "{}",
            "%",
            "%%",
            "50%",
            "100%_off%x",
            "{\"a\":1}",
            "[1]",
            "Nan's shop",
            "<b>x</b>",
            "-1",
            "n",
            "a/n",
            "undefined behaviour",
            "EAIaIQ_null-1",
        ] {
            assert!(!is_nothing(text), "{text}");
        }
    }
}
