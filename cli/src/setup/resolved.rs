//! What is answered in the end: what was given, else what is there already, else what is asked for.

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use shared::settings::{self, Values};

use super::database::{self, Place};
use super::given::Answers;
use super::google::{ACCOUNT, credentials};
use super::questions::{Asked, DATABASE, Kept, QUESTIONS, Question};
use super::samconfig::Samconfig;
use super::{OF_DATABASE, secret_text};
use crate::{Failure, terminal};

/// What is there already.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub secret: &'a Map<String, Value>,
    pub samconfig: &'a Samconfig,
}

/// An answer that differs from what is there.
pub(crate) struct Change {
    pub kept: Kept,
    pub answer: String,
}

/// The answers, and the database that they name.
pub(crate) struct Resolved {
    pub changes: Vec<Change>,
    /// How the database is reached.
    pub database: Values,
    pub place: Place,
}

impl Known<'_> {
    /// As it is written there.
    fn answer(&self, question: &Question) -> Option<String> {
        let of_secret = |name| self.secret.get(name).map(secret_text).filter(|text| !text.is_empty());
        match question.kept {
            Kept::Secret(name) => of_secret(name),
            Kept::Credentials => of_secret(credentials::kept(self.secret)?),
            Kept::Parameter(name) => {
                let kept = self.samconfig.parameter(name).map(str::to_owned);
                // Who declares destinations has no single account.
                let declared = || (question.key == ACCOUNT.key).then(|| of_secret("DESTINATIONS")).flatten();
                let may_be_empty = matches!(question.asked, Asked::OrLater(_));
                kept.or_else(|| declared().map(|_| String::new())).filter(|text| may_be_empty || !text.is_empty())
            }
        }
    }
}

/// What was given or is there, without asking. Nothing as an answer leaves what is there.
fn known(question: &Question, given: &Answers, there: Option<&String>) -> Option<String> {
    let may_be_empty = matches!(question.asked, Asked::OrLater(_)) && there.is_none();
    let given = given.get(question.key).filter(|answer| may_be_empty || !answer.is_empty());
    given.or(there).cloned()
}

/// Asks for what is missing, and tries the database as soon as it is known.
///
/// # Errors
/// Whatever is wrong with what is there; without a terminal, everything that is missing.
pub(crate) async fn resolve(given: &Answers, there: Known<'_>, environment: &Values) -> Result<Resolved, Failure> {
    check(given, there)?;
    let (mut changes, mut reached, mut has_account) = (Vec::new(), None, false);
    for question in &QUESTIONS {
        let kept = there.answer(question);
        let is_asked = !question.of_account || has_account;
        let answer = match known(question, given, kept.as_ref()) {
            Some(answer) => Some(answer),
            // Without anybody to ask, what may be left for later is.
            None if is_asked && terminal::is_there() => asked(question)?,
            None => None,
        };
        let Some(answer) = answer else { continue };
        has_account |= question.key == ACCOUNT.key && !answer.is_empty();
        if question.key == DATABASE {
            let values = database_values(&answer, there.secret, environment);
            reached = Some((database::check(&values).await?, values));
        }
        if kept.is_none_or(|kept| plain(question, &kept) != plain(question, &answer)) {
            changes.push(Change { kept: kept_as(question, &answer, there.secret)?, answer });
        }
    }
    let (place, database) = reached.ok_or_else(|| Failure::Message(format!("{DATABASE} is missing.")))?;
    Ok(Resolved { changes, database, place })
}

/// Before anybody is asked: is what is there right, and will somebody be there to answer?
fn check(given: &Answers, there: Known) -> Result<(), Failure> {
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    let mut has_account = false;
    for question in &QUESTIONS {
        let kept = there.answer(question);
        let answer = known(question, given, kept.as_ref());
        has_account |= question.key == ACCOUNT.key && answer.as_ref().is_some_and(|answer| !answer.is_empty());
        match (&answer, question.kept) {
            (None, _) => missing.extend((!question.of_account || has_account).then_some(question)),
            // What was given is right, and credentials are tried with everything else.
            (_, Kept::Credentials) => {}
            (Some(answer), _) if answer.is_empty() || kept.as_ref() != Some(answer) => {}
            (Some(answer), Kept::Secret(name)) => {
                wrong.extend((question.check)(answer).err().map(|problem| format!("{name} in the secret {problem}.")));
            }
            (Some(answer), Kept::Parameter(name)) => wrong
                .extend((question.check)(answer).err().map(|problem| format!("{name} in samconfig.toml {problem}."))),
        }
    }
    missing.retain(|question| matches!(question.asked, Asked::Always(_) | Asked::Hidden(_)));
    if !missing.is_empty() && !terminal::is_there() {
        let ways: Vec<_> = missing.into_iter().map(Question::other_way).collect();
        wrong.push(format!("Not answered: {}.", ways.join(", ")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Message(wrong.join("\n"))) }
}

/// Asks until the answer can be right.
fn asked(question: &Question) -> Result<Option<String>, Failure> {
    let (text, ask): (_, fn(&str) -> _) = match question.asked {
        Asked::Hidden(text) => (text, terminal::ask_hidden),
        Asked::Always(text) | Asked::OrLater(text) => (text, terminal::ask),
        Asked::Never => return Ok(None),
    };
    terminal::say(&format!("\n{text}"))?;
    loop {
        let answer = ask("> ")?;
        if answer.is_empty() && matches!(question.asked, Asked::OrLater(_)) {
            return Ok(Some(answer));
        }
        match (question.check)(&answer) {
            Ok(answer) => return Ok(Some(answer)),
            Err(problem) => terminal::say(&format!("It {problem}."))?,
        }
    }
}

/// What the functions and migrations read, with this connection string.
fn database_values(url: &str, secret: &Map<String, Value>, environment: &Values) -> Values {
    let mut values = Values::from([("DATABASE_URL".to_owned(), url.into())]);
    for name in OF_DATABASE {
        let of_environment = settings::value(environment, name);
        let of_secret = || secret.get(name).map(|value| secret_text(value).into());
        values.extend(of_environment.or_else(of_secret).map(|value| (name.to_owned(), value)));
    }
    values
}

/// The answer in one form: people write the same number with hyphens and without.
fn plain(question: &Question, answer: &str) -> String {
    if question.kept == Kept::Credentials {
        return serde_json::from_str::<Value>(answer).map_or_else(|_| answer.to_owned(), |it| it.to_string());
    }
    (question.check)(answer).unwrap_or_else(|_| answer.to_owned())
}

/// Where the answer goes. Two kinds of credentials would keep the uploader from starting.
fn kept_as(question: &Question, answer: &str, secret: &Map<String, Value>) -> Result<Kept, Failure> {
    if question.kept != Kept::Credentials {
        return Ok(question.kept);
    }
    let name = credentials::setting(answer).unwrap_or_default();
    match credentials::kept(secret) {
        Some(other) if other != name => Err(Failure::Message(format!(
            "The secret has {other}, and only one kind of credentials may be set: take it out before you change to {name}."
        ))),
        _ => Ok(Kept::Secret(name)),
    }
}

/// The values of the environment that belong into the secret beside the connection string.
pub(crate) fn authority(environment: &Values) -> Option<(String, Value)> {
    let name = OF_DATABASE[0];
    let pem = settings::value(environment, name)?;
    Some((name.to_owned(), pem.expose_secret().into()))
}
