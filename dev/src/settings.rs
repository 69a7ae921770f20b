//! The settings of `make dev`. Its secrets are fixed and printed, so the functions refuse them anywhere else.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use shared::App;
use shared::clock::Clock;
use shared::crm::authentication::{Sample, Signed};
use shared::crm::{Sources, presets};
use shared::deals::Stages;
use shared::identity::Hash;
use shared::lead_sources;
use shared::settings::{ConfigError, Values};

use crate::functions::{Config, Functions};

use google_sandbox::{AnalyticsProperty, GoogleAccount};

pub const WEBHOOK_SECRET: &str = "dev-webhook-secret";
/// Opens the health endpoint.
pub const HEALTH_KEY: &str = "dev-health-key";

/// The secrets of the presets, by the names of their settings, in the shape that each CRM gives them.
const CRM_SECRETS: [(&str, &str); 15] = [
    ("CLOSE_API_KEY", "dev-close-key"),
    ("CLOSE_SIGNATURE_KEY", "6465762d636c6f73652d7369676e6174757265"),
    ("GOHIGHLEVEL_SECRET", "dev-gohighlevel-secret"),
    ("HUBSPOT_ACCESS_TOKEN", "dev-hubspot-token"),
    ("HUBSPOT_CLIENT_SECRET", "dev-hubspot-client-secret"),
    ("HUBSPOT_WORKFLOW_SECRET", "dev-hubspot-workflow-secret"),
    ("MAKE_SECRET", "dev-make-secret"),
    ("N8N_SECRET", "dev-n8n-secret"),
    ("NETHUNT_SECRET", "dev-nethunt-secret"),
    ("PIPEDRIVE_API_TOKEN", "dev-pipedrive-token"),
    ("PIPEDRIVE_PASSWORD", "dev-pipedrive-password"),
    ("SALESFORCE_TOKEN", "dev-salesforce-token"),
    ("STANDARD_WEBHOOKS_SECRET", "whsec_ZGV2LXN0YW5kYXJkLXdlYmhvb2tzLXNlY3JldA=="),
    ("ZAPIER_SECRET", "dev-zapier-secret"),
    ("ZOHO_TOKEN", "dev-zoho-token"),
];

/// Settings that may be changed from outside. Not the credentials: `make dev` never speaks to the real Google.
const ADJUSTABLE: [&str; 16] = [
    "ALLOWED_ORIGINS",
    "CLICK_HOLD_SECONDS",
    "CONSENT_UNKNOWN",
    "CONSENT_WITHDRAWN",
    "COOKIE_DOMAIN",
    "CRM_SOURCES",
    "DESTINATIONS",
    "EVENTS_PER_HOUR",
    "GOOGLE_ADS_TRANSPORT",
    "GOOGLE_ADS_USER_DATA",
    "LEADS_PER_HOUR",
    "MATCH_BY",
    "PHONE_DEFAULT_REGION",
    "STAGES",
    "STAGES_UNDONE_BY_LOSS",
    "VISITS_PER_HOUR",
];

/// Where the events of a server of `make dev` are sent, unless DESTINATIONS says otherwise.
const EVENTS: &str = "[google_analytics]
platform = \"google-analytics\"
measurement_id = \"G-DEV1234567\"
property_id = 123456789
";

/// Tests and benchmarks make all their calls from one address. A server of `make dev` has the limits of a deployment.
const RATE_LIMITS: [&str; 3] = ["EVENTS_PER_HOUR", "LEADS_PER_HOUR", "VISITS_PER_HOUR"];

