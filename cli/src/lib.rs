//! `adtrail`, the operator's command line: tests declarations of sources before a CRM uses them, and inspects and
//! repairs the inbox. `docs/operator.md` shows every command.

mod answer;
mod app;
mod arguments;
mod aws_problem;
mod body;
mod crm;
mod destinations;
mod doctor;
mod explain;
mod failure;
mod import;
mod inbox;
mod lead;
mod migrate;
mod setup;
mod spool;
mod stack;
mod table;
mod terminal;
mod visible;

use std::io::{ErrorKind, Write};

use clap::Parser as _;
use shared::inbox::listing::Filter;
use shared::settings::{ConfigError, Values};

pub use failure::Failure;
pub use setup::parameter;

use arguments::{
    Arguments, Command, CrmCommand, DestinationsCommand, Doctor, DoctorCommand, ImportCommand, InboxCommand,
    LeadCommand, SpoolCommand,
};

/// Runs one command. The arguments are those of the process, starting with its name; the answer is written to `out`,
/// with `--json` as exactly one document. The settings are read only if a command needs them: help does not.
///
/// # Errors
/// The text for standard error and the exit code.
pub async fn run(
    arguments: impl IntoIterator<Item = String>,
    values: impl Future<Output = Result<Values, ConfigError>>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Arguments { json, stack, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help) if !help.use_stderr() => return written(write!(out, "{help}")),
        Err(error) => return Err(Failure::Usage(error)),
    };
    let (mut read, mut base) = (Ok(Values::new()), None);
    match (&command, &stack) {
        // One makes the secret that the others read, the other looks from outside.
        (Command::Setup(_) | Command::Doctor(Doctor { command: Some(_), .. }), None) => {}
        (Command::Setup(_), Some(_)) => {
            return Err(without_stack(
                "--stack isn't for setup, which writes what a stack is made with: leave it out.\n",
            ));
        }
        (Command::Doctor(Doctor { command: Some(_), .. }), Some(_)) => {
            return Err(without_stack("--stack isn't for this: it needs only the addresses. Leave it out.\n"));
        }
        // It looks at the stack itself, whatever is wrong with it.
        (Command::Doctor(_), _) | (_, None) => read = values.await,
        (_, Some(name)) => {
            let (stack, values) = Box::pin(stack::deployed(name, values.await?)).await?;
            (read, base) = (Ok(values), stack.base_url().map(str::to_owned));
        }
    }
    let values = || read.as_ref().map_err(|error| Failure::Message(error.to_string()));
    let base = base.as_deref();
    let answer = match command {
        Command::Doctor(Doctor { command: Some(DoctorCommand::Site { url, tag }), .. }) => {
            Box::pin(doctor::site(&url, tag.as_deref())).await
        }
        Command::Doctor(Doctor { command: Some(DoctorCommand::Cookie { site, api }), .. }) => {
            Box::pin(doctor::cookie(&site, &api)).await
        }
        // It says itself what is wrong with the settings.
        Command::Doctor(arguments) => Box::pin(doctor::doctor(read, stack.as_deref(), &arguments)).await,
        Command::Crm(CrmCommand::Sources { presets }) => crm::sources(values()?, base, presets).await?,
        Command::Crm(CrmCommand::Test(test)) => crm::test(values()?, base, &test).await?,
        Command::Crm(CrmCommand::Sign(sign)) => crm::sign(values()?, base, &sign)?,
        Command::Inbox(InboxCommand::List { states, site, limit }) => {
            let site = site.map(|host| host.to_ascii_lowercase());
            inbox::list(values()?, &Filter { states, site, limit }).await?
        }
        Command::Inbox(InboxCommand::Show { name }) => inbox::show(values()?, &name).await?,
        Command::Inbox(InboxCommand::Attach { name, lead_id }) => inbox::attach(values()?, &name, lead_id).await?,
        Command::Inbox(InboxCommand::Retry { name, body }) => inbox::retry(values()?, &name, body.as_deref()).await?,
        Command::Import(ImportCommand::Deals(import)) => import::deals(values()?, &import).await?,
        Command::Destinations { command: None } => destinations::list(values()?).await?,
        Command::Destinations { command: Some(DestinationsCommand::Test { deal, event: Some(event), .. }) } => {
            destinations::test_event(values()?, &deal, &event)?
        }
        Command::Destinations { command: Some(DestinationsCommand::Test { deal, source, fetched, event: None }) } => {
            destinations::test(values()?, &deal, &source, fetched.as_deref()).await?
        }
        Command::Destinations { command: Some(DestinationsCommand::Backfill { dry_run }) } => {
            destinations::backfill(values()?, dry_run).await?
        }
        Command::Destinations { command: Some(DestinationsCommand::Rename { from, to }) } => {
            destinations::rename(values()?, &from, &to).await?
        }
        Command::Spool { command: None } => spool::list(values()?).await?,
        Command::Spool { command: Some(SpoolCommand::Show { id }) } => spool::show(values()?, &id).await?,
        Command::Spool { command: Some(SpoolCommand::Retry { id, all: _ }) } => {
            spool::retry(values()?, id.as_deref()).await?
        }
        Command::Spool { command: Some(SpoolCommand::Discard { id, all: _, yes }) } => match id {
            Some(id) => spool::discard(values()?, &id).await?,
            None => spool::discard_all(values()?, yes).await?,
        },
        Command::Migrate { yes, dry_run } => migrate::migrate(values()?, yes, dry_run).await?,
        Command::Explain { deal } => explain::explain(values()?, &deal).await?,
        Command::Lead(LeadCommand::Consent { lead_id, answer }) => lead::consent(values()?, lead_id, answer).await?,
        Command::Setup(arguments) => setup::setup(&arguments).await?,
    };
    let document = || visible::json(&format!("{:#}", answer.document));
    written(if json { writeln!(out, "{}", document()) } else { writeln!(out, "{}", answer.text.trim_end()) })?;
    answer.problem.map_or(Ok(()), |problem| Err(Failure::Message(problem)))
}

fn without_stack(problem: &str) -> Failure {
    Failure::Usage(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, problem))
}

fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        // The reader has closed the pipe, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::Message(format!("The answer can't be written: {error}."))),
    }
}
