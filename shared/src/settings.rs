//! Settings by name: environment variables, and one JSON object in AWS Secrets Manager for what is secret.

mod secret;

use std::collections::BTreeMap;
use std::fmt::Write;

use secrecy::{ExposeSecret, SecretString};

/// Where the secret is: its name or ARN.
const SECRET_ID: &str = "ADTRAIL_SECRET_ID";

/// Names and values, whatever they came from.
pub type Values = BTreeMap<String, SecretString>;

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

/// A setting's value. An empty one counts as none: templates can't leave a variable out.
#[must_use]
pub fn value(values: &Values, name: &str) -> Option<SecretString> {
    // A pasted secret often ends in a line break.
    let value = values.get(name)?.expose_secret().trim();
    (!value.is_empty()).then(|| SecretString::from(value))
}

/// Reads settings by name and notes what is wrong with them, so that everything is reported at once.
pub struct Settings<'a> {
    values: &'a Values,
    missing: Vec<&'a str>,
    problems: Vec<String>,
}

impl<'a> Settings<'a> {
    /// From these values.
    #[must_use]
    pub fn new(values: &'a Values) -> Self {
        Self { values, missing: Vec::new(), problems: Vec::new() }
    }

    /// Notes what is wrong. A sentence without its full stop; it says the fix.
    pub fn refuse(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Notes that a setting is missing.
    pub fn miss(&mut self, name: &'a str) {
        self.missing.push(name);
    }

    /// # Errors
    /// Everything that was missing or wrong.
    pub fn finish(self) -> Result<(), ConfigError> {
        let mut report = String::new();
        if !self.missing.is_empty() {
            let names = self.missing.join(", ");
            let _ = write!(
                report,
                " Missing settings: {names}. Set them in the environment or in the secret {SECRET_ID} names."
            );
        }
        for problem in self.problems {
            let _ = write!(report, " {problem}.");
        }
        if report.is_empty() { Ok(()) } else { Err(ConfigError { report }) }
    }

    /// A text with its white space; empty if it isn't set.
    #[must_use]
    pub fn as_written(&self, name: &str) -> String {
        self.values.get(name).map_or_else(String::new, |text| text.expose_secret().to_owned())
    }

    /// A secret, if it is set.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        value(self.values, name)
    }

    /// A text, if it is set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.secret(name).map(|value| value.expose_secret().trim().to_owned())
    }

    /// A value, if it is set and can be read.
    pub fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(format!("{name} {problem}"));
                None
            }
        }
    }
}