/// Everything the functions ask for, against this database and the sandbox Google at this URL.
#[must_use]
pub fn values(database_url: &str, google_url: &str) -> Values {
    let (account, property) = (GoogleAccount::dev(), AnalyticsProperty::dev());
    let credentials = &account.refresh_token;
    let token_url = format!("{google_url}/token");
    let limits = RATE_LIMITS.map(|name| (name, "1000000000"));
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
        ("GOOGLE_ANALYTICS_URL", google_url),
        ("GA4_API_SECRET", &property.api_secret),
        ("GOOGLE_CLIENT_ID", &credentials.client_id),
        ("GOOGLE_CLIENT_SECRET", &credentials.client_secret),
        ("GOOGLE_REFRESH_TOKEN", &credentials.refresh_token),
    ]);
    let values = values.into_iter().chain(limits);
    values.map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect()
}

/// Every preset as it is, with secrets; those with lookups use the sandbox at this URL.
#[must_use]
pub fn crms(crm_url: &str) -> Values {
    let sources = preset_sources(crm_url);
    let settings = CRM_SECRETS.into_iter().chain([("CRM_SOURCES", sources.as_str())]);
    settings.map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect()
}

fn preset_sources(crm_url: &str) -> String {
    let fetches = [
        ("hubspot-app", "hubspot", "HUBSPOT_ACCESS_TOKEN"),
        ("pipedrive", "pipedrive", "PIPEDRIVE_API_TOKEN"),
        ("close", "close", "CLOSE_API_KEY"),
    ];
    let declared = presets::names().map(|name| format!("[{name}]\npreset = \"{name}\""));
    let fetches = fetches.map(|(source, crm, token)| {
        format!("[{source}.fetch]\n{crm} = {{ token = \"{token}\", url = \"{crm_url}\" }}")
    });
    declared.chain(fetches).collect::<Vec<_>>().join("\n")
}

/// One of the secrets that `make dev` prints; empty for a name that is none.
#[must_use]
pub fn secret(name: &str) -> &'static str {
    let found = CRM_SECRETS.iter().chain(&[("WEBHOOK_SECRET", WEBHOOK_SECRET)]).find(|(known, _)| *known == name);
    found.map_or("", |(_, secret)| secret)
}

/// A webhook as the CRM of a preset would send it to this URL. Where events have a name, another body has
/// another.
///
/// # Panics
/// When there is no such preset: it is named in the code.
#[must_use]
pub fn sign(source: &str, url: &str, body: &[u8], at: DateTime<Utc>) -> Signed {
    let secret = |name: &str| Some(secret(name)).filter(|it| !it.is_empty()).map(SecretString::from);
    let source = Sources::preset(source, &Stages::default(), &secret).expect("a preset");
    let id = format!("dev-{}", Hash::of(body).as_str());
    source.sign(&Sample { method: "POST", url, body, id: &id, at }).expect("a secret to sign with")
}

/// All functions with [`values`], without the waiting times that only make sense with the real Google.
///
/// # Errors
/// When a setting changed from outside is wrong.
pub fn functions(values: &Values, clock: Clock, connections: usize) -> Result<Functions, ConfigError> {
    let mut functions = Functions::from(App::<Config>::new(values, &[], clock, connections)?);
    let policy = &mut functions.upload_conversions.config.policy;
    (policy.confirm_after, policy.probe_after) = (TimeDelta::zero(), TimeDelta::zero());
    Ok(functions)
}

/// [`values`], with what the environment changes, for a server on this port.
#[must_use]
pub fn from_environment(database_url: &str, port: u16) -> Values {
    changed_by(environment, database_url, port)
}

