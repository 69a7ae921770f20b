//! Google Ads, told through the Data Manager API, or through the Google Ads API where the account may still use that
//! for uploads. Retractions always go through the latter: the former has none.

mod ads_api;
mod api;
mod auth;
mod batch;
mod credentials;
mod data_manager;
mod identifiers;
mod meaning;
mod settings;
mod status;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use super::{Correction, Lane, Lanes, Operation, Outcome, Plan, Reason, RegistryEntry};
use crate::clock::Clock;
use crate::deals::Stage;
use crate::outgoing::http_client;

use ads_api::AdsApi;
use api::Api;
pub use auth::Credentials;
use auth::{Scope, TokenSource};
use data_manager::DataManager;

const UPLOADS: &str = "google_ads";
const RESTATEMENTS: &str = "google_ads_restatements";
const RETRACTIONS: &str = "google_ads_retractions";

/// Google Ads' line in the registry.
pub const ENTRY: RegistryEntry = RegistryEntry {
    plan: |settings, stages| Some(settings::read(settings, stages)?.plan()),
    connect: |settings, stages, clock| {
        let google = settings::read(settings, stages)?;
        let plan = google.plan();
        let lanes = credentials::read(settings).and_then(|credentials| {
            let lanes = google.connect(credentials, clock);
            lanes.map_err(|problem| settings.refuse(problem)).ok()
        });
        Some((plan, lanes.unwrap_or_default()))
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
    pub conversion_actions: BTreeMap<Stage, String>,
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
    /// From a click to the first upload.
    pub click_hold: TimeDelta,
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
    fn plan(&self) -> Plan {
        let correction = |operation, lane| Correction { operation, lane, window: windows::ADJUSTMENT };
        Plan {
            platform: UPLOADS,
            stages: self.conversion_actions.keys().cloned().collect(),
            click_hold: self.click_hold,
            click_window: windows::CLICK,
            user_data_window: windows::USER_DATA,
            corrections: vec![
                correction(Operation::Restatement, RESTATEMENTS),
                correction(Operation::Retraction, RETRACTIONS),
            ],
        }
    }

    /// A lane for each operation.
    fn connect(self, credentials: Credentials, clock: &Clock) -> Result<Lanes, String> {
        let http = http_client()?;
        let tokens = Arc::new(TokenSource::new(credentials, self.token_url.clone(), http.clone(), clock.clone()));
        let google = Arc::new(self);
        let names_refused = Arc::default();
        let lane = |operation| -> Box<dyn Lane> {
            let (google, clock) = (Arc::clone(&google), clock.clone());
            let api = |scope| Api { tokens: Arc::clone(&tokens), scope, http: http.clone() };
            match (google.transport, operation) {
                (Transport::DataManager, Operation::Upload | Operation::Restatement) => {
                    let (api, names_refused) = (api(Scope::DataManager), Arc::clone(&names_refused));
                    Box::new(DataManager { google, api, clock, operation, names_refused })
                }
                _ => Box::new(AdsApi { google, api: api(Scope::Adwords), clock, operation }),
            }
        };
        Ok([Operation::Upload, Operation::Restatement, Operation::Retraction].map(lane).into())
    }

    /// The number of the conversion action for this stage, or that these conversions wait for one.
    fn action(&self, stage: &Stage) -> Result<&str, Outcome> {
        self.conversion_actions.get(stage).map(String::as_str).ok_or_else(|| {
            let setting = settings::action(stage);
            let message = format!(
                "Google Ads has no conversion action for {stage} deals: set {setting}, and name the stage in STAGES."
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
            conversion_actions: BTreeMap::from([(Stage::closed(), "987654321".into())]),
            transport: Transport::DataManager,
            user_data: true,
            data_manager_url: String::new(),
            ads_api_url: String::new(),
            ads_api_version: "v26".into(),
            token_url: None,
            click_hold: windows::YOUNGEST_CLICK,
        }
    }

    #[test]
    fn a_type_without_an_action_waits_for_one() {
        assert_eq!(google().action(&Stage::closed()), Ok("987654321"));
        let Err(Outcome::Held(reason)) = google().action(&Stage::qualified()) else { panic!() };
        assert!(reason.message.contains("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED"), "{}", reason.message);
    }
}
