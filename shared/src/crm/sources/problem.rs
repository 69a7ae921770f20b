//! What is wrong with the declarations, for the operator who wrote them.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, ValueDeserializer};

use super::declared::DeclaredSource;
use crate::settings;

#[derive(Debug)]
pub(super) struct DeclarationProblem {
    at: Range<usize>,
    pub what: String,
}

impl DeclarationProblem {
    pub fn at(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// A source's name, and its table as far as it can be read.
type Table = (Spanned<String>, Result<DeclaredSource, Vec<DeclarationProblem>>);

/// All problems in one text.
pub(super) struct Problems<'a> {
    toml: &'a str,
    /// Lines and their errors.
    found: Vec<(usize, String)>,
}

impl<'a> Problems<'a> {
    pub fn of(toml: &'a str) -> Self {
        Self { toml, found: Vec::new() }
    }

    /// The tables of the text, each parsed on its own, so that an error in one doesn't hide those in the next.
    pub fn tables(&mut self) -> Vec<Table> {
        let problem = |error: &toml::de::Error, at: Range<usize>| {
            DeclarationProblem::at(error.span().unwrap_or(at), without_text(error.message()))
        };
        let tables = match DeTable::parse(self.toml) {
            Ok(tables) => tables.into_inner(),
            Err(error) => {
                self.add("", vec![problem(&error, 0..0)]);
                return Vec::new();
            }
        };
        let read = tables.into_iter().map(|(name, value)| {
            let name = Spanned::new(name.span(), name.into_inner().into_owned());
            let declared = DeclaredSource::deserialize(ValueDeserializer::from(value));
            let declared = declared.map_err(|error| vec![problem(&error, name.span())]);
            (name, declared)
        });
        read.collect()
    }

    pub fn add(&mut self, source: &str, problems: Vec<DeclarationProblem>) {
        for DeclarationProblem { at, what } in problems {
            let before = &self.toml[..at.start.min(self.toml.len())];
            let line = before.matches('\n').count();
            let text = without_secret(self.toml.lines().nth(line).unwrap_or_default().trim());
            let of = if source.is_empty() { String::new() } else { format!("source {source}, ") };
            self.found.push((line, format!("{of}line {}: {text}\n  {what}", line + 1)));
        }
    }

    pub fn check(mut self) -> Result<(), String> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(line, _)| *line);
        Err(self.found.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n"))
    }
}

/// Keys where people may write the secret itself, which must not appear in an error.
const SECRETS: [&str; 10] =
    ["secret", "password", "token", "bearer", "basic", "hmac", "hubspot_v3", "standard_webhooks", "close", "ed25519"];

/// At most 120 characters of a line, up to a text that should be the name of a setting and isn't.
fn without_secret(line: &str) -> String {
    let suspect = |(at, word): (usize, &str)| {
        let end = at + word.len();
        let value = line[end..].trim_start_matches(['"', '\'', ' ']).strip_prefix('=')?.trim_start();
        let text = value.strip_prefix(['"', '\''])?;
        let name = text.split(['"', '\'']).next().unwrap_or_default();
        (!settings::is_name(name)).then_some(end)
    };
    let suspects = SECRETS.iter().flat_map(|word| line.match_indices(word)).filter_map(suspect);
    match suspects.min() {
        Some(end) => format!("{} = …", &line[..end]),
        None => line.chars().take(120).collect(),
    }
}

/// A message of the parser without the text it quotes: that may be a secret, and the line is shown next to it.
fn without_text(message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    if message == "invalid type: map, expected a sequence" {
        return "there can be several of these: write the name in double brackets, such as [[acme.auth]]".into();
    }
    if message == "missing field `when`" {
        return "does not say when it matches: add when = { status = \"won\" }, or when = {} for always".into();
    }
    match (message.split_once("string \""), message.rsplit_once("\", expected")) {
        (Some((before, _)), Some((_, after))) => format!("{before}text, expected{after}"),
        _ => message,
    }
}
