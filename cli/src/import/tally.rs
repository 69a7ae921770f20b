//! What the rows of a file were, while they are read and at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write, stderr};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use shared::intake::{Becomes, RowOutcome};

use crate::Failure;
use crate::answer::Answer;
use crate::arguments::Import;
use crate::inbox::words::skip_reason;
use crate::table::section;

/// So many lines are listed for each reason.
const LISTED: usize = 10;

/// Rows that can't be read for one reason.
#[derive(Default)]
struct Bad {
    rows: u64,
    lines: Vec<u64>,
}

#[derive(Default)]
pub(super) struct Tally {
    rows: u64,
    new: BTreeMap<String, u64>,
    changed: u64,
    known: u64,
    ignored: BTreeMap<String, u64>,
    bad: BTreeMap<String, Bad>,
    list: Option<BufWriter<File>>,
}

impl Tally {
    pub fn new(list: Option<&Path>) -> Result<Self, Failure> {
        let list = list.map(File::create).transpose().map_err(|error| unwritten(&error))?.map(BufWriter::new);
        let mut tally = Self { list, ..Self::default() };
        if let Some(list) = &mut tally.list {
            writeln!(list, "line,why").map_err(|error| unwritten(&error))?;
        }
        Ok(tally)
    }

    /// A row that can't be read.
    pub fn bad(&mut self, line: u64, why: &str) -> Result<(), Failure> {
        self.rows += 1;
        let bad = self.bad.entry(why.to_owned()).or_default();
        bad.rows += 1;
        if bad.lines.len() < LISTED {
            bad.lines.push(line);
        }
        match &mut self.list {
            Some(list) => writeln!(list, "{line},\"{}\"", why.replace('"', "\"\"")).map_err(|error| unwritten(&error)),
            None => Ok(()),
        }
    }

    /// Any other.
    pub fn add(&mut self, outcome: &RowOutcome) {
        self.rows += 1;
        match outcome {
            RowOutcome::New(becomes) => *self.new.entry(in_words(becomes)).or_default() += 1,
            RowOutcome::Changed => self.changed += 1,
            RowOutcome::Known => self.known += 1,
            RowOutcome::Ignored(reason) => *self.ignored.entry(reason.clone()).or_default() += 1,
            RowOutcome::Bad(_) => {}
        }
    }

    fn bad_rows(&self) -> u64 {
        self.bad.values().map(|it| it.rows).sum()
    }

    /// How far it is, for whoever waits at a terminal.
    pub fn show(&self, elapsed: Duration) {
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r{} rows, {} bad, {} rows/s ", self.rows, self.bad_rows(), self.pace(elapsed));
        }
    }

    fn pace(&self, elapsed: Duration) -> u64 {
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        self.rows.saturating_mul(1000) / milliseconds
    }

    pub fn finish(mut self, elapsed: Duration, import: &Import) -> Result<Answer, Failure> {
        if let Some(list) = &mut self.list {
            list.flush().map_err(|error| unwritten(&error))?;
        }
        if stderr().is_terminal() {
            let _ = writeln!(stderr());
        }
        let bad: Vec<_> =
            self.bad.iter().map(|(why, it)| json!({ "why": why, "rows": it.rows, "lines": it.lines })).collect();
        let document = json!({
            "applied": import.apply, "rows": self.rows, "new": self.new, "changed": self.changed,
            "already_there": self.known, "ignored": self.ignored, "bad": bad, "rows_per_second": self.pace(elapsed),
        });
        let new: u64 = self.new.values().sum();
        let ignored: u64 = self.ignored.values().sum();
        let counts = [
            ("rows", self.rows),
            ("new", new),
            ("changed", self.changed),
            ("already there", self.known),
            ("ignored", ignored),
            ("bad", self.bad_rows()),
            ("rows per second", self.pace(elapsed)),
        ];
        let mut blocks =
            vec![section(&import.file.display().to_string(), counts.map(|(name, it)| (name, it.to_string())))];
        let of = |counts: &BTreeMap<String, u64>| {
            let each: Vec<_> = counts.iter().map(|(what, rows)| (rows.to_string(), what.clone())).collect();
            each
        };
        blocks.extend((new > 0).then(|| section("new", of(&self.new))));
        blocks.extend((ignored > 0).then(|| section("ignored", of(&self.ignored))));
        let listed = self.bad.iter().map(|(why, it)| {
            let lines = it.lines.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let more = if it.rows > it.lines.len() as u64 { ", …" } else { "" };
            (it.rows.to_string(), format!("{why}: line {lines}{more}"))
        });
        blocks.extend((!self.bad.is_empty()).then(|| section("bad", listed)));
        blocks.push(if import.apply {
            "Each row was stored once: the same command again changes nothing.".into()
        } else {
            "Nothing was stored: run it with --apply to import these rows.".into()
        });
        Ok(Answer::new(document, &blocks.join("\n")))
    }
}

fn in_words(becomes: &Becomes) -> String {
    match becomes {
        Becomes::Queued => "queued".into(),
        Becomes::TooOld => "too old to count at any platform".into(),
        Becomes::Skipped(reason) => skip_reason(*reason).to_string(),
        Becomes::AwaitingLead => "waits for its lead".into(),
        Becomes::NamesNobody => "has no click, e-mail or phone to find its lead by".into(),
        Becomes::End => "a loss, a deletion or a merge".into(),
    }
}

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::Message(format!("The list of bad rows can't be written ({error}): name another file."))
}
