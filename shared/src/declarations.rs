//! What operators declare in TOML, a table for each thing, and what is wrong with it, for the operator who wrote it.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::settings;

/// What is wrong at a place of the text, and the fix.
#[derive(Debug)]
pub struct DeclarationProblem {
    at: Range<usize>,
    pub what: String,
}

impl DeclarationProblem {
    #[must_use]
    pub fn at(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// What a kind of declaration is called in errors.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Such as `source`.
    pub noun: &'static str,
    /// The fix, for a message of the parser that doesn't say it.
    pub fix: fn(&str) -> Option<&'static str>,
    /// May an error repeat the line it is about, but for what looks like a secret? Else only its key.
    pub repeats_values: bool,
}

/// A table of the text: one declaration.
#[derive(Debug)]
pub struct Table<'t> {
    pub name: Spanned<String>,
    kind: Kind,
    value: Spanned<DeValue<'t>>,
}

impl<'t> Table<'t> {
    /// Reads all that is in it.
    ///
    /// # Errors
    /// What can't be read, and where.
    pub fn read<T: Deserialize<'t>>(self) -> Result<T, Vec<DeclarationProblem>> {
        read(self.kind, self.name.span(), self.value)
    }

    /// The text under a key, if there is one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let DeValue::Table(table) = self.value.get_ref() else { return None };
        table.get(key)?.get_ref().as_str()
    }

    /// Reads one of its keys and takes it out of the table.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn take<T: Deserialize<'t>>(&mut self, key: &str) -> Result<Option<Spanned<T>>, Vec<DeclarationProblem>> {
        let DeValue::Table(table) = self.value.get_mut() else { return Ok(None) };
        let Some(value) = table.remove(key) else { return Ok(None) };
        let span = value.span();
        Ok(Some(Spanned::new(span.clone(), read(self.kind, span, value)?)))
    }
}

fn read<'t, T>(kind: Kind, here: Range<usize>, value: Spanned<DeValue<'t>>) -> Result<T, Vec<DeclarationProblem>>
where
    T: Deserialize<'t>,
{
    T::deserialize(ValueDeserializer::from(value)).map_err(|error| vec![problem(kind, &error, here)])
}

fn problem(kind: Kind, error: &toml::de::Error, here: Range<usize>) -> DeclarationProblem {
    let message = error.message().trim().replace('\n', ", ");
    let what = (kind.fix)(&message).map_or_else(|| without_text(&message), String::from);
    DeclarationProblem::at(error.span().unwrap_or(here), what)
}

/// All problems in one text.
pub struct Problems<'t> {
    toml: &'t str,
    kind: Kind,
    /// Lines and their errors.
    found: Vec<(usize, String)>,
}

impl<'t> Problems<'t> {
    #[must_use]
    pub fn of(toml: &'t str, kind: Kind) -> Self {
        Self { toml, kind, found: Vec::new() }
    }

    /// The tables of the text in their order, each to be read on its own, so that an error in one doesn't hide those in
    /// the next.
    pub fn tables(&mut self) -> Vec<Table<'t>> {
        let tables = match DeTable::parse(self.toml) {
            Ok(tables) => tables.into_inner(),
            Err(error) => {
                self.add("", vec![problem(self.kind, &error, 0..0)]);
                return Vec::new();
            }
        };
        let named =
            |name: Spanned<std::borrow::Cow<'_, str>>| Spanned::new(name.span(), name.into_inner().into_owned());
        let tables = tables.into_iter().map(|(name, value)| Table { name: named(name), kind: self.kind, value });
        let mut tables: Vec<_> = tables.collect();
        tables.sort_by_key(|table| table.name.span().start);
        tables
    }

    /// Adds the problems of the declaration of this name.
    pub fn add(&mut self, name: &str, problems: Vec<DeclarationProblem>) {
        for DeclarationProblem { at, what } in problems {
            let before = &self.toml[..at.start.min(self.toml.len())];
            let line = before.matches('\n').count();
            let text = self.toml.lines().nth(line).unwrap_or_default().trim();
            let text = if self.kind.repeats_values { without_secret(text) } else { without_value(text) };
            let of = if name.is_empty() { String::new() } else { format!("{} {name}, ", self.kind.noun) };
            self.found.push((line, format!("{of}line {}: {text}\n  {what}", line + 1)));
        }
    }

    /// # Errors
    /// All that was added, in the order of the lines.
    pub fn check(mut self) -> Result<(), String> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(line, _)| *line);
        Err(self.found.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n"))
    }
}

/// Keys where people may write the secret itself, which must not appear in an error.
const SECRETS: [&str; 12] = [
    "secret",
    "password",
    "token",
    "bearer",
    "basic",
    "hmac",
    "hubspot_v3",
    "standard_webhooks",
    "close",
    "ed25519",
    "service_account_key",
    "external_account",
];

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

/// The key of a line, or the name of a table.
fn without_value(line: &str) -> String {
    let is_name =
        |text: &str| text.len() <= 60 && text.chars().all(|c| c.is_ascii_alphanumeric() || "[]._- ".contains(c));
    match line.split_once('=') {
        Some((key, _)) if is_name(key) => format!("{} = …", key.trim()),
        None if line.starts_with('[') && is_name(line) => line.into(),
        _ => "…".into(),
    }
}

/// A message of the parser without the text it quotes: that may be a secret, and the line is shown next to it.
fn without_text(message: &str) -> String {
    match (message.split_once("string \""), message.rsplit_once("\", expected")) {
        (Some((before, _)), Some((_, after))) => format!("{before}text, expected{after}"),
        _ => message.into(),
    }
}
