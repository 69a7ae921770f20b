//! Consent in the words of people, banners and CRMs.

use serde_json::Value;

use super::ConsentStatus;
use crate::absent::is_nothing;

impl ConsentStatus {
    /// As people, banners and CRMs write it, in any case. Of several that don't say the same, none counts.
    ///
    /// # Errors
    /// If it is neither a yes nor a no, nor plainly nothing. It then counts as unknown.
    pub fn said(value: &Value) -> Result<Self, UnknownWord> {
        match value {
            Value::Null => Ok(Self::Unknown),
            Value::Bool(yes) => Ok(if *yes { Self::Granted } else { Self::Denied }),
            Value::Number(number) => Self::in_words(&number.to_string()),
            Value::String(text) => Self::in_words(text),
            Value::Array(several) => {
                let said: Vec<_> = several.iter().map(Self::said).collect::<Result<_, _>>()?;
                let first = said.first().copied().ok_or(UnknownWord)?;
                if said.iter().all(|it| *it == first) { Ok(first) } else { Err(UnknownWord) }
            }
            Value::Object(_) => Err(UnknownWord),
        }
    }

    fn in_words(text: &str) -> Result<Self, UnknownWord> {
        let is_one_of = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
        match () {
            () if is_one_of(YES) => Ok(Self::Granted),
            () if is_one_of(NO) => Ok(Self::Denied),
            () if is_one_of(UNKNOWN) || is_nothing(text) => Ok(Self::Unknown),
            () => Err(UnknownWord),
        }
    }
}

/// What is said is neither a yes nor a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is taken as unknown: it must be granted or denied, true or false, or yes or no")]
pub struct UnknownWord;

/// A yes in the words of consent banners, forms and CRMs; a checkbox sends `on` or `1`.
const YES: &[&str] = &[
    "true",
    "yes",
    "y",
    "on",
    "1",
    "granted",
    "grant",
    "given",
    "accepted",
    "accept",
    "allowed",
    "allow",
    "agreed",
    "agree",
    "approved",
    "consented",
    "opt-in",
    "opt_in",
    "opted-in",
    "opted_in",
];
/// A no in their words.
const NO: &[&str] = &[
    "false",
    "no",
    "n",
    "off",
    "0",
    "denied",
    "deny",
    "declined",
    "decline",
    "rejected",
    "reject",
    "refused",
    "refuse",
    "disallowed",
    "withdrawn",
    "revoked",
    "opt-out",
    "opt_out",
    "opted-out",
    "opted_out",
];
/// Nobody said anything.
const UNKNOWN: &[&str] = &["unknown", "unspecified", "pending", "not_set"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn consent_is_read_as_it_is_written() {
        use ConsentStatus::{Denied, Granted, Unknown};
        for (said, status) in [
            (json!(true), Granted),
            (json!("TRUE"), Granted),
            (json!(" Yes "), Granted),
            (json!("GRANTED"), Granted),
            (json!("accepted"), Granted),
            (json!("on"), Granted),
            (json!(1), Granted),
            (json!("opt_in"), Granted),
            (json!(["yes", true]), Granted),
            (json!(false), Denied),
            (json!("False"), Denied),
            (json!("NO"), Denied),
            (json!("denied"), Denied),
            (json!("Declined"), Denied),
            (json!(0), Denied),
            (json!("off"), Denied),
            (json!("revoked"), Denied),
            (json!("unknown"), Unknown),
            (json!(""), Unknown),
            (json!(null), Unknown),
            (json!("undefined"), Unknown),
            (json!("{{consent}}"), Unknown),
            (json!("N/A"), Unknown),
        ] {
            assert_eq!(ConsentStatus::said(&said), Ok(status), "{said}");
        }
    }

    #[test]
    fn another_word_is_never_a_yes() {
        for said in [
            json!("maybe"),
            json!("not granted"),
            json!("yes?"),
            json!("granted, denied"),
            json!("no yes"),
            json!("2"),
            json!(2),
            json!(-1),
            json!(1.5),
            json!({}),
            json!({"granted": true}),
            json!([]),
            json!([true, false]),
            json!(["maybe"]),
            json!("CPXxRfAPXxRfA"),
            json!("ja"),
            json!("G100"),
            json!("true;"),
        ] {
            assert_eq!(ConsentStatus::said(&said), Err(UnknownWord), "{said}");
        }
    }
}
