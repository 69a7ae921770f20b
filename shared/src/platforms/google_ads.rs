//! Google Ads, told through the Data Manager API, or through the Google Ads API where the account may still use that for
//! uploads. Retractions always go through the latter: the former has none.

mod ads_api;
mod api;
mod auth;
mod batch;
mod data_manager;
mod identifiers;
mod meaning;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Connected, Entry, Operation, Outcome, Reason};
use crate::conversions::ConversionType;

use ads_api::AdsApi;
use api::Api;
pub use auth::{AwsKeys, Credentials, ExternalAccount, RefreshToken, ServiceAccountKey};
use auth::{Scope, TokenSource};
use data_manager::DataManager;

const UPLOADS: &str = "google_ads";
const RESTATEMENTS: &str = "google_ads_restatements";
const RETRACTIONS: &str = "google_ads_retractions";

/// Google Ads' line in the registry.
pub const ENTRY: Entry = Entry {
    id: UPLOADS,
    restatements: RESTATEMENTS,
    retractions: RETRACTIONS,
    accepts: |config, kind| {
        config.google_ads.as_ref().is_some_and(|google| google.conversion_actions.contains_key(&kind))
    },
    connect: |config, clock| {
        let Some(google) = config.google_ads.clone() else { return Ok(Vec::new()) };
        let Some(credentials) = google.credentials.clone() else { return Ok(Vec::new()) };
        let http = super::http_client()?;
        let tokens = TokenSource::new(credentials, google.token_url.clone(), http.clone(), clock.clone());
        let (google, tokens, click_hold) = (Arc::new(google), Arc::new(tokens), config.timing.click_hold);
        let platform = |operation| -> Box<dyn super::Platform> {
            let (google, clock) = (Arc::clone(&google), clock.clone());
            let api = |scope| Api { tokens: Arc::clone(&tokens), scope, http: http.clone() };
            match (google.transport, operation) {
                (Transport::DataManager, Operation::Upload | Operation::Restatement) => {
                    let api = api(Scope::DataManager);
                    Box::new(DataManager { google, api, clock, operation, click_hold })
                }
                _ => Box::new(AdsApi { google, api: api(Scope::Adwords), clock, operation, click_hold }),
            }
        };
        Ok(Connected::from([Operation::Upload, Operation::Restatement, Operation::Retraction].map(platform)))
    },
};

/// The account conversions go to, and how to reach it.
#[derive(Clone)]
pub struct GoogleAds {
    /// The account that owns the conversion actions: ten digits.
    pub customer_id: String,
    /// The manager account the credentials have access through, if they have none of their own.
    pub login_customer_id: Option<String>,
    /// The numbers of the conversion actions.
    pub conversion_actions: BTreeMap<ConversionType, String>,
    /// Which API uploads go through.
    pub transport: Transport,
    /// Are hashed e-mails and phones sent beside the click ids?
    pub user_data: bool,
    /// Where the Data Manager API is.
    pub data_manager_url: String,
    /// Where the Google Ads API is.
    pub ads_api_url: String,
    /// The version of the Google Ads API, such as `v26`.
    pub ads_api_version: String,
    /// Where access tokens are to be had, if not where the credentials say.
    pub token_url: Option<String>,
    /// Who we are. Only the uploader has them.
    pub credentials: Option<Credentials>,
}

/// The API that uploads go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The Data Manager API, open to every account.
    #[default]
    DataManager,
    /// The Google Ads API: for accounts that uploaded through it before June 2026.
    GoogleAds,
}

impl GoogleAds {
    /// The number of the conversion action for this type, or that these conversions wait for one.
    fn action(&self, kind: ConversionType) -> Result<&str, Outcome> {
        self.conversion_actions.get(&kind).map(String::as_str).ok_or_else(|| {
            let (kind, setting) = (kind.as_str(), kind.as_str().to_uppercase());
            let message = format!(
                "Google Ads has no conversion action for {kind} deals: set GOOGLE_ADS_CONVERSION_ACTION_{setting}."
            );
            Outcome::Held(Reason::new("no_conversion_action", message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account with one conversion action.
    pub(super) fn google() -> GoogleAds {
        GoogleAds {
            customer_id: "1234567890".into(),
            login_customer_id: None,
            conversion_actions: BTreeMap::from([(ConversionType::Closed, "987654321".into())]),
            transport: Transport::DataManager,
            user_data: true,
            data_manager_url: String::new(),
            ads_api_url: String::new(),
            ads_api_version: "v26".into(),
            token_url: None,
            credentials: None,
        }
    }

    #[test]
    fn a_type_without_an_action_waits_for_one() {
        assert_eq!(google().action(ConversionType::Closed), Ok("987654321"));
        let Err(Outcome::Held(reason)) = google().action(ConversionType::Qualified) else { panic!() };
        assert!(reason.message.contains("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED"), "{}", reason.message);
    }
}
