//! What the settings mean together. Everything that is missing or wrong is reported at once.

use std::path::PathBuf;
use std::str::FromStr;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

use crate::consent::UnknownConsent;
use crate::crm::Sources;
use crate::crm::authentication::Scheme;
use crate::db::authority;
use crate::http::cors::Origins;
use crate::identity::Region;
use crate::platforms::{self, Platforms};
use crate::settings::{ConfigError, Settings, Values, values};

/// The settings, checked. It has no `Debug`: it holds secrets.
pub struct Config {
    /// How to reach Postgres.
    pub database: PgConnectOptions,
    /// Websites whose pages may call.
    pub allowed_origins: Origins,
    /// The domain of the cookies, when they are to be shared by several hosts.
    pub cookie_domain: Option<String>,
    /// Keys the hash of visitors' addresses.
    pub ip_hash_key: Option<SecretString>,
    /// The CRMs that may report deals.
    pub crm_sources: Sources,
    /// Opens the health endpoint.
    pub health_key: Option<SecretString>,
    /// Where telephone numbers without a country code come from; when it isn't set, nobody is matched by them.
    pub phone_default_region: Option<Region>,
    /// What happens to conversions of people who were not asked for consent.
    pub consent_unknown: UnknownConsent,
    /// When things happen.
    pub timing: Timing,
    /// The ad platforms that are set up.
    pub platforms: Platforms,
}

/// Waiting times.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From an upload to the first question for its verdict; doubles up to twelve hours.
    pub confirm_after: TimeDelta,
    /// From a platform's pause to the next try.
    pub probe_after: TimeDelta,
}

impl Default for Timing {
    fn default() -> Self {
        Self { confirm_after: TimeDelta::minutes(30), probe_after: TimeDelta::minutes(10) }
    }
}

impl Config {
    /// On Lambda: from [`values`].
    ///
    /// # Errors
    /// Everything missing or wrong at once, and secrets that belong to `make dev`.
    pub async fn load(required: &[&str]) -> Result<Self, ConfigError> {
        let values = values().await?;
        let problems = development_secrets(&values, SECRETS);
        let config = Self::read(&values, required, problems, Sources::parse)?;
        let of_sources = config.crm_sources.iter().flat_map(|source| &source.schemes).flat_map(Scheme::secrets);
        match development_secrets(&values, of_sources).as_slice() {
            [] => Ok(config),
            problems => Err(ConfigError::new(&problems.join(". "))),
        }
    }

    /// From these values, for `make dev`, the command line and tests.
    ///
    /// # Errors
    /// Everything missing or wrong at once.
    pub fn from_values(values: &Values, required: &[&str]) -> Result<Self, ConfigError> {
        Self::read(values, required, Vec::new(), Sources::parse)
    }

    /// The same where secrets of sources may be missing ([`Sources::draft`]), for trying declarations.
    ///
    /// # Errors
    /// Everything missing or wrong at once.
    pub fn draft(values: &Values) -> Result<Self, ConfigError> {
        Self::read(values, &[], Vec::new(), Sources::draft)
    }

    fn read(
        values: &Values,
        required: &[&str],
        problems: Vec<String>,
        parse_sources: ParseSources,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(values);
        for problem in problems {
            settings.refuse(problem);
        }
        for name in std::iter::once(&"DATABASE_URL").chain(required) {
            if settings.text(name).is_none() && !platforms::stands_in(name, &settings) {
                settings.miss(name);
            }
        }
        let database = database(&mut settings);
        let config = Self {
            database: database.unwrap_or_else(PgConnectOptions::new_without_pgpass),
            allowed_origins: settings.parsed("ALLOWED_ORIGINS", Origins::parse).unwrap_or_default(),
            cookie_domain: settings.parsed("COOKIE_DOMAIN", cookie_domain),
            ip_hash_key: settings.secret("IP_HASH_KEY"),
            crm_sources: crm_sources(&mut settings, parse_sources),
            health_key: settings.secret("HEALTH_KEY"),
            phone_default_region: settings.parsed("PHONE_DEFAULT_REGION", Region::parse),
            consent_unknown: settings
                .parsed("CONSENT_UNKNOWN", |text| match text {
                    "hold" => Ok(UnknownConsent::Hold),
                    "send" => Ok(UnknownConsent::Send),
                    _ => Err("must be hold or send".into()),
                })
                .unwrap_or_default(),
            timing: Timing::default(),
            platforms: Platforms::set_up(&mut settings),
        };
        settings.finish()?;
        Ok(config)
    }
}

