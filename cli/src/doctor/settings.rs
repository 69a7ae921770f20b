//! Are the settings of all functions complete and right?

use secrecy::ExposeSecret;
use shared::clock::Clock;
use shared::config;
use shared::http::Endpoint;
use shared::http::cors::Origins;
use shared::lead_sources;
use shared::settings::{FromSettings, Settings, Values, value};

use super::report::{Report, sentence};

/// What all functions together read.
pub(super) struct Deployment {
    pub origins: Origins,
    pub uploader: upload_conversions::Config,
    /// Who else may send leads.
    pub leads: lead_sources::Sources,
}

const ENDPOINTS: [&Endpoint; 6] = [
    &track_visit::ENDPOINT,
    &track_event::ENDPOINT,
    &record_consent::ENDPOINT,
    &create_lead::ENDPOINT,
    &crm_conversion::ENDPOINT,
    &tracking_health::ENDPOINT,
];

/// The endpoints that pages call.
pub(super) const FOR_BROWSERS: [&Endpoint; 4] = [ENDPOINTS[0], ENDPOINTS[1], ENDPOINTS[2], ENDPOINTS[3]];

/// Settings that people paste, besides the secrets that `CRM_SOURCES` names.
const PASTED: [&str; 11] = [
    "ALLOWED_ORIGINS",
    "COOKIE_DOMAIN",
    "DATABASE_URL",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "GOOGLE_EXTERNAL_ACCOUNT",
    "GOOGLE_REFRESH_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "HEALTH_KEY",
    "IP_HASH_KEY",
    "WEBHOOK_SECRET",
];

/// Whole words that stand where a value belongs.
const WORDS: [&str; 11] = [
    "changeme",
    "change-me",
    "change_me",
    "fixme",
    "password@host",
    "placeholder",
    "postgres.project",
    "replace-me",
    "replaceme",
    "todo",
    "xxxx",
];

/// Reads them as the functions do when they start, all at once.
pub(super) fn check(values: &Values, report: &mut Report) -> Deployment {
    const NAME: &str = "settings";
    let mut settings = Settings::deployed(values);
    let clock = Clock::system();
    let _ = config::database(&mut settings);
    for endpoint in ENDPOINTS {
        settings.require(endpoint.requires);
    }
    settings.require(upload_conversions::REQUIRES);
    let origins = Origins::from_settings(&mut settings, &clock);
    let _ = track_visit::Config::from_settings(&mut settings, &clock);
    let _ = track_event::Config::from_settings(&mut settings, &clock);
    let _ = record_consent::Config::from_settings(&mut settings, &clock);
    let leads = create_lead::Config::from_settings(&mut settings, &clock).sources.unwrap_or_else(|problem| {
        settings.refuse(problem);
        lead_sources::Sources::default()
    });
    let _ = tracking_health::Config::from_settings(&mut settings, &clock);
    let uploader = upload_conversions::Config::from_settings(&mut settings, &clock);
    let (missing, problems) = settings.noted();
    if !missing.is_empty() {
        let problem = format!("Missing: {}.", missing.join(", "));
        report.error(NAME, problem, "Add them to the secret, or as parameters of the stack.");
    }
    for problem in problems {
        report.error(
            NAME,
            sentence(&problem),
            "Correct it in the secret or in the stack's parameters; see docs/settings.md.",
        );
    }
    report.right_unless_found(NAME, "those of every function are there and can be read");
    check_placeholders(values, &uploader, &leads, report);
    Deployment { origins, uploader, leads }
}

fn check_placeholders(
    values: &Values,
    uploader: &upload_conversions::Config,
    leads: &lead_sources::Sources,
    report: &mut Report,
) {
    const NAME: &str = "settings.placeholders";
    let of_sources = uploader.intake.sources.iter().flat_map(|source| &source.schemes);
    let of_leads = leads.iter().flat_map(lead_sources::Source::secrets);
    let of_sources = of_sources.flat_map(|scheme| scheme.secrets()).chain(of_leads);
    let mut names: Vec<&str> = PASTED.into_iter().chain(of_sources).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        if value(values, name).is_some_and(|value| is_placeholder(value.expose_secret())) {
            let problem = format!("{name} looks like the placeholder of an example.");
            report.error(NAME, problem, format!("Set {name} to the real value."));
        }
    }
    report.right_unless_found(NAME, "none");
}

/// Is `DATABASE_URL` one? Then it is not tried: a refused password counts.
pub(super) fn has_placeholder(values: &Values, name: &str) -> bool {
    value(values, name).is_some_and(|value| is_placeholder(value.expose_secret()))
}

fn is_placeholder(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let marks = ["…", "<your", "[your", "your-", "your_", "${", ":password@", "@host:"];
    let is_in_brackets = value.starts_with('<') && value.ends_with('>');
    let is_part = |word: &str| {
        value.match_indices(word).any(|(at, _)| {
            let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
            is_edge(value[..at].chars().next_back()) && is_edge(value[at + word.len()..].chars().next())
        })
    };
    is_in_brackets || marks.iter().any(|mark| value.contains(mark)) || WORDS.into_iter().any(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_example_has_is_a_placeholder_and_a_secret_is_not() {
        for placeholder in [
            "postgresql://postgres.PROJECT:PASSWORD@HOST:6543/postgres",
            "postgresql://postgres.abcdefgh:[YOUR-PASSWORD]@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
            "<your secret>",
            "<secret>",
            "your-webhook-secret",
            "changeme",
            "CHANGE_ME-please",
            "TODO",
            "…",
            "https://your-site.example",
            "${WEBHOOK_SECRET}",
        ] {
            assert!(is_placeholder(placeholder), "{placeholder}");
        }
        for real in [
            "5f9b77951a7aa1303f9b58eea9bfa89e358cfdc15f9786ff10d4930a722c9ae2",
            "postgresql://postgres.abcdefgh:p%40ss@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
            "aTodoMastodon42+xxxY/==",
            "https://www.example.com",
            "{\"type\": \"service_account\"}",
        ] {
            assert!(!is_placeholder(real), "{real}");
        }
    }
}
