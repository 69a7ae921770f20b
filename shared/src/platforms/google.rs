//! What all of Google's APIs that we call share: who we are to them, how they are called, and what an answer means that
//! carries no reason specific to one of them.

pub(crate) mod api;
pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod credentials;
pub(crate) mod declared;
pub(crate) mod receipt;
pub(crate) mod request_status;
pub(crate) mod status;

use crate::outgoing::endpoint;
use crate::settings::Settings;

/// The limits of the Data Manager API: 300 a minute and 100,000 a day for a project. What counts is when a request
/// arrives, so a few are kept back.
pub(crate) const DATA_MANAGER_LIMITS: super::Limits = super::Limits { per_minute: 280, per_day: 99_000 };
/// The most events in a request ("Limits and quotas" of the Data Manager API).
pub(crate) const MOST_EVENTS: usize = 2_000;

/// Where the Data Manager API is.
pub(crate) fn data_manager_url(settings: &mut Settings) -> String {
    let url = settings.parsed("GOOGLE_DATA_MANAGER_URL", endpoint);
    url.unwrap_or_else(|| "https://datamanager.googleapis.com".into())
}

/// Where access tokens are to be had, if not where the credentials say.
pub(crate) fn token_url(settings: &mut Settings) -> Option<String> {
    settings.parsed("GOOGLE_TOKEN_URL", endpoint)
}
