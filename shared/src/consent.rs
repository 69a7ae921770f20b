//! Consent in three values, for each of the two purposes Google asks about.

use serde::{Deserialize, Serialize};

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
    const ALL: [Self; 3] = [Self::Granted, Self::Denied, Self::Unknown];

    /// May data with this consent be sent to a platform?
    #[must_use]
    pub fn may_be_sent(self, unknown: UnknownConsent) -> bool {
        match self {
            Self::Granted => true,
            Self::Denied => false,
            Self::Unknown => unknown == UnknownConsent::Send,
        }
    }

    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "granted" => Ok(Self::Granted),
            "denied" => Ok(Self::Denied),
            "unknown" => Ok(Self::Unknown),
            _ => Err("must be granted, denied or unknown".into()),
        }
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

    /// Was either purpose answered?
    #[must_use]
    pub fn is_known(self) -> bool {
        self != Self::default()
    }
}
