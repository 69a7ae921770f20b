//! `adtrail`, the operator's command line: try declarations of sources before a CRM uses them, and see and mend what is in
//! the inbox. `docs/operator.md` shows every command.

mod answer;
mod arguments;
mod crm;
mod failure;
mod inbox;
mod setting;
mod table;

use std::io::{ErrorKind, Write};

use clap::Parser as _;
use shared::settings::{ConfigError, Values};

pub use failure::Failure;

use arguments::{Arguments, Command, CrmCommand, InboxCommand};

/// Runs one command: the arguments are those of the process, its name first; the answer is written to `out`, with `--json`
/// as exactly one document. The settings are asked for only when a command needs them: help does without.
///
/// # Errors
/// What goes to standard error, and how the process ends.
pub async fn run(
    arguments: impl IntoIterator<Item = String>,
    values: impl Future<Output = Result<Values, ConfigError>>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Arguments { json, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(asked_for) if !asked_for.use_stderr() => return written(write!(out, "{asked_for}")),
        Err(error) => return Err(Failure::Usage(error)),
    };
    let values = &values.await?;
    let answer = match command {
        Command::Crm(CrmCommand::Sources { ready }) => crm::sources(values, ready).await?,
        Command::Crm(CrmCommand::Test(test)) => crm::test(values, &test).await?,
        Command::Crm(CrmCommand::Sign(sign)) => crm::sign(values, &sign)?,
        Command::Inbox(InboxCommand::List { states, limit }) => inbox::list(values, &states, limit).await?,
        Command::Inbox(InboxCommand::Show { name }) => inbox::show(values, &name).await?,
        Command::Inbox(InboxCommand::Attach { name, lead_id }) => inbox::attach(values, &name, lead_id).await?,
        Command::Inbox(InboxCommand::Retry { name }) => inbox::retry(values, &name).await?,
    };
    written(if json { writeln!(out, "{:#}", answer.document) } else { writeln!(out, "{}", answer.text.trim_end()) })?;
    answer.problem.map_or(Ok(()), |problem| Err(Failure::Said(problem)))
}

fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::Said(format!("The answer can't be written: {error}."))),
    }
}
