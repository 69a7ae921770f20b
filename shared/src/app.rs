//! What a function has at hand.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use crate::clock::Clock;
use crate::config;
use crate::db::Db;
use crate::settings::{ConfigError, FromSettings, Settings, Values};

/// Made once per sandbox, lent to every invocation. `C` is what the function itself reads from its settings: its binary
/// has nothing in it that only other functions use.
pub struct App<C> {
    pub config: C,
    pub db: Arc<Db>,
    pub clock: Clock,
}

impl<C: FromSettings> App<C> {
    /// With at most so many database connections. `required` names settings that can't be left out.
    ///
    /// # Errors
    /// Everything that is missing or wrong, at once.
    pub fn new(values: &Values, required: &[&str], clock: Clock, connections: usize) -> Result<Self, ConfigError> {
        let (options, config) = read(Settings::new(values), required, &clock)?;
        let db = Db::new(options, connections).with_clock(clock.clone());
        Ok(Self { config, db: Arc::new(db), clock })
    }

    /// On Lambda: with one connection, and a password that may be rotated.
    ///
    /// # Errors
    /// Everything that is missing or wrong, at once, and secrets that belong to `make dev`.
    pub fn deployed(values: &Values, required: &[&str]) -> Result<Self, ConfigError> {
        let clock = Clock::system();
        let (options, config) = read(Settings::deployed(values), required, &clock)?;
        let db = Db::new(options, 1).with_rotation(config::database_now);
        Ok(Self { config, db: Arc::new(db), clock })
    }
}

/// What a function reads that needs no database, on Lambda.
///
/// # Errors
/// Everything that is missing or wrong, at once.
pub fn without_database<C: FromSettings>(values: &Values, required: &[&str]) -> Result<C, ConfigError> {
    let mut settings = Settings::deployed(values);
    settings.require(required);
    let config = C::from_settings(&mut settings, &Clock::system());
    settings.finish(Some(config))
}

fn read<C: FromSettings>(
    mut settings: Settings,
    required: &[&str],
    clock: &Clock,
) -> Result<(PgConnectOptions, C), ConfigError> {
    let database = config::database(&mut settings);
    settings.require(required);
    let config = C::from_settings(&mut settings, clock);
    Ok((settings.finish(database)?, config))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::intake;
    use crate::queue::Policy;

    /// Why a function doesn't start with these settings.
    fn error(pairs: &[(&str, &str)], required: &[&str]) -> String {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
        App::<(intake::Config, Policy)>::new(&values, required, Clock::system(), 1).err().unwrap().to_string()
    }

    #[test]
    fn everything_missing_and_wrong_is_reported_at_once() {
        let report = error(
            &[
                ("CRM_SOURCES", "[acme"),
                ("CONSENT_UNKNOWN", "maybe"),
                ("PHONE_DEFAULT_REGION", "UK"),
                ("MATCH_BY", "email"),
                ("GOOGLE_ADS_CUSTOMER_ID", "12"),
            ],
            &["WEBHOOK_SECRET", "ALLOWED_ORIGINS"],
        );
        for part in [
            "DATABASE_URL, WEBHOOK_SECRET, ALLOWED_ORIGINS",
            "CRM_SOURCES ",
            "CONSENT_UNKNOWN must",
            "PHONE_DEFAULT_REGION must",
            "MATCH_BY must be addresses or lead_id",
            "GOOGLE_ADS_CUSTOMER_ID must",
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }
    }

    #[test]
    fn no_secret_shows_in_an_error() {
        let report = error(&[("DATABASE_URL", "postgresql://app:s3cret@[bad"), ("GOOGLE_CLIENT_SECRET", "hush")], &[]);
        assert!(!report.contains("s3cret") && !report.contains("hush"), "{report}");
    }

    #[test]
    fn a_database_authority_must_be_a_certificate() {
        let report = error(&[("DATABASE_CA_PEM", "not for the log")], &[]);
        assert!(report.contains("DATABASE_CA_PEM must be the certificate"), "{report}");
        assert!(!report.contains("not for the log"), "{report}");
    }
}
