//! Consent in three values, for each of the two purposes Google asks about.

pub mod statements;
mod words;

use serde::{Deserialize, Serialize};

pub use words::UnknownWord;

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

    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let said = Self::ALL.into_iter().find(|status| status.as_str() == text);
        said.ok_or_else(|| "must be granted, denied or unknown".into())
    }
}

/// What happens to a conversion while consent to use its data for ads is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownConsent {
    #[default]
    Hold,
    /// It is sent without a statement on consent; for where the law doesn't ask for one.
    Send,
}

impl UnknownConsent {
    /// As in the setting and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Send => "send",
        }
    }

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
