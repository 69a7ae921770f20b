//! Settings by name: environment variables, and one JSON object in AWS Secrets Manager for what is secret.

mod secret;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;

/// Where the secret is: its name or ARN.
pub const SECRET_ID: &str = "ADTRAIL_SECRET_ID";

/// Names and values of settings.
pub type Values = BTreeMap<String, SecretString>;

/// Everything that is wrong with the settings, and the fix.
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

    /// Everything that is wrong, and the fix, where it doesn't prevent the start.
    #[must_use]
    pub fn problems(&self) -> &str {
        self.report.trim()
    }
}

/// From the environment and, where ADTRAIL_SECRET_ID names one, the secret. The environment wins.
///
/// # Errors
/// When the secret can't be read.
pub async fn values() -> Result<Values, ConfigError> {
    let environment = environment();
    let mut values = match environment.get(SECRET_ID) {
        Some(id) => of_secret(id.expose_secret()).await?,
        None => Values::new(),
    };
    values.extend(environment);
    Ok(values)
}

/// From the environment alone.
#[must_use]
pub fn environment() -> Values {
    std::env::vars().map(|(name, value)| (name, SecretString::from(value))).collect()
}

/// What this secret has. The settings of a deployment are partly in its secret and partly parameters of its stack.
///
/// # Errors
/// When the secret can't be read.
pub async fn of_secret(id: &str) -> Result<Values, ConfigError> {
    secret::fetch(id).await.map_err(|report| ConfigError { report })
}

/// A setting's value. An empty one counts as none: templates can't leave a variable out.
#[must_use]
pub fn value(values: &Values, name: &str) -> Option<SecretString> {
    // A pasted secret often ends in a line break.
    let value = values.get(name)?.expose_secret().trim();
    (!value.is_empty()).then(|| SecretString::from(value))
}

/// The fewest characters of a secret that Adtrail accepts for itself.
const SHORTEST_SECRET: usize = 16;

/// Has this only the characters of a setting's name: capitals, digits and underscores? So may a secret that was
/// pasted in its place: see [`is_name`].
#[must_use]
pub fn is_spelled_as_name(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

/// Can this be the name of a setting? Where a name is expected, people paste the secret itself, which must not come out
/// in an error: no word of a name is as long as a secret.
#[must_use]
pub fn is_name(text: &str) -> bool {
    is_spelled_as_name(text) && text.split('_').all(|word| word.len() < SHORTEST_SECRET)
}

/// What a function reads from its settings.
pub trait FromSettings: Sized {
    /// Notes in `settings` what is missing or wrong; what it answers then is never used.
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self;
}

/// A function that needs no settings of its own.
impl FromSettings for () {
    fn from_settings(_: &mut Settings, _: &Clock) -> Self {}
}

/// Both, one after the other.
impl<A: FromSettings, B: FromSettings> FromSettings for (A, B) {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        (A::from_settings(settings, clock), B::from_settings(settings, clock))
    }
}

/// Reads settings by name and notes what is wrong with them, so that everything is reported at once.
pub struct Settings<'a> {
    values: &'a Values,
    is_deployed: bool,
    missing: Vec<String>,
    problems: Vec<String>,
}

impl<'a> Settings<'a> {
    #[must_use]
    pub fn new(values: &'a Values) -> Self {
        Self { values, is_deployed: false, missing: Vec::new(), problems: Vec::new() }
    }

    /// The same outside of `make dev`, which prints its secrets: there they are refused.
    #[must_use]
    pub fn deployed(values: &'a Values) -> Self {
        Self { is_deployed: true, ..Self::new(values) }
    }