fn changed_by(environment: impl Fn(&str) -> Option<String>, database_url: &str, port: u16) -> Values {
    let here = format!("http://127.0.0.1:{port}");
    let mut values = values(database_url, &here);
    values.extend(crms(&here));
    let pages = format!("http://localhost:{port},{here}");
    values.insert("ALLOWED_ORIGINS".into(), SecretString::from(pages));
    values.insert("DESTINATIONS".into(), SecretString::from(EVENTS));
    values.retain(|name, _| !RATE_LIMITS.contains(&name.as_str()));
    for name in ADJUSTABLE {
        if let Some(value) = environment(name) {
            values.insert(name.into(), SecretString::from(value));
        }
    }
    // What declarations from outside name, and what the presets do that they may start from.
    let declared = environment("CRM_SOURCES").unwrap_or_default();
    let declared = std::fs::read_to_string(declared.trim()).unwrap_or(declared);
    let of_leads = lead_sources::names().filter_map(lead_sources::toml);
    let mut declarations: Vec<&str> = presets::names().filter_map(presets::toml).chain(of_leads).collect();
    declarations.push(&declared);
    for name in declarations.into_iter().flat_map(named) {
        for name in [name.to_owned(), format!("{name}_PREVIOUS")] {
            if let Some(value) = environment(&name) {
                values.insert(name, SecretString::from(value));
            }
        }
    }
    values
}

/// The names of settings in declarations.
fn named(declarations: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    declarations.split(move |c| !is_name(c)).filter(|word| word.len() > 3 && *word != "CRM_SOURCES")
}

/// These settings as lines for a shell: `adtrail` in another terminal sees what the server sees.
#[must_use]
pub fn exports(values: &Values) -> String {
    let quoted = |value: &SecretString| format!("'{}'", value.expose_secret().replace('\'', r"'\''"));
    let exports = values.iter().map(|(name, value)| format!("export {name}={}", quoted(value)));
    // With a DATABASE_URL at hand, cargo would check every query against that database.
    exports.chain(["export SQLX_OFFLINE=true\n".to_owned()]).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use shared::settings::Settings;
    use shared::{analytics, platforms};

    use super::*;

    #[test]
    fn the_environment_changes_stages_and_destinations_but_no_credentials() {
        let outside = [
            ("STAGES", "demo_booked, signed"),
            ("STAGES_UNDONE_BY_LOSS", "signed"),
            ("DESTINATIONS", "closed = \"2223334444/111\""),
            ("GOOGLE_REFRESH_TOKEN", "a real one"),
        ];
        let environment =
            |name: &str| outside.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let values = changed_by(environment, "postgres://127.0.0.1/postgres", 8080);
        for (name, value) in &outside[..3] {
            assert_eq!(values[*name].expose_secret(), *value);
        }
        assert_eq!(values["GOOGLE_REFRESH_TOKEN"].expose_secret(), "dev-refresh-token");
        let unchanged = changed_by(|_| None, "postgres://127.0.0.1/postgres", 8080);
        assert!(outside[..2].iter().all(|(name, _)| !unchanged.contains_key(*name)));
        let mut settings = Settings::new(&unchanged);
        let (events, conversions) = (analytics::destinations(&mut settings), platforms::destinations(&mut settings));
        assert_eq!((events.iter().count(), conversions.iter().count()), (1, 1), "{:?}", settings.noted());
    }

    #[test]
    fn the_secrets_arrive_that_a_declaration_or_its_preset_names() {
        let sources = "[forms]\nkind = \"lead\"\npreset = \"typeform\"\n[acme]\nauth = [{ bearer = { secret = \"ACME_TOKEN\" } }]";
        let given = ["TYPEFORM_SECRET", "TYPEFORM_SECRET_PREVIOUS", "GOOGLE_LEAD_FORM_KEY", "ACME_TOKEN", "ZOHO_TOKEN"];
        let others = ["GOOGLE_CLIENT_SECRET", "DATABASE_URL", "HOME"];
        let environment = |name: &str| match name {
            "CRM_SOURCES" => Some(sources.to_owned()),
            name => given.iter().chain(&others).find(|it| **it == name).map(|_| "from outside".to_owned()),
        };
        let values = changed_by(environment, "postgres://127.0.0.1/postgres", 8080);
        let arrives = |name: &&str| values.get(*name).is_some_and(|it| it.expose_secret() == "from outside");
        assert_eq!(given.iter().filter(|it| !arrives(it)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert!(!others.iter().any(arrives), "{:?}", values.keys());
    }
}
