//! The settings that several functions read.

use std::str::FromStr;

use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;

use crate::consent::{UnknownConsent, WithdrawnConsent};
use crate::crm::Sources;
use crate::crm::authentication::Scheme;
use crate::db::authority;
use crate::deals::Stages;
use crate::identity::Region;
use crate::inbox::matching::MatchBy;
use crate::settings::{ConfigError, Settings, values};

const DATABASE_URL: &str = "DATABASE_URL";
const MIGRATIONS_DATABASE_URL: &str = "MIGRATIONS_DATABASE_URL";
/// Of Supabase's pooler in transaction mode ("Connect to your database").
const TRANSACTION_PORT: u16 = 6543;
/// Of the same host in session mode.
const SESSION_PORT: u16 = 5432;

/// How to reach Postgres.
pub fn database(settings: &mut Settings) -> Option<PgConnectOptions> {
    settings.require(&[DATABASE_URL]);
    database_at(settings, DATABASE_URL)
}

/// How to reach Postgres for migrations. They need a session, which Supabase's pooler gives on another port.
pub fn database_for_migrations(settings: &mut Settings) -> Option<PgConnectOptions> {
    if settings.text(MIGRATIONS_DATABASE_URL).is_some() {
        return database_at(settings, MIGRATIONS_DATABASE_URL);
    }
    let options = database(settings)?;
    let is_supabase = [".supabase.com", ".supabase.co"].iter().any(|domain| options.get_host().ends_with(domain));
    let is_transaction_pooler = options.get_port() == TRANSACTION_PORT;
    Some(if is_supabase && is_transaction_pooler { options.port(SESSION_PORT) } else { options })
}

fn database_at(settings: &mut Settings, name: &str) -> Option<PgConnectOptions> {
    let authority = settings.parsed("DATABASE_CA_PEM", authority::parse);
    settings.parsed(name, |url| {
        // The parser's own message may quote the password.
        let options = PgConnectOptions::from_str(url).map_err(
            |_| "must look like postgresql://user:password@host:6543/postgres, the password percent-encoded",
        )?;
        Ok(authority::trust(options, url, authority))
    })
}

/// How to reach Postgres, as the settings have it now: a password may be rotated while a sandbox lives.
///
/// # Errors
/// When the secret can't be read, or the settings of the database are wrong.
pub async fn database_now() -> Result<PgConnectOptions, ConfigError> {
    let values = values().await?;
    let mut settings = Settings::new(&values);
    let options = database(&mut settings);
    settings.finish(options)
}

/// The region of phone numbers without a country code; if it isn't set, such numbers are not used for matching.
pub fn phone_region(settings: &mut Settings) -> Option<Region> {
    settings.parsed("PHONE_DEFAULT_REGION", Region::parse)
}

/// What a deal's lead may be found by.
pub fn match_by(settings: &mut Settings) -> MatchBy {
    settings.parsed("MATCH_BY", MatchBy::parse).unwrap_or_default()
}

/// What happens to conversions of people who were not asked for consent.
pub fn unknown_consent(settings: &mut Settings) -> UnknownConsent {
    settings.parsed("CONSENT_UNKNOWN", UnknownConsent::parse).unwrap_or_default()
}

/// What happens to conversions that were sent when consent is withdrawn.
pub fn withdrawn_consent(settings: &mut Settings) -> WithdrawnConsent {
    settings.parsed("CONSENT_WITHDRAWN", WithdrawnConsent::parse).unwrap_or_default()
}

/// The CRMs that may report deals.
pub fn crm_sources(settings: &mut Settings) -> Sources {
    let sources = read_crm_sources(settings, Sources::parse);
    for name in sources.iter().flat_map(|source| &source.schemes).flat_map(Scheme::secrets) {
        settings.check_own_secret(name);
    }
    sources
}

/// The same where their secrets may be missing ([`Sources::draft`]), for trying declarations.
pub fn crm_sources_draft(settings: &mut Settings) -> Sources {
    read_crm_sources(settings, Sources::draft)
}

/// Reads declarations with the secrets that are set.
type ParseSources = fn(&str, &Stages, &dyn Fn(&str) -> Option<SecretString>) -> Result<Sources, String>;

fn read_crm_sources(settings: &mut Settings, parse: ParseSources) -> Sources {
    let stages = Stages::from_settings(settings);
    let toml = settings.declarations("CRM_SOURCES");
    match toml.and_then(|toml| parse(&toml, &stages, &|name| settings.secret(name))) {
        Ok(sources) => sources,
        Err(problem) => {
            settings.refuse(format!("CRM_SOURCES {problem}"));
            Sources::default()
        }
    }
}
