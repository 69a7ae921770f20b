//! What is asked, what an answer must look like, and where it is kept.

use shared::consent::UnknownConsent;
use shared::http::cookies;
use shared::http::cors::Origins;
use shared::identity::Region;

use super::{connection_string, google};
use crate::visible;

/// One thing that has to be known.
pub(crate) struct Question {
    /// Its key in the answers file. The flag is the same with hyphens.
    pub key: &'static str,
    pub kept: Kept,
    pub asked: Asked,
    /// Is it of interest only with a Google Ads account?
    pub of_account: bool,
    /// Makes an answer what is kept, or says what it must look like: the end of a sentence that begins with the key.
    pub check: fn(&str) -> Result<String, String>,
}

/// Where an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In the secret, under this name.
    Secret(&'static str),
    /// In samconfig.toml, as this parameter of the template.
    Parameter(&'static str),
    /// In the secret, under the name of its kind.
    Credentials,
}

/// Is it asked on a terminal?
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// Until there is an answer. What is typed stays hidden.
    Hidden(&'static str),
    /// Until there is an answer.
    Always(&'static str),
    /// Nothing as an answer means later.
    OrLater(&'static str),
    /// No: there is a default.
    Never,
}

/// RFC 5321.
const LONGEST_EMAIL: usize = 254;

/// The key of the connection string, which is never a flag.
pub(crate) const DATABASE: &str = "database_url";

pub(crate) static QUESTIONS: [Question; 9] = [
    Question {
        key: DATABASE,
        kept: Kept::Secret("DATABASE_URL"),
        asked: Asked::Hidden(
            "The database: the connection string of Supabase's transaction pooler, from Connect in the project's \
             dashboard, with the password in its place. It is not shown while you type or paste it.",
        ),
        of_account: false,
        check: connection_string::check,
    },
    Question {
        key: "origins",
        kept: Kept::Parameter("AllowedOrigins"),
        asked: Asked::Always("The website: its address, such as https://www.example.com; several with commas."),
        of_account: false,
        check: origins,
    },
    google::ACCOUNT,
    google::ACTION_CLOSED,
    google::CREDENTIALS,
    Question {
        key: "unknown_consent",
        kept: Kept::Parameter("ConsentUnknown"),
        asked: Asked::Always(
            "Conversions of people who were not asked for consent: hold keeps them back until there is an answer, send \
             sends them without a statement on consent. The answer depends on your law: ask whoever is responsible \
             for data protection.",
        ),
        of_account: false,
        check: unknown_consent,
    },
    Question {
        key: "alarm_email",
        kept: Kept::Parameter("AlarmEmail"),
        asked: Asked::Always("The e-mail address that alarms are sent to."),
        of_account: false,
        check: email,
    },
    Question {
        key: "phone_region",
        kept: Kept::Secret("PHONE_DEFAULT_REGION"),
        asked: Asked::Never,
        of_account: false,
        check: |text| Region::parse(text).map(|region| region.to_string()),
    },
    Question {
        key: "cookie_domain",
        kept: Kept::Secret("COOKIE_DOMAIN"),
        asked: Asked::Never,
        of_account: false,
        check: cookies::domain,
    },
];

impl Question {
    /// How it is answered beside the terminal.
    pub(crate) fn other_way(&self) -> String {
        if self.key == DATABASE {
            format!("{DATABASE} (DATABASE_URL in the environment, or the answers file)")
        } else {
            format!("{} (--{})", self.key, self.key.replace('_', "-"))
        }
    }
}

/// What `adtrail setup` makes of an answer to this parameter of the template, or what is wrong with it. None if it
/// doesn't ask for it.
#[must_use]
pub fn parameter(name: &str, answer: &str) -> Option<Result<String, String>> {
    let question = QUESTIONS.iter().find(|question| matches!(question.kept, Kept::Parameter(it) if it == name))?;
    Some((question.check)(answer))
}

/// Without spaces and slashes at the end, as the template's parameter wants them.
fn origins(text: &str) -> Result<String, String> {
    let origins: Vec<_> = text.split(',').map(|origin| origin.trim().trim_end_matches('/')).collect();
    if origins.iter().any(|origin| origin.is_empty()) {
        return Err("must list origins such as https://www.example.com, separated by commas; an item of the list is \
                    empty: take out the comma that is too many"
            .into());
    }
    for origin in &origins {
        let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:/".contains(c);
        if Origins::parse(origin).is_err() || !origin.chars().all(is_known) {
            return Err(format!(
                "must list origins such as https://www.example.com, in lower case, without a path, separated by \
                 commas; {} is none",
                visible::short(origin)
            ));
        }
    }
    Ok(origins.join(","))
}

fn unknown_consent(text: &str) -> Result<String, String> {
    UnknownConsent::parse(text).map_err(|problem| format!("{problem}; there is no default"))?;
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, String> {
    let is_address = text.split_once('@').is_some_and(|(name, host)| {
        let parts: Vec<_> = host.split('.').collect();
        !name.is_empty() && parts.len() > 1 && parts.iter().all(|part| !part.is_empty())
    });
    let is_strange = |c: char| c.is_whitespace() || visible::is_hidden(c) || [',', '"', '\\'].contains(&c);
    if is_address && text.matches('@').count() == 1 && !text.contains(is_strange) && text.len() <= LONGEST_EMAIL {
        Ok(text.to_owned())
    } else {
        Err("must be one e-mail address, such as alarms@example.com: at most 254 characters, without spaces, quotes \
             and backslashes"
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(key: &str, text: &str) -> Result<String, String> {
        (QUESTIONS.iter().find(|it| it.key == key).unwrap().check)(text)
    }

    #[test]
    fn an_answer_is_kept_as_the_template_wants_it() {
        for (key, text, kept) in [
            (
                "origins",
                "https://www.example.com/, http://localhost:3000",
                "https://www.example.com,http://localhost:3000",
            ),
            ("google_ads_account", "1234567890", "123-456-7890"),
            ("google_ads_action_closed", "customers/1234567890/conversionActions/98", "98"),
            ("phone_region", "de", "DE"),
            ("cookie_domain", ".example.com", "example.com"),
        ] {
            assert_eq!(answered(key, text).as_deref(), Ok(kept), "{key}");
        }
    }

    #[test]
    fn a_wrong_answer_is_refused_with_what_it_must_look_like() {
        for (key, text, said) in [
            ("origins", "www.example.com", "such as https://www.example.com"),
            ("origins", "https://www.example.com/shop", "without a path"),
            ("origins", "https://a.example,", "an item of the list is empty: take out the comma"),
            ("origins", "", "an item of the list is empty"),
            ("origins", "https://[::1]:3000", "such as https://www.example.com"),
            ("origins", "*", "* is none"),
            ("google_ads_account", "12", "123-456-7890"),
            ("google_ads_action_closed", "AW-1/abc", "ctId"),
            ("unknown_consent", "maybe", "hold or send; there is no default"),
            ("alarm_email", "alarms@example", "alarms@example.com"),
            ("alarm_email", "a@example.com, b@example.com", "one e-mail address"),
            ("alarm_email", "a\0b@example.com", "one e-mail address"),
            ("alarm_email", "a\tb@example.com", "one e-mail address"),
            ("alarm_email", "a\\b@example.com", "without spaces, quotes and backslashes"),
            ("phone_region", "UK", "GB"),
            ("cookie_domain", "https://example.com", "example.com"),
        ] {
            let problem = answered(key, text).unwrap_err();
            assert!(problem.contains(said), "{key}: {problem}");
        }
    }

    #[test]
    fn a_long_answer_is_not_repeated_in_full() {
        let long = "x".repeat(100_000);
        for key in ["origins", "alarm_email", "unknown_consent", "cookie_domain", "phone_region"] {
            let problem = answered(key, &format!("{long}@{long}.")).unwrap_err();
            assert!(problem.len() < 400, "{key}: {} bytes", problem.len());
        }
        assert!(answered("alarm_email", &format!("{long}@example.com")).is_err());
    }
}
