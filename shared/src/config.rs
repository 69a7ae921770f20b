//! The settings: environment variables, and one JSON object in AWS Secrets Manager for what is secret. Everything that
//! is missing or wrong is reported at once.

mod google_credentials;
mod secret;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;

use chrono::TimeDelta;
use lambda_http::http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

use crate::conversions::ConversionType;
use crate::crm::Sources;
use crate::crm::authentication::Scheme;
use crate::db::authority;
use crate::identity::Region;
use crate::platforms::google_ads::{GoogleAds, Transport};

/// Where the secret is: its name or ARN.
const SECRET_ID: &str = "ADTRAIL_SECRET_ID";

/// Names and values, whatever they came from.
pub type Values = BTreeMap<String, SecretString>;

/// The settings, checked. It has no `Debug`: it holds secrets.
pub struct Config {
    /// How to reach Postgres.
    pub database: PgConnectOptions,
    /// Websites whose pages may call, as `https://www.example.com`.
    pub allowed_origins: Vec<String>,
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
    /// Google Ads; none when no account is set.
    pub google_ads: Option<GoogleAds>,
}

/// What happens to a conversion while consent to use its data for ads is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownConsent {
    /// It waits.
    #[default]
    Hold,
    /// It is sent without a statement on consent; for where the law doesn't ask for one.
    Send,
}

/// Waiting times.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From a click to the first upload: Google refuses younger clicks.
    pub click_hold: TimeDelta,
    /// From an upload to the first question for its verdict; doubles up to twelve hours.
    pub confirm_after: TimeDelta,
    /// From a platform's pause to the next try.
    pub probe_after: TimeDelta,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            click_hold: TimeDelta::hours(6),
            confirm_after: TimeDelta::minutes(30),
            probe_after: TimeDelta::minutes(10),
        }
    }
}

/// Everything that is wrong with the settings, and how to put it right.
#[derive(Debug, thiserror::Error)]
#[error("Adtrail can't start.{report}")]
pub struct ConfigError {
    report: String,
}

impl ConfigError {
    /// Of a sentence that says the fix.
    #[must_use]
    pub fn new(problem: &str) -> Self {
        Self { report: format!(" {problem}.") }
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
        let mut settings = Settings { values, problems };
        let missing: Vec<_> = std::iter::once(&"DATABASE_URL")
            .chain(required)
            .filter(|name| settings.text(name).is_none())
            .filter(|name| **name != google_credentials::SERVICE_ACCOUNT_KEY || !google_credentials::are_set(&settings))
            .copied()
            .collect();
        let database = database(&mut settings);
        let config = Self {
            database: database.unwrap_or_else(PgConnectOptions::new_without_pgpass),
            allowed_origins: origins(&mut settings),
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
            timing: Timing {
                click_hold: settings.parsed("CLICK_HOLD_SECONDS", seconds).unwrap_or(Timing::default().click_hold),
                ..Timing::default()
            },
            google_ads: google_ads(&mut settings),
        };
        let mut report = String::new();
        if !missing.is_empty() {
            let names = missing.join(", ");
            let _ = write!(
                report,
                " Missing settings: {names}. Set them in the environment or in the secret {SECRET_ID} names."
            );
        }
        for problem in settings.problems {
            let _ = write!(report, " {problem}.");
        }
        if report.is_empty() { Ok(config) } else { Err(ConfigError { report }) }
    }

    /// Is this origin on the list?
    #[must_use]
    pub fn allows_origin(&self, origin: &HeaderValue) -> bool {
        self.allowed_origins.iter().any(|allowed| origin == allowed.as_str())
    }
}

/// From the environment and, where ADTRAIL_SECRET_ID names one, the secret. The environment wins.
///
/// # Errors
/// When the secret can't be read.
pub async fn values() -> Result<Values, ConfigError> {
    let environment: Values = std::env::vars().map(|(name, value)| (name, SecretString::from(value))).collect();
    let mut values = match environment.get(SECRET_ID) {
        Some(id) => secret::fetch(id.expose_secret()).await.map_err(|report| ConfigError { report })?,
        None => Values::new(),
    };
    values.extend(environment);
    Ok(values)
}

