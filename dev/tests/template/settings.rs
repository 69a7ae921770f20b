//! What the functions are told: the variables of the template, and the secret as `docs/deploy.md` makes it. The real
//! functions read them, as on Lambda.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use shared::http::entrance::Entrance;
use shared::http::{Caller, Endpoint};
use shared::settings::{ConfigError, FromSettings, Values};
use shared::{App, app};

use crate::document::Template;
use crate::every_change_is_named;
use crate::guide::PAGE;
use crate::parameters::{SAMPLES, WITHOUT_GOOGLE};

const SETTINGS: &str = include_str!("../../../docs/settings.md");
const SECRET_ID: &str = "ADTRAIL_SECRET_ID";
/// No setting may be this.
const NONSENSE: &str = "?";

pub fn faults(template: &Template) -> Vec<String> {
    let secret = secret();
    let known = known();
    let needs = needs();
    let mut faults: Vec<_> = secret
        .keys()
        .filter(|name| !known.is_match(name))
        .map(|name| format!("docs/deploy.md puts {name} into the secret, which isn't in docs/settings.md"))
        .collect();
    for (function, properties) in template.functions() {
        let binary = template.binary(function);
        let empty = Map::new();
        let variables = properties["Environment"]["Variables"].as_object().unwrap_or(&empty);
        if variables.get(SECRET_ID) != Some(&json!({"Ref": "SecretArn"})) {
            faults.push(format!("{function} isn't told where the secret is, in {SECRET_ID}"));
        }
        for name in variables.keys() {
            if !known.is_match(name) {
                faults.push(format!("{function} has {name}, which isn't in docs/settings.md"));
            }
            if secret.contains_key(name) {
                faults.push(format!("{function} has {name} in the open, and {name} is a secret"));
            }
        }
        for name in needs.get(binary).into_iter().flatten().copied() {
            if !variables.contains_key(name) && !secret.contains_key(name) {
                faults.push(format!("{function} has no {name}, and docs/settings.md says that it is needed"));
            }
        }

        for parameters in [SAMPLES, WITHOUT_GOOGLE] {
            let parameters = parameters.iter().copied().collect();
            if !template.is_there(function, &parameters) {
                continue;
            }
            let told = told(template, variables, &parameters);
            if let Some((name, _)) = told.iter().find(|(_, value)| value.is_empty()) {
                faults.push(format!("{function}: {name} is empty, which hides the secret's"));
            }
            if let Err(error) = start(binary, &told, &secret) {
                faults.push(format!("{function} doesn't start: {error}"));
            }
        }
        let told = told(template, variables, &SAMPLES.iter().copied().collect());
        for name in told.keys().filter(|name| *name != SECRET_ID) {
            let mut nonsense = told.clone();
            nonsense.insert(name.clone(), NONSENSE.into());
            if !start(binary, &nonsense, &secret).is_err_and(|error| error.to_string().contains(name)) {
                faults.push(format!("{function} doesn't read {name}"));
            }
        }
    }
    faults
}

/// The environment of a function with these parameters.
fn told(template: &Template, variables: &Map<String, Value>, parameters: &BTreeMap<&str, &str>) -> Told {
    let told = variables.iter().filter_map(|(name, value)| Some((name.clone(), template.resolved(value, parameters)?)));
    told.collect()
}

pub type Told = BTreeMap<String, String>;

/// Reads the settings as this function does when it starts on Lambda.
fn start(binary: &str, environment: &Told, secret: &Told) -> Result<(), ConfigError> {
    let all = secret.iter().chain(environment);
    let values = all.map(|(name, value)| (name.clone(), SecretString::from(value.as_str()))).collect();
    match binary {
        "track-visit" => answering::<track_visit::Config>(&values, &track_visit::ENDPOINT),
        "track-event" => answering::<track_event::Config>(&values, &track_event::ENDPOINT),
        "record-consent" => answering::<record_consent::Config>(&values, &record_consent::ENDPOINT),
        "create-lead" => answering::<create_lead::Config>(&values, &create_lead::ENDPOINT),
        "crm-conversion" => answering::<crm_conversion::Config>(&values, &crm_conversion::ENDPOINT),
        "tracking-health" => answering::<tracking_health::Config>(&values, &tracking_health::ENDPOINT),
        "drain-spool" => started::<drain_spool::Config>(&values, drain_spool::REQUIRES),
        "notify-slack" => {
            // Not of everybody, so it isn't among those of docs/deploy.md.
            let url = SecretString::from("https://hooks.slack.com/services/T0/B0/x");
            let values = values.into_iter().chain([("SLACK_WEBHOOK_URL".to_owned(), url)]).collect();
            app::without_database::<notify_slack::Config>(&values, notify_slack::REQUIRES).map(drop)
        }
        // It reads none.
        "serve-tag" => Ok(()),
        "upload-conversions" => started::<upload_conversions::Config>(&values, upload_conversions::REQUIRES),
        _ => Err(ConfigError::new("dev/tests/template/settings.rs doesn't know how it reads its settings")),
    }
}

fn answering<C: FromSettings>(values: &Values, endpoint: &Endpoint) -> Result<(), ConfigError> {
    match endpoint.caller {
        Caller::Browser => started::<(Entrance, C)>(values, endpoint.requires),
        Caller::Server | Caller::Anyone => started::<C>(values, endpoint.requires),
    }
}

fn started<C: FromSettings>(values: &Values, requires: &[&str]) -> Result<(), ConfigError> {
    App::<C>::deployed(values, requires).map(drop)
}

