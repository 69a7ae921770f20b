//! The settings of Google Ads: those of the one destination that needs no declaration, and those that all share.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{GoogleAds, Transport, versions, windows};
use crate::deals::{Stage, Stages};
use crate::outgoing::endpoint;
use crate::platforms::google;
use crate::platforms::google::credentials::Names;
use crate::settings::Settings;

/// The account of the destination that needs no declaration.
pub(super) const CUSTOMER_ID: &str = "GOOGLE_ADS_CUSTOMER_ID";

/// What all destinations share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// Where the Data Manager API is.
    pub data_manager_url: String,
    /// Where the Google Ads API is.
    pub ads_api_url: String,
    /// The version of the Google Ads API, such as `v26`.
    pub ads_api_version: String,
    /// Where access tokens are to be had, if not where the credentials say.
    pub token_url: Option<String>,
    /// From a click to the first upload, unless a destination says otherwise.
    pub click_hold: TimeDelta,
}

impl Shared {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let ads_api_version = settings.parsed("GOOGLE_ADS_API_VERSION", |text| {
            let is_version = text.strip_prefix('v').is_some_and(|it| it.parse::<u8>().is_ok_and(|it| it > 0));
            if is_version { Ok(text.to_owned()) } else { Err("must be a version such as v26".into()) }
        });
        let data_manager_url = google::data_manager_url(settings);
        let ads_api_url = settings.parsed("GOOGLE_ADS_API_URL", endpoint);
        let token_url = google::token_url(settings);
        let click_hold = settings.parsed("CLICK_HOLD_SECONDS", seconds);
        Self {
            data_manager_url,
            ads_api_url: ads_api_url.unwrap_or_else(|| "https://googleads.googleapis.com".into()),
            ads_api_version: ads_api_version.unwrap_or_else(|| versions::DEFAULT.into()),
            token_url,
            click_hold: click_hold.unwrap_or(windows::YOUNGEST_CLICK),
        }
    }
}

/// The account, if one is set.
pub(super) fn short_form(settings: &mut Settings, stages: &Stages) -> Option<GoogleAds> {
    let id = settings.parsed(CUSTOMER_ID, customer_id);
    let login_customer_id = settings.parsed("GOOGLE_ADS_LOGIN_CUSTOMER_ID", customer_id);
    let conversion_actions: BTreeMap<_, _> = stages
        .iter()
        .filter_map(|stage| Some((stage.clone(), settings.parsed(&action(stage), conversion_action)?)))
        .collect();
    let transport = settings.parsed("GOOGLE_ADS_TRANSPORT", transport);
    let user_data = settings.parsed("GOOGLE_ADS_USER_DATA", user_data);
    let shared = Shared::read(settings);
    Some(GoogleAds {
        declared_as: None,
        customer_id: id?,
        login_customer_id,
        conversion_actions,
        transport: transport.unwrap_or_default(),
        user_data: user_data.unwrap_or(true),
        click_hold: shared.click_hold,
        credentials: Names::default(),
        shared,
    })
}

/// The setting that names the conversion action of a stage.
pub(super) fn action(stage: &Stage) -> String {
    format!("GOOGLE_ADS_CONVERSION_ACTION_{}", stage.as_str().to_uppercase())
}

/// Google writes it with hyphens in the interface and wants it without.
///
/// # Errors
/// What an account looks like.
pub fn customer_id(text: &str) -> Result<String, String> {
    let digits = text.replace('-', "");
    if digits.len() == 10 && digits.bytes().all(|c| c.is_ascii_digit()) {
        Ok(digits)
    } else {
        Err("must be the ten digits of a Google Ads account, such as 123-456-7890".into())
    }
}

/// The number of a conversion action, or its resource name.
///
/// # Errors
/// What is allowed.
pub fn conversion_action(text: &str) -> Result<String, String> {
    let id = match text.strip_prefix("customers/") {
        Some(rest) => rest.split_once("/conversionActions/").map_or("", |(_, id)| id),
        None => text,
    };
    if (1..=20).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_digit()) {
        Ok(id.into())
    } else {
        Err("must be the number of a conversion action (ctId in its address in Google Ads)".into())
    }
}

pub(super) fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "data_manager" => Ok(Transport::DataManager),
        "google_ads" => Ok(Transport::GoogleAds),
        _ => {
            Err("must be data_manager, or google_ads for accounts that uploaded through the Google Ads API before"
                .into())
        }
    }
}

/// Are hashed e-mails and phones sent?
pub(super) fn user_data(text: &str) -> Result<bool, String> {
    match text {
        "send" => Ok(true),
        "omit" => Ok(false),
        _ => Err("must be send or omit".into()),
    }
}

pub(super) fn seconds(text: &str) -> Result<TimeDelta, String> {
    let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds <= 7 * 24 * 60 * 60);
    seconds
        .map(|seconds| TimeDelta::seconds(seconds.into()))
        .ok_or_else(|| "must be whole seconds, at most 604800".into())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::settings::Values;

    fn google(pairs: &[(&str, &str)]) -> Result<GoogleAds, String> {
        let values: Values =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
        let mut settings = Settings::new(&values);
        let google = short_form(&mut settings, &Stages::default());
        settings.finish(google).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_are_taken_as_people_copy_them() {
        let google = google(&[
            ("GOOGLE_ADS_CUSTOMER_ID", "123-456-7890"),
            ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "customers/1234567890/conversionActions/987654321"),
        ]);
        let google = google.ok().unwrap();
        assert_eq!(google.customer_id, "1234567890");
        assert_eq!(google.conversion_actions[&Stage::closed()], "987654321");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let account = ("GOOGLE_ADS_CUSTOMER_ID", "1234567890");
        let error = google(&[account, ("GOOGLE_DATA_MANAGER_URL", "http://example.com")]).err().unwrap();
        assert!(error.contains("https://"), "{error}");
        assert!(google(&[account, ("GOOGLE_DATA_MANAGER_URL", "http://127.0.0.1:9/")]).is_ok());
    }
}