/// How to reach Postgres, as the settings have it now: a password may be rotated while a sandbox lives.
///
/// # Errors
/// When the secret can't be read, or the settings of the database are wrong.
pub async fn database_options() -> Result<PgConnectOptions, ConfigError> {
    let values = values().await?;
    let mut settings = Settings { values: &values, problems: Vec::new() };
    match (database(&mut settings), settings.problems.as_slice()) {
        (Some(options), []) => Ok(options),
        (_, []) => Err(ConfigError::new("DATABASE_URL is missing")),
        (_, problems) => Err(ConfigError::new(&problems.join(". "))),
    }
}

/// A setting's value. An empty one counts as none: templates can't leave a variable out.
#[must_use]
pub fn value(values: &Values, name: &str) -> Option<SecretString> {
    // A pasted secret often ends in a line break.
    let value = values.get(name)?.expose_secret().trim();
    (!value.is_empty()).then(|| SecretString::from(value))
}

/// Reads declarations with the secrets that are set.
type ParseSources = fn(&str, &dyn Fn(&str) -> Option<SecretString>) -> Result<Sources, String>;

struct Settings<'a> {
    values: &'a Values,
    problems: Vec<String>,
}

impl Settings<'_> {
    fn secret(&self, name: &str) -> Option<SecretString> {
        value(self.values, name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.secret(name).map(|value| value.expose_secret().trim().to_owned())
    }

    fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(format!("{name} {problem}"));
                None
            }
        }
    }
}

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

fn origins(settings: &mut Settings) -> Vec<String> {
    let parse = |list: &str| {
        list.split(',')
            .map(|origin| {
                let url = url::Url::parse(origin.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
                url.filter(|url| url.origin().ascii_serialization() == origin.trim().trim_end_matches('/'))
                    .map(|url| url.origin().ascii_serialization())
                    .ok_or_else(|| "must list origins such as https://www.example.com, separated by commas".to_owned())
            })
            .collect()
    };
    settings.parsed("ALLOWED_ORIGINS", parse).unwrap_or_default()
}

fn cookie_domain(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text.chars().all(known) && text.contains('.') {
        Ok(text.trim_start_matches('.').to_owned())
    } else {
        Err("must be a domain such as example.com".into())
    }
}

fn seconds(text: &str) -> Result<TimeDelta, String> {
    let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds <= 7 * 24 * 60 * 60);
    seconds
        .map(|seconds| TimeDelta::seconds(seconds.into()))
        .ok_or_else(|| "must be whole seconds, at most 604800".into())
}

/// The declarations themselves, or the name of a file that holds them: they may be more than a Lambda function's
/// environment does.
fn crm_sources(settings: &mut Settings, parse: ParseSources) -> Sources {
    let written = settings.values.get("CRM_SOURCES").map_or("", |toml| toml.expose_secret());
    let file = Path::new(written.trim());
    let is_file = file.extension().is_some_and(|ending| ending == "toml") && !written.trim().contains('\n');
    let toml = if is_file {
        std::fs::read_to_string(file).map_err(|error| format!("names {}, which can't be read: {error}", file.display()))
    } else {
        Ok(written.to_owned())
    };
    match toml.and_then(|toml| parse(&toml, &|name| settings.secret(name))) {
        Ok(sources) => sources,
        Err(problem) => {
            settings.problems.push(format!("CRM_SOURCES {problem}"));
            Sources::default()
        }
    }
}

