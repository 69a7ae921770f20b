//! The settings of `make dev`. Its secrets are fixed and printed, so the functions refuse them anywhere else.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use secrecy::SecretString;
use shared::config::{Config, ConfigError, Timing, Values};

use crate::google::GoogleAccount;

/// Signs the webhook.
pub const WEBHOOK_SECRET: &str = "dev-webhook-secret";
/// Opens the health endpoint.
pub const HEALTH_KEY: &str = "dev-health-key";

/// Settings that may be changed from outside. Not the credentials: `make dev` never speaks to the real Google.
const ADJUSTABLE: [&str; 7] = [
    "ALLOWED_ORIGINS",
    "CLICK_HOLD_SECONDS",
    "CONSENT_UNKNOWN",
    "COOKIE_DOMAIN",
    "GOOGLE_ADS_TRANSPORT",
    "GOOGLE_ADS_USER_DATA",
    "PHONE_DEFAULT_REGION",
];

/// Everything the six functions ask for, against this database and the sandbox Google at this URL.
#[must_use]
pub fn values(database_url: &str, google_url: &str) -> Values {
    let account = GoogleAccount::dev();
    let credentials = &account.refresh_token;
    let token_url = format!("{google_url}/token");
    let values = BTreeMap::from([
        ("DATABASE_URL", database_url),
        ("ALLOWED_ORIGINS", google_url),
        ("IP_HASH_KEY", "dev-ip-hash-key"),
        ("WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("HEALTH_KEY", HEALTH_KEY),
        ("CONSENT_UNKNOWN", "send"),
        ("CLICK_HOLD_SECONDS", "0"),
        ("GOOGLE_ADS_CUSTOMER_ID", &account.customer_id),
        ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "987654321"),
        ("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED", "987654320"),
        ("GOOGLE_DATA_MANAGER_URL", google_url),
        ("GOOGLE_ADS_API_URL", google_url),
        ("GOOGLE_TOKEN_URL", &token_url),
        ("GOOGLE_CLIENT_ID", &credentials.client_id),
        ("GOOGLE_CLIENT_SECRET", &credentials.client_secret),
        ("GOOGLE_REFRESH_TOKEN", &credentials.refresh_token),
    ]);
    values.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect()
}

/// The same, checked, without the waiting times that only make sense with the real Google.
///
/// # Errors
/// When a setting changed from outside is wrong.
pub fn config(values: &Values) -> Result<Config, ConfigError> {
    let mut config = Config::from_values(values, &[])?;
    config.timing =
        Timing { confirm_after: chrono::TimeDelta::zero(), probe_after: chrono::TimeDelta::zero(), ..config.timing };
    Ok(config)
}

/// [`values`], with what the environment changes, for a server on this port.
#[must_use]
pub fn from_environment(database_url: &str, port: u16) -> Values {
    let here = format!("http://127.0.0.1:{port}");
    let mut values = values(database_url, &here);
    let pages = format!("http://localhost:{port},{here}");
    values.insert("ALLOWED_ORIGINS".into(), SecretString::from(pages));
    for name in ADJUSTABLE {
        if let Some(value) = environment(name) {
            values.insert(name.into(), SecretString::from(value));
        }
    }
    values
}

/// The port to serve on: `PORT`, else 8080.
///
/// # Errors
/// When `PORT` is no port.
pub fn port() -> anyhow::Result<u16> {
    match environment("PORT") {
        None => Ok(8080),
        Some(port) => port
            .parse()
            .map(NonZeroU16::get)
            .map_err(|_| anyhow::anyhow!("PORT={port} is no port: give a number from 1 to 65535")),
    }
}

/// A variable of the environment; an empty one counts as none.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "make dev is configured by the environment, too")]
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
