//! Google Ads, told through the Data Manager API. (The Google Ads API's own upload has been closed to new accounts since
//! June 2026.)

mod auth;
mod data_manager;
mod verdict;

use std::collections::BTreeMap;

use super::Entry;
use crate::conversions::ConversionType;

use auth::TokenSource;
pub use auth::{AwsKeys, Credentials, ExternalAccount, RefreshToken, ServiceAccountKey};
use data_manager::DataManager;

const ID: &str = "google_ads";

/// Google Ads' line in the registry.
pub const ENTRY: Entry = Entry {
    id: ID,
    accepts: |config, kind| {
        config.google_ads.as_ref().is_some_and(|google| google.conversion_actions.contains_key(&kind))
    },
    connect: |config, clock| {
        let Some(google) = &config.google_ads else { return Ok(None) };
        let Some(credentials) = &google.credentials else { return Ok(None) };
        let http = super::http_client()?;
        let tokens = TokenSource::new(credentials.clone(), google.token_url.clone(), http.clone(), clock.clone());
        Ok(Some(Box::new(DataManager { google: google.clone(), tokens, http, clock: clock.clone() })))
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
    /// Where the Data Manager API is.
    pub data_manager_url: String,
    /// Where access tokens are to be had, if not where the credentials say.
    pub token_url: Option<String>,
    /// Who we are. Only the uploader has them.
    pub credentials: Option<Credentials>,
}
