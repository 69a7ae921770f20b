//! What is going to change, to be shown before it does. No value of the secret is in it.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use shared::db::migrations::Migration;

use super::database::Place;

/// Everything that will change.
pub(crate) struct Plan {
    pub database: Place,
    pub migrations: Vec<Migration>,
    pub secret: SecretChanges,
    pub region: Option<Line>,
    pub parameters: Vec<Line>,
}

/// Names of the secret's keys.
pub(crate) struct SecretChanges {
    /// Where the secret is.
    pub place: String,
    pub is_new: bool,
    pub added: Vec<String>,
    pub changed: Vec<String>,
}

/// A value in samconfig.toml.
pub(crate) struct Line {
    pub name: &'static str,
    pub before: Option<String>,
    /// None before the secret is written, which decides it.
    pub after: Option<String>,
}

impl SecretChanges {
    pub(crate) fn between(
        place: String,
        is_new: bool,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
    ) -> Self {
        let names = |is_wanted: &dyn Fn(&str) -> bool| after.keys().filter(|name| is_wanted(name)).cloned().collect();
        Self {
            place,
            is_new,
            added: names(&|name| !before.contains_key(name)),
            changed: names(&|name| before.get(name).is_some_and(|value| after.get(name) != Some(value))),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty()
    }
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.migrations.is_empty() && self.secret.is_empty() && self.lines().next().is_none()
    }

    /// All lines of samconfig.toml.
    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.region.iter().chain(&self.parameters)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.database.is_on_this_machine {
            text += "The database is on this machine, where functions on AWS don't reach it.\n\n";
        }
        if !self.migrations.is_empty() {
            let names: Vec<_> = self.migrations.iter().map(|it| it.name.as_str()).collect();
            let place = &self.database.of_migrations;
            let _ = write!(text, "Migrations of the database {place}\n  {}\n\n", names.join("\n  "));
        }
        if !self.secret.is_empty() {
            let new = if self.secret.is_new { "New " } else { "" };
            let _ = writeln!(text, "{new}{}", self.secret.place);
            let added = self.secret.added.iter().map(|name| format!("  add     {name}\n"));
            text.extend(added.chain(self.secret.changed.iter().map(|name| format!("  change  {name}\n"))));
            text += "\n";
        }
        if self.lines().next().is_some() {
            text += "samconfig.toml\n";
            text.extend(self.lines().map(Line::text));
            text += "\n";
        }
        text
    }

    pub(crate) fn document(&self, is_applied: bool) -> Value {
        let migrations: Vec<_> = self.migrations.iter().map(|it| it.name.as_str()).collect();
        let lines = self.lines().map(|it| json!({"name": it.name, "before": it.before, "after": it.after}));
        json!({
            "database": self.database.of_functions,
            "migrations": migrations,
            "secret": {"place": self.secret.place, "added": self.secret.added, "changed": self.secret.changed},
            "samconfig": lines.collect::<Vec<_>>(),
            "applied": is_applied,
        })
    }
}

impl Line {
    /// None if nothing changes.
    pub(crate) fn new(name: &'static str, before: Option<&str>, after: Option<&str>) -> Option<Self> {
        let is_change = after.is_none() || before != after;
        is_change.then(|| Self { name, before: before.map(Into::into), after: after.map(Into::into) })
    }

    fn text(&self) -> String {
        let shown = |value: &str| if value.is_empty() { "(empty: later)".to_owned() } else { value.to_owned() };
        let after = self.after.as_deref().map_or_else(|| "(of the secret, once it is written)".into(), shown);
        match &self.before {
            Some(before) => format!("  {} = {after}, was {}\n", self.name, shown(before)),
            None => format!("  {} = {after}\n", self.name),
        }
    }
}
