//! Consent in three values, for each of the two purposes Google asks about.

pub mod statements;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::absent::is_nothing;

/// Consent to one purpose. No answer is `unknown`, never consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum ConsentStatus {
    Granted,
    Denied,
    /// Not asked, or not answered.
    #[default]
    Unknown,
}

crate::db::text_in_sql!(ConsentStatus);

impl ConsentStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Granted, Self::Denied, Self::Unknown];

    /// May data with this consent be sent to a platform?
    #[must_use]
    pub fn may_be_sent(self, unknown: UnknownConsent) -> bool {
        match self {
            Self::Granted => true,
            Self::Denied => false,
            Self::Unknown => unknown == UnknownConsent::Send,
        }
    }

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }

    /// This, or the other where this is no answer.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Unknown { other } else { self }
    }

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

    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let said = Self::ALL.into_iter().find(|status| status.as_str() == text);
        said.ok_or_else(|| "must be granted, denied or unknown".into())
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

/// What happens to a conversion while consent to use its data for ads is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownConsent {
    #[default]
    Hold,
    /// It is sent without a statement on consent; for where the law doesn't ask for one.
    Send,
}

impl UnknownConsent {
    /// Every status that may be sent, for statements to compare with.
    #[must_use]
    pub fn sendable(self) -> Vec<ConsentStatus> {
        ConsentStatus::ALL.into_iter().filter(|status| status.may_be_sent(self)).collect()
    }

    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "hold" => Ok(Self::Hold),
            "send" => Ok(Self::Send),
            _ => Err("must be hold or send".into()),
        }
    }
}

/// What happens to a conversion that a platform may have received when its person withdraws consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithdrawnConsent {
    /// The withdrawal is noted, and nothing more is sent. What was lawful when it was sent stays.
    #[default]
    Keep,
    /// It is retracted from the platforms that take retractions.
    Retract,
}

impl WithdrawnConsent {
    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "retract" => Ok(Self::Retract),
            _ => Err("must be keep or retract".into()),
        }
    }
}

/// Where a statement was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum ConsentSource {
    /// The lead's form.
    Form,
    /// The banner's state, sent with a page view.
    Visit,
    /// The banner's answer.
    Banner,
    /// The browser's Global Privacy Control.
    Gpc,
    /// A CRM's report.
    Crm,
    /// The operator's command.
    Operator,
    /// The site's own code, which writes to `leads`.
    Site,
}

crate::db::text_in_sql!(ConsentSource);

/// Google's two purposes (Consent Mode v2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// May data about this person be sent to Google for advertising?
    pub ad_user_data: ConsentStatus,
    /// May it be used to personalise what they are shown?
    pub ad_personalization: ConsentStatus,
}

impl Consent {
    /// Both denied: what the browser's Global Privacy Control says.
    pub const DENIED: Self = Self { ad_user_data: ConsentStatus::Denied, ad_personalization: ConsentStatus::Denied };

    /// This, and the other for the purposes that this doesn't answer.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            ad_user_data: self.ad_user_data.or(other.ad_user_data),
            ad_personalization: self.ad_personalization.or(other.ad_personalization),
        }
    }

    /// Was either purpose answered?
    #[must_use]
    pub fn is_known(self) -> bool {
        self != Self::default()
    }
}

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
