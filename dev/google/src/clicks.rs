//! The clicks that Google is told to know. Of any other click nothing is known, so it counts as matched.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

/// A click on an ad, as Google knows it.
#[derive(Clone, Debug)]
pub struct Click {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The account of the ad: ten digits.
    pub customer_id: String,
}

/// Why a conversion can't be attributed to its click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The conversion is earlier than the click.
    Precedes,
    /// The click belongs to another account than the one that the conversion was sent for.
    OtherAccount,
}

impl Mismatch {
    /// The Data Manager API's `ProcessingErrorReason`.
    pub(crate) fn processing_reason(self) -> &'static str {
        match self {
            Self::Precedes => "PROCESSING_ERROR_REASON_CONVERSION_PRECEDES_CLICK",
            Self::OtherAccount => "PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK",
        }
    }

    /// The Google Ads API's `ConversionUploadError`.
    pub(crate) fn upload_error(self) -> &'static str {
        match self {
            Self::Precedes => "CONVERSION_PRECEDES_EVENT",
            Self::OtherAccount => "INVALID_CUSTOMER_FOR_CLICK",
        }
    }
}

/// The known clicks, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Clicks(HashMap<String, Click>);

impl Clicks {
    pub(crate) fn add(&mut self, id: String, click: Click) {
        self.0.insert(id, click);
    }

    /// What is wrong with a conversion of this click at this time, sent for this account.
    pub(crate) fn mismatch(&self, id: &str, occurred_at: DateTime<Utc>, customer_id: &str) -> Option<Mismatch> {
        let click = self.0.get(id)?;
        if click.customer_id != customer_id {
            return Some(Mismatch::OtherAccount);
        }
        (occurred_at < click.at).then_some(Mismatch::Precedes)
    }
}