fn google_ads(settings: &mut Settings) -> Option<GoogleAds> {
    let customer_id = settings.parsed("GOOGLE_ADS_CUSTOMER_ID", customer_id);
    let login_customer_id = settings.parsed("GOOGLE_ADS_LOGIN_CUSTOMER_ID", self::customer_id);
    let conversion_actions = ConversionType::ALL
        .into_iter()
        .filter_map(|kind| {
            let name = format!("GOOGLE_ADS_CONVERSION_ACTION_{}", kind.as_str().to_uppercase());
            Some((kind, settings.parsed(&name, conversion_action)?))
        })
        .collect();
    let transport = settings.parsed("GOOGLE_ADS_TRANSPORT", |text| match text {
        "data_manager" => Ok(Transport::DataManager),
        "google_ads" => Ok(Transport::GoogleAds),
        _ => {
            Err("must be data_manager, or google_ads for accounts that uploaded through the Google Ads API before"
                .into())
        }
    });
    let user_data = settings.parsed("GOOGLE_ADS_USER_DATA", |text| match text {
        "send" => Ok(true),
        "omit" => Ok(false),
        _ => Err("must be send or omit".into()),
    });
    let ads_api_version = settings.parsed("GOOGLE_ADS_API_VERSION", |text| {
        let is_version = text.strip_prefix('v').is_some_and(|it| it.parse::<u8>().is_ok_and(|it| it > 0));
        if is_version { Ok(text.to_owned()) } else { Err("must be a version such as v26".into()) }
    });
    let data_manager_url = settings.parsed("GOOGLE_DATA_MANAGER_URL", endpoint);
    let ads_api_url = settings.parsed("GOOGLE_ADS_API_URL", endpoint);
    let token_url = settings.parsed("GOOGLE_TOKEN_URL", endpoint);
    let credentials = google_credentials::read(settings);
    Some(GoogleAds {
        customer_id: customer_id?,
        login_customer_id,
        conversion_actions,
        transport: transport.unwrap_or_default(),
        user_data: user_data.unwrap_or(true),
        data_manager_url: data_manager_url.unwrap_or_else(|| "https://datamanager.googleapis.com".into()),
        ads_api_url: ads_api_url.unwrap_or_else(|| "https://googleads.googleapis.com".into()),
        ads_api_version: ads_api_version.unwrap_or_else(|| "v26".into()),
        token_url,
        credentials,
    })
}

/// Where a service is: https, or plain http on this machine.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|_| "must be a URL")?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if secure { Ok(text.trim_end_matches('/').to_owned()) } else { Err("must start with https://".to_owned()) }
}

/// Google writes it with hyphens in the interface and wants it without.
fn customer_id(text: &str) -> Result<String, String> {
    let digits = text.replace('-', "");
    if digits.len() == 10 && digits.bytes().all(|c| c.is_ascii_digit()) {
        Ok(digits)
    } else {
        Err("must be the ten digits of a Google Ads account, such as 123-456-7890".into())
    }
}

/// The number of a conversion action, or its resource name.
fn conversion_action(text: &str) -> Result<String, String> {
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

    const URL: (&str, &str) = ("DATABASE_URL", "postgresql://app:pw@db.example.com:6543/postgres");

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
        let report = error(&[URL, ("DATABASE_CA_PEM", "not for the log")], &[]);
        assert!(report.contains("DATABASE_CA_PEM must be the certificate"), "{report}");
        assert!(!report.contains("not for the log"), "{report}");
    }

    #[test]
    fn google_ids_are_taken_as_people_copy_them() {
        let config = Config::from_values(
            &values(&[
                URL,
                ("GOOGLE_ADS_CUSTOMER_ID", "123-456-7890"),
                ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "customers/1234567890/conversionActions/987654321"),
            ]),
            &[],
        );
        let google = config.ok().and_then(|config| config.google_ads).unwrap();
        assert_eq!(google.customer_id, "1234567890");
        assert_eq!(google.conversion_actions[&ConversionType::Closed], "987654321");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let google = ("GOOGLE_ADS_CUSTOMER_ID", "1234567890");
        assert!(error(&[URL, google, ("GOOGLE_DATA_MANAGER_URL", "http://example.com")], &[]).contains("https://"));
        let local = values(&[URL, google, ("GOOGLE_DATA_MANAGER_URL", "http://127.0.0.1:9/")]);
        assert!(Config::from_values(&local, &[]).is_ok());
    }

    #[test]
    fn an_origin_is_compared_as_a_whole() {
        let config =
            Config::from_values(&values(&[URL, ("ALLOWED_ORIGINS", "https://a.example, http://localhost:3000/")]), &[]);
        let config = config.ok().unwrap();
        let allows = |origin: &'static str| config.allows_origin(&HeaderValue::from_static(origin));
        assert!(allows("https://a.example") && allows("http://localhost:3000"));
        for other in ["http://a.example", "https://a.example.evil.example", "https://a.example:8443", "null"] {
            assert!(!allows(other), "{other}");
        }
        assert!(error(&[URL, ("ALLOWED_ORIGINS", "*")], &[]).contains("ALLOWED_ORIGINS must"));
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