    /// The same settings, where nothing has been noted yet.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { values: self.values, is_deployed: self.is_deployed, missing: Vec::new(), problems: Vec::new() }
    }

    /// Notes what is wrong. A sentence without its full stop; it says the fix.
    /// Several readers of one setting find the same, which is said once.
    pub fn refuse(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Notes that a setting is missing.
    pub fn miss(&mut self, name: &str) {
        if !self.missing.iter().any(|missing| missing == name) {
            self.missing.push(name.into());
        }
    }

    /// Notes which of these are missing.
    pub fn require(&mut self, names: &[&str]) {
        for name in names {
            if self.text(name).is_none() {
                self.miss(name);
            }
        }
    }

    /// What is missing, and what is wrong with the rest: names and sentences.
    #[must_use]
    pub fn noted(self) -> (Vec<String>, Vec<String>) {
        (self.missing, self.problems)
    }

    /// What was read.
    ///
    /// # Errors
    /// Everything that was missing or wrong.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, ConfigError> {
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
        read.filter(|_| report.is_empty()).ok_or(ConfigError { report })
    }

    /// A text with its white space; empty if it isn't set.
    #[must_use]
    pub fn as_written(&self, name: &str) -> String {
        self.values.get(name).map_or_else(String::new, |text| text.expose_secret().to_owned())
    }

    /// Declarations in TOML: the text itself, or that of the file it names, because they may be more than a Lambda
    /// function's environment holds.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn declarations(&self, name: &str) -> Result<String, String> {
        let written = self.as_written(name);
        let file = PathBuf::from(written.trim());
        let is_file = file.extension().is_some_and(|ending| ending == "toml") && !written.trim().contains('\n');
        if !is_file {
            return Ok(written);
        }
        std::fs::read_to_string(&file)
            .map_err(|error| format!("names {}, which can't be read: {error}", file.display()))
    }

    /// A secret, if it is set.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        value(self.values, name)
    }

    /// A secret that callers authenticate with, if it is set.
    pub fn own_secret(&mut self, name: &str) -> Option<SecretString> {
        self.check_own_secret(name);
        self.secret(name)
    }

    /// Notes if it is one that anybody could know.
    pub fn check_own_secret(&mut self, name: &str) {
        if let Some(problem) = self.weakness_of_secret(name) {
            self.refuse(problem);
        }
    }

    /// What is wrong with a secret that others could guess.
    #[must_use]
    pub fn weakness_of_secret(&self, name: &str) -> Option<String> {
        let secret = self.text(name)?;
        let is_weak = secret.starts_with("dev-") || secret.chars().count() < SHORTEST_SECRET;
        (self.is_deployed && is_weak).then(|| {
            format!(
                "{name} must be a secret of at least {SHORTEST_SECRET} characters, not counting white space around it, \
                 and not one of make dev: openssl rand -hex 32"
            )
        })
    }

    /// A text, if it is set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.secret(name).map(|value| value.expose_secret().to_owned())
    }

    /// A value, if it is set and can be read.
    pub fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(&self.text(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(format!("{name} {problem}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
    }

    #[test]
    fn secrets_of_make_dev_are_refused_elsewhere() {
        let values = values(&[
            ("WEBHOOK_SECRET", "dev-webhook-secret"),
            ("WEBHOOK_SECRET_PREVIOUS", " dev-webhook-secret"),
            ("HEALTH_KEY", "short"),
            ("ZAPIER_SECRET", "               a\n"),
            ("IP_HASH_KEY", " 0123456789abcdef\n"),
        ]);
        let report = |mut settings: Settings| {
            for name in values.keys().map(String::as_str).chain(["NOT_SET"]) {
                settings.own_secret(name);
            }
            settings.finish(Some(())).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let deployed = report(Settings::deployed(&values));
        assert_eq!(deployed.matches("must be a secret of at least 16 characters").count(), 4, "{deployed}");
        for name in ["WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS", "HEALTH_KEY", "ZAPIER_SECRET"] {
            assert!(deployed.contains(&format!("{name} must")), "{name} in {deployed}");
        }
        assert_eq!(report(Settings::new(&values)), "");
    }

    #[test]
    fn an_error_that_several_readers_find_is_reported_once() {
        let values = values(&[("COOKIE_DOMAIN", "example")]);
        let mut settings = Settings::new(&values);
        for _ in 0..2 {
            settings.parsed("COOKIE_DOMAIN", |_| Err::<(), _>("must be a domain".into()));
            settings.require(&["HEALTH_KEY"]);
        }
        let report = settings.finish(Some(())).unwrap_err().to_string();
        let said = ["COOKIE_DOMAIN", "HEALTH_KEY"].map(|name| report.matches(name).count());
        assert_eq!(said, [1, 1], "{report}");
    }
}
