//! The answers that are given before anything is asked: by flags, by a file, and by the environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use secrecy::ExposeSecret;
use shared::settings::{self, Values};
use toml_edit::{DocumentMut, Item, Value};

use super::questions::{DATABASE, QUESTIONS, Question};
use super::secret;
use crate::arguments::Setup;
use crate::{Failure, visible};

/// Answers by the keys of their questions. One that is empty means later.
pub(crate) type Answers = BTreeMap<&'static str, String>;

/// The key of the secret's name or ARN, which is no question: it has a default.
pub(crate) const SECRET: &str = "secret";

/// What is given, checked. A flag goes before the file, and the file before the environment.
///
/// # Errors
/// Everything that is wrong, at once.
pub(crate) fn given(arguments: &Setup, environment: &Values) -> Result<Answers, Failure> {
    let mut problems = Vec::new();
    let mut answers = Answers::new();
    let mut in_file = Answers::new();
    if let Some(file) = &arguments.answers {
        let name = file.display();
        let (read, wrong) = read(file)?;
        problems.extend(wrong.into_iter().map(|problem| format!("{problem} (in {name}).")));
        in_file = checked(read, |key| format!("{key} in {name}"), &mut problems);
    }
    // What the file answers isn't needed from the environment, which may be of another deployment.
    if in_file.get(DATABASE).is_none_or(String::is_empty) {
        let url = settings::value(environment, "DATABASE_URL").map(|url| url.expose_secret().to_owned());
        let of_environment = url.map(|url| (DATABASE, url)).into_iter().collect();
        in_file.remove(DATABASE);
        answers.extend(checked(of_environment, |_| "DATABASE_URL in the environment".into(), &mut problems));
    }
    answers.extend(in_file);
    let flags = arguments.flags().into_iter().filter_map(|(key, value)| Some((key, value?.trim().to_owned())));
    answers.extend(checked(flags.collect(), |key| format!("--{}", key.replace('_', "-")), &mut problems));
    if problems.is_empty() { Ok(answers) } else { Err(Failure::Message(problems.join("\n"))) }
}

fn checked(answers: Answers, name: impl Fn(&str) -> String, problems: &mut Vec<String>) -> Answers {
    let mut right = Answers::new();
    for (key, text) in answers {
        let check = QUESTIONS.iter().find(|question| question.key == key).map_or(secret::check_id as _, |it| it.check);
        // Nothing is an answer: not now.
        let answer = if text.is_empty() { Ok(text) } else { check(&text) };
        match answer {
            Ok(answer) => drop(right.insert(key, answer)),
            Err(problem) => problems.push(format!("{} {problem}.", name(key))),
        }
    }
    right
}

/// The answers of a file, and what in it is none. An error never repeats a line: there is a password in it.
fn read(file: &Path) -> Result<(Answers, Vec<String>), Failure> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::Message(format!("The answers file {name} can't be read: {error}.")))?;
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let what = error.message().lines().next().unwrap_or_default().to_owned();
        Failure::Message(format!("The answers file {name} is no TOML, line {line}: {what}."))
    })?;
    let known: Vec<_> = QUESTIONS.iter().map(|question: &Question| question.key).chain([SECRET]).collect();
    let (mut answers, mut problems) = (Answers::new(), Vec::new());
    for (key, item) in document.iter() {
        match (known.iter().find(|it| **it == key), text_of(item)) {
            (Some(key), Some(text)) => drop(answers.insert(key, text.trim().to_owned())),
            (Some(key), None) => problems.push(format!("{key} must be a text, or a list of texts")),
            (None, _) => {
                let key = visible::short(key);
                problems.push(format!("{key} is no answer: there are {}", known.join(", ")));
            }
        }
    }
    Ok((answers, problems))
}

/// A text, a number, or texts as one with commas.
fn text_of(item: &Item) -> Option<String> {
    match item.as_value()? {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|texts| texts.join(",")),
        _ => None,
    }
}