/// How to reach Postgres, as the settings have it now: a password may be rotated while a sandbox lives.
pub async fn database_options() -> Result<PgConnectOptions, ConfigError> {
    let values = values().await?;
    let mut settings = Settings::new(&values);
    let options = database(&mut settings);
    settings.finish()?;
    options.ok_or_else(|| ConfigError::new("DATABASE_URL is missing"))
}

/// Reads declarations with the secrets that are set.
type ParseSources = fn(&str, &dyn Fn(&str) -> Option<SecretString>) -> Result<Sources, String>;

fn database(settings: &mut Settings) -> Option<PgConnectOptions> {
    let authority = settings.parsed("DATABASE_CA_PEM", authority::parse);
    settings.parsed("DATABASE_URL", |url| {
        // The parser's own message may quote the password.
        let options = PgConnectOptions::from_str(url).map_err(
            |_| "must look like postgresql://user:password@host:6543/postgres, the password percent-encoded",
        )?;
        Ok(authority::trust(options, url, authority))
    })
}

fn cookie_domain(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text.chars().all(known) && text.contains('.') {
        Ok(text.trim_start_matches('.').to_owned())
    } else {
        Err("must be a domain such as example.com".into())
    }
}

/// The declarations themselves, or the name of a file that holds them: they may be more than a Lambda function's
/// environment does.
fn crm_sources(settings: &mut Settings, parse: ParseSources) -> Sources {
    let written = settings.as_written("CRM_SOURCES");
    let file = PathBuf::from(written.trim());
    let is_file = file.extension().is_some_and(|ending| ending == "toml") && !written.trim().contains('\n');
    let toml = if is_file {
        std::fs::read_to_string(&file)
            .map_err(|error| format!("names {}, which can't be read: {error}", file.display()))
    } else {
        Ok(written)
    };
    match toml.and_then(|toml| parse(&toml, &|name| settings.secret(name))) {
        Ok(sources) => sources,
        Err(problem) => {
            settings.refuse(format!("CRM_SOURCES {problem}"));
            Sources::default()
        }
    }
}

/// The secrets that are no source's.
const SECRETS: [&str; 4] = ["IP_HASH_KEY", "WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS", "HEALTH_KEY"];

/// `make dev` prints its secrets, so outside of it they are no secrets.
fn development_secrets<'a>(values: &Values, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names
        .into_iter()
        .filter_map(|name| {
            let value = values.get(name)?.expose_secret();
            let weak = !value.is_empty() && (value.starts_with("dev-") || value.len() < 16);
            weak.then(|| {
                format!("{name} must be a secret of at least 16 characters, not one of make dev: openssl rand -hex 32")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
    }

    fn error(pairs: &[(&str, &str)], required: &[&str]) -> String {
        Config::from_values(&values(pairs), required).err().unwrap().to_string()
    }

    #[test]
    fn everything_missing_and_wrong_is_reported_at_once() {
        let report = error(
            &[("CONSENT_UNKNOWN", "maybe"), ("PHONE_DEFAULT_REGION", "UK"), ("GOOGLE_ADS_CUSTOMER_ID", "12")],
            &["HEALTH_KEY", "ALLOWED_ORIGINS"],
        );
        for part in [
            "DATABASE_URL, HEALTH_KEY, ALLOWED_ORIGINS",
            "CONSENT_UNKNOWN must",
            "PHONE_DEFAULT_REGION must",
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

    #[test]
    fn secrets_of_make_dev_are_refused_elsewhere() {
        let problems = development_secrets(
            &values(&[
                ("WEBHOOK_SECRET", "dev-webhook-secret"),
                ("HEALTH_KEY", "short"),
                ("IP_HASH_KEY", "0123456789abcdef"),
            ]),
            SECRETS,
        );
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
