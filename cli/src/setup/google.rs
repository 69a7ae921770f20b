//! What is asked for Google Ads.

pub(crate) mod credentials;

use shared::platforms::google_ads;

use super::questions::{Asked, Kept, Question};

pub(crate) const ACCOUNT: Question = Question {
    key: "google_ads_account",
    kept: Kept::Parameter("GoogleAdsCustomerId"),
    asked: Asked::OrLater("The Google Ads account, such as 123-456-7890. Leave it empty to set it up later."),
    of_account: false,
    check: customer_id,
};

pub(crate) const ACTION_CLOSED: Question = Question {
    key: "google_ads_action_closed",
    kept: Kept::Parameter("GoogleAdsConversionActionClosed"),
    asked: Asked::OrLater(
        "The conversion action for closed deals: its number, which is ctId in its address in Google Ads. Leave it \
         empty to set it up later.",
    ),
    of_account: true,
    check: google_ads::conversion_action,
};

pub(crate) const CREDENTIALS: Question = Question {
    key: "google_ads_credentials",
    kept: Kept::Credentials,
    asked: Asked::Always(
        "Google's credentials: the JSON file of a service account's key, or of Workload Identity Federation \
         (docs/google-ads.md).",
    ),
    of_account: true,
    check: credentials::read,
};

/// The parameters that functions read as settings, and the settings' names.
pub(crate) const PARAMETERS: [(&str, &str); 3] = [
    ("GoogleAdsCustomerId", "GOOGLE_ADS_CUSTOMER_ID"),
    ("GoogleAdsConversionActionClosed", "GOOGLE_ADS_CONVERSION_ACTION_CLOSED"),
    ("GoogleAdsConversionActionQualified", "GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED"),
];

/// As Google writes it.
fn customer_id(text: &str) -> Result<String, String> {
    let digits = google_ads::customer_id(text)?;
    Ok(format!("{}-{}-{}", &digits[..3], &digits[3..6], &digits[6..]))
}
