//! What whoever deploys is asked: each parameter says what it is, and takes nothing that can't be right.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::document::Template;
use crate::every_change_is_named;

/// Good answers, in the place of parameters without a default and of empty ones.
pub const SAMPLES: &[(&str, &str)] = &[
    ("SecretArn", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:adtrail-AbCdEf"),
    ("AllowedOrigins", "https://www.example.com,http://localhost:3000"),
    ("ConsentUnknown", "hold"),
    ("AlarmEmail", "alarms@example.com"),
    ("ReserveConcurrency", "yes"),
    ("Spool", "yes"),
    ("GoogleAdsCustomerId", "123-456-7890"),
    ("GoogleAdsConversionActionClosed", "987654321"),
    ("GoogleAdsConversionActionQualified", "customers/1234567890/conversionActions/987654320"),
    ("DomainName", "api.example.com"),
    ("CertificateArn", "arn:aws:acm:eu-central-1:123456789012:certificate/0b7e1f4c-2a93-4d58-8f6b-91c3d7e5a204"),
    ("HostedZoneId", "Z0123456789ABCDEFGHIJ"),
    ("SiteDomainName", "www.example.com"),
    ("SiteOriginDomainName", "example.netlify.app"),
    ("SiteCertificateArn", "arn:aws:acm:us-east-1:123456789012:certificate/0b7e1f4c-2a93-4d58-8f6b-91c3d7e5a204"),
];

/// The same before Google Ads is set up, and without the spool.
pub const WITHOUT_GOOGLE: &[(&str, &str)] = &[
    ("SecretArn", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:adtrail-AbCdEf"),
    ("AllowedOrigins", "https://www.example.com"),
    ("ConsentUnknown", "send"),
    ("Spool", "no"),
];

/// Answers that are wrong.
const WRONG: &[(&str, &[&str])] = &[
    ("SecretArn", &["", "adtrail", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:adtrail"]),
    (
        "AllowedOrigins",
        &["", "*", "www.example.com", "https://www.example.com/", "https://a.example, https://b.example"],
    ),
    ("AlarmEmail", &["", "alarms", "a@example.com, b@example.com"]),
    ("GoogleAdsCustomerId", &["123", "customers/1234567890"]),
    ("GoogleAdsConversionActionClosed", &["closed", "AW-123/abc"]),
    ("GoogleAdsConversionActionQualified", &["qualified"]),
    ("DomainName", &["https://api.example.com", "api", "API.example.com", "api.example.com/"]),
    ("CertificateArn", &["arn:aws:iam::123456789012:server-certificate/api"]),
    ("HostedZoneId", &["example.com", "/hostedzone/Z0123456789"]),
    ("SiteDomainName", &["https://www.example.com", "localhost", "www.example.com/"]),
    ("SiteOriginDomainName", &["https://example.netlify.app", "example.netlify.app/"]),
    ("SiteCertificateArn", &["arn:aws:acm:eu-central-1:123456789012:certificate/0b7e1f4c-2a93-4d58-8f6b-91c3d7e5a204"]),
];

/// Those that only whoever deploys can answer: a decision of law, an account, an address.
const NO_DEFAULT: [&str; 4] = ["SecretArn", "AllowedOrigins", "ConsentUnknown", "AlarmEmail"];

pub fn faults(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let samples: BTreeMap<_, _> = SAMPLES.iter().copied().collect();
    for (name, parameter) in template.value["Parameters"].as_object().into_iter().flatten() {
        for text in ["Description", "ConstraintDescription"] {
            if parameter[text].as_str().is_none_or(|text| text.len() < 10) {
                faults.push(format!("{name} has no {text}"));
            }
        }
        let constraints = ["AllowedPattern", "AllowedValues", "MaxValue"];
        if constraints.iter().all(|constraint| parameter[*constraint].is_null()) {
            faults.push(format!("{name} takes anything"));
        }
        if NO_DEFAULT.contains(&name.as_str()) != parameter["Default"].is_null() {
            let has = if parameter["Default"].is_null() { "no default" } else { "a default" };
            faults.push(format!("{name} has {has}"));
        }
        if parameter["NoEcho"] == true {
            faults.push(format!("{name} is a secret, and secrets are in the secret"));
        }
        let default = parameter["Default"].as_str();
        for right in samples.get(name.as_str()).copied().into_iter().chain(default) {
            if !takes(parameter, right) {
                faults.push(format!("{name} refuses {right:?}"));
            }
        }
        let wrong = WRONG.iter().find(|(wrong, _)| wrong == name).map_or(&[][..], |(_, answers)| answers);
        if wrong.is_empty() && !parameter["AllowedPattern"].is_null() {
            faults.push(format!("this test tries no wrong answer to {name}"));
        }
        faults.extend(setup_faults(name, parameter, &samples, wrong));
        let taken = wrong.iter().filter(|wrong| takes(parameter, wrong));
        faults.extend(taken.map(|wrong| format!("{name} takes {wrong:?}")));
    }
    faults
}

/// `adtrail setup` asks for what has no default, and takes what the template takes.
fn setup_faults(name: &str, parameter: &Value, samples: &BTreeMap<&str, &str>, wrong: &[&str]) -> Vec<String> {
    let Some(sample) = samples.get(name) else { return Vec::new() };
    let mut faults = Vec::new();
    match cli::parameter(name, sample) {
        // It makes the secret, and so knows its ARN.
        None if parameter["Default"].is_null() && name != "SecretArn" => {
            faults.push(format!("adtrail setup doesn't ask for {name}, which has no default"));
        }
        Some(Err(problem)) => faults.push(format!("adtrail setup refuses {sample:?} for {name}: {problem}")),
        _ => {}
    }
    for answer in wrong.iter().chain([sample]) {
        if let Some(Ok(kept)) = cli::parameter(name, answer)
            && !takes(parameter, &kept)
        {
            faults.push(format!("adtrail setup makes {kept:?} of {answer:?} for {name}, which the template refuses"));
        }
    }
    faults
}

fn takes(parameter: &Value, answer: &str) -> bool {
    if let Some(allowed) = parameter["AllowedValues"].as_array() {
        return allowed.iter().any(|value| value == answer);
    }
    let pattern = parameter["AllowedPattern"].as_str();
    pattern.is_none_or(|pattern| Regex::new(pattern).expect("a pattern").is_match(answer))
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        faults,
        &[
            ("/Parameters/ConsentUnknown/Default", json!("send"), "ConsentUnknown has a default"),
            ("/Parameters/LogLevel/AllowedValues", Value::Null, "LogLevel takes anything"),
            ("/Parameters/AlarmEmail/Description", Value::Null, "AlarmEmail has no Description"),
            ("/Parameters/AllowedOrigins/AllowedPattern", json!("^.*$"), "AllowedOrigins takes \"*\""),
            ("/Parameters/LogLevel/Default", Value::Null, "LogLevel has no default"),
            ("/Parameters/DomainName/Default", Value::Null, "adtrail setup doesn't ask for DomainName"),
            ("/Parameters/AlarmEmail/AllowedPattern", json!("^root$"), "adtrail setup makes \"alarms@example.com\""),
            ("/Parameters/GoogleAdsCustomerId/AllowedPattern", json!("^[0-9]{10}$"), "GoogleAdsCustomerId refuses"),
            ("/Parameters/SecretArn/NoEcho", json!(true), "SecretArn is a secret"),
        ],
    );
}