/// The secret that `docs/deploy.md` makes, with what its commands put in.
pub fn secret() -> Told {
    static GOOGLE_KEY: LazyLock<String> = LazyLock::new(|| {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
        json!({
            "type": "service_account",
            "client_email": "uploader@project.iam.gserviceaccount.example",
            "private_key": key.to_pkcs8_pem(LineEnding::LF).expect("in PEM").as_str(),
            "private_key_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        })
        .to_string()
    });
    let (_, rest) = PAGE.split_once("> secret.json <<END\n").expect("docs/deploy.md makes secret.json");
    let (text, _) = rest.split_once("\nEND\n").expect("secret.json ends");
    let text = text.replace("$(openssl rand -hex 32)", &"0123456789abcdef".repeat(4));
    let text = text.replace("$(cat google-key.json)", &GOOGLE_KEY);
    let object: Map<String, Value> = serde_json::from_str(&text).expect("secret.json is a JSON object");
    let named = object.into_iter().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name, text)
    });
    named.collect()
}

/// The rows of the table in `docs/settings.md`: the names, and the column "needed by".
fn rows() -> Vec<(Vec<&'static str>, &'static str)> {
    let name = Regex::new("`([A-Z][A-Z0-9_]+)`").expect("a pattern");
    let rows = SETTINGS.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|');
        let (names, needed_by) = (cells.next()?, cells.next()?);
        let names: Vec<_> = name.captures_iter(names).filter_map(|found| Some(found.get(1)?.as_str())).collect();
        (!names.is_empty()).then_some((names, needed_by))
    });
    rows.collect()
}

/// The settings that each function needs, by its binary.
fn needs() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let binaries = [
        ("visit", "track-visit"),
        ("event", "track-event"),
        ("consent", "record-consent"),
        ("lead", "create-lead"),
        ("deal", "crm-conversion"),
        ("health", "tracking-health"),
        ("upload", "upload-conversions"),
        ("drain", "drain-spool"),
    ];
    let mut needs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (names, needed_by) in rows() {
        let words: BTreeSet<_> = needed_by.split(|c: char| !c.is_ascii_lowercase()).collect();
        for (word, binary) in binaries {
            if words.contains(word) || words.contains("all") {
                needs.entry(binary).or_default().extend(&names);
            }
        }
    }
    needs
}

/// The names of settings in `docs/settings.md`. An action may be that of any stage.
fn known() -> Regex {
    let names: Vec<_> = rows().into_iter().flat_map(|(names, _)| names).collect();
    let pattern = format!("^({}|GOOGLE_ADS_CONVERSION_ACTION_[A-Z0-9_]+)$", names.join("|"));
    Regex::new(&pattern).expect("names make a pattern")
}

#[test]
fn a_function_says_which_setting_of_the_secret_is_missing() {
    let template = Template::read();
    let with_google = SAMPLES.iter().copied().collect();
    let mut refused = BTreeSet::new();
    for name in secret().into_keys() {
        let mut less = secret();
        less.remove(&name);
        for (function, properties) in template.functions() {
            let variables = properties["Environment"]["Variables"].as_object().expect("variables");
            let told = told(&template, variables, &with_google);
            if let Err(error) = start(template.binary(function), &told, &less) {
                assert!(error.to_string().contains(&name), "{name} isn't in: {error}");
                refused.insert(name.clone());
            }
        }
    }
    assert_eq!(refused, secret().into_keys().collect(), "each key of the secret is needed by some function");
}

#[test]
fn the_table_of_settings_says_who_needs_them() {
    let needs = needs();
    assert_eq!(needs.len(), 8, "{needs:?}");
    assert!(needs.values().all(|needed| needed.contains("DATABASE_URL")), "{needs:?}");
    assert!(needs["upload-conversions"].contains("CONSENT_UNKNOWN") && !needs["track-visit"].contains("HEALTH_KEY"));
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        faults,
        &[
            (
                "/Resources/TrackVisit/Properties/Environment/Variables/ALLOWED_ORIGINS",
                Value::Null,
                "TrackVisit doesn't start",
            ),
            (
                "/Resources/UploadConversions/Properties/Environment/Variables/CONSENT_UNKNOWN",
                Value::Null,
                "UploadConversions has no CONSENT_UNKNOWN",
            ),
            (
                "/Resources/CrmConversion/Properties/Environment/Variables/GOOGLE_ADS_CUSTOMER_ID",
                Value::Null,
                "CrmConversion has no GOOGLE_ADS_CUSTOMER_ID",
            ),
            (
                "/Resources/TrackEvent/Properties/Environment/Variables/VISIT_LIMIT",
                json!("1"),
                "VISIT_LIMIT, which isn't in docs/settings.md",
            ),
            (
                "/Resources/TrackEvent/Properties/Environment/Variables/MATCH_BY",
                json!("lead_id"),
                "TrackEvent doesn't read MATCH_BY",
            ),
            (
                "/Resources/TrackVisit/Properties/Environment/Variables/COOKIE_DOMAIN",
                json!(""),
                "COOKIE_DOMAIN is empty, which hides",
            ),
            (
                "/Resources/TrackVisit/Properties/Environment/Variables/IP_HASH_KEY",
                json!("0123456789abcdef"),
                "IP_HASH_KEY is a secret",
            ),
            (
                "/Resources/DrainSpool/Properties/Environment/Variables/SPOOL_DEAD_LETTERS_URL",
                Value::Null,
                "DrainSpool has no SPOOL_DEAD_LETTERS_URL",
            ),
            (
                "/Resources/CreateLead/Properties/Environment/Variables/SPOOL_QUEUE_URL",
                Value::Null,
                "CreateLead has no SPOOL_QUEUE_URL",
            ),
            (
                "/Globals/Function/Environment/Variables/ADTRAIL_SECRET_ID",
                Value::Null,
                "TrackVisit isn't told where the secret is",
            ),
        ],
    );
}
