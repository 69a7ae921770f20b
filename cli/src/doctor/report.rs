//! What each check found.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Something doesn't work.
    Error,
    /// Something will not work soon, or not as well as it could.
    Warning,
}

/// What is wrong and how to put it right, each in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub level: Level,
    pub problem: String,
    pub fix: String,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// With what was seen.
    Right(String),
    Found(Vec<Finding>),
    /// With the reason.
    NotChecked(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: String,
    state: State,
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Check>);

impl Report {
    /// All is well, and this was seen.
    pub(super) fn right(&mut self, name: impl Into<String>, seen: impl Into<String>) {
        self.0.push(Check { name: name.into(), state: State::Right(seen.into()) });
    }

    pub(super) fn not_checked(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.0.push(Check { name: name.into(), state: State::NotChecked(why.into()) });
    }

    pub(super) fn error(&mut self, name: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) {
        self.find(name.into(), Level::Error, problem.into(), fix.into());
    }

    pub(super) fn warn(&mut self, name: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) {
        self.find(name.into(), Level::Warning, problem.into(), fix.into());
    }

    /// Several findings of one check are one line.
    fn find(&mut self, name: String, level: Level, problem: String, fix: String) {
        let finding = Finding { level, problem, fix };
        if let Some(Check { state: State::Found(findings), .. }) = self.0.iter_mut().find(|check| check.name == name) {
            findings.push(finding);
        } else {
            self.0.push(Check { name, state: State::Found(vec![finding]) });
        }
    }

    /// Says what was seen, unless the check has found something.
    pub(super) fn right_unless_found(&mut self, name: &str, seen: impl Into<String>) {
        if !self.has_found(name) {
            self.right(name, seen);
        }
    }

    pub(super) fn has_found(&self, name: &str) -> bool {
        self.0.iter().any(|check| check.name == name && matches!(check.state, State::Found(_)))
    }

    /// Adds the checks of another report.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many findings have this level.
    pub(super) fn count(&self, level: Level) -> usize {
        self.findings().filter(|finding| finding.level == level).count()
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().flat_map(|check| match &check.state {
            State::Found(findings) => findings.as_slice(),
            State::Right(_) | State::NotChecked(_) => &[],
        })
    }

    pub(super) fn document(&self) -> Value {
        let check = |Check { name, state }: &Check| match state {
            State::Right(seen) => json!({ "check": name, "state": "ok", "seen": seen, "findings": [] }),
            State::Found(findings) => json!({ "check": name, "state": "found", "findings": findings }),
            State::NotChecked(why) => json!({ "check": name, "state": "not_checked", "why": why, "findings": [] }),
        };
        json!({
            "errors": self.count(Level::Error),
            "warnings": self.count(Level::Warning),
            "checks": self.0.iter().map(check).collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let width = self.0.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for Check { name, state } in &self.0 {
            let lines = match state {
                State::Right(seen) => vec![("ok", seen.as_str(), None)],
                State::NotChecked(why) => vec![("not checked", why.as_str(), None)],
                State::Found(findings) => findings.iter().map(Finding::line).collect(),
            };
            for (label, what, fix) in lines {
                let _ = writeln!(text, "{}", format!("{label:<11}  {name:<width$}  {what}").trim_end());
                if let Some(fix) = fix {
                    let _ = writeln!(text, "{:13}{:width$}  Fix: {fix}", "", "");
                }
            }
        }
        text
    }
}

impl Finding {
    fn line(&self) -> (&'static str, &str, Option<&str>) {
        let label = match self.level {
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
        };
        (label, &self.problem, Some(&self.fix))
    }
}

/// A sentence: with a full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?', '"']) { text.to_owned() } else { format!("{text}.") }
}

/// With a capital letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
