//! What can be asked for.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use shared::inbox::listing::State;
use uuid::Uuid;

/// Adtrail's command line: try the declaration of a CRM before the CRM uses it, and see and mend what is in the inbox.
///
/// Settings come from the environment, and from the secret that ADTRAIL_SECRET_ID names when it is set: the same settings as
/// the functions have. Without DATABASE_URL the crm commands still do what needs no database.
#[derive(Debug, Parser)]
#[command(name = "adtrail", version)]
pub(crate) struct Arguments {
    /// One JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What CRMs send: sources, dry runs, signed requests
    #[command(subcommand)]
    Crm(CrmCommand),
    /// What CRMs sent: deals that found their lead or wait for it, and events that never became a deal
    #[command(subcommand)]
    Inbox(InboxCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrmCommand {
    /// Lists the sources declared in CRM_SOURCES
    ///
    /// For each: its path, how it authenticates and by which settings, whether the CRM is asked for what its webhooks leave
    /// out, and its rules. With a database also what came in the last seven days. No secret is shown.
    #[command(after_help = "Example:\n  adtrail crm sources")]
    Sources {
        /// The ready declarations instead, which a source can start from with ready = "NAME"
        #[arg(long)]
        ready: bool,
    },
    /// Says what would become of a webhook, and stores nothing
    ///
    /// Checks the signature, reads each item by the declaration of the source, looks for the lead, and shows what would be
    /// queued for which platform and when. All of it happens in one transaction that is rolled back. Addresses in the file
    /// are shown.
    ///
    /// Ends with 1 when nothing in the body can be used, or when the headers that were given don't verify.
    #[command(after_help = "Examples:
  adtrail crm test acme deal.json
  adtrail crm test hubspot-app events.json --fetched answer.json
  adtrail crm test acme deal.json -H 'x-signature: sha256=...' --at 2026-11-20T12:00:00Z")]
    Test(Test),
    /// Prints a curl command that sends a webhook as the CRM would, signed with the current secret
    ///
    /// Signatures are printed. Where the CRM sends the secret itself (bearer, basic, header, url), the secret is printed: it
    /// belongs in no ticket and in no chat.
    #[command(after_help = "Examples:
  adtrail crm sign acme deal.json
  adtrail crm sign hubspot-app --url https://crm.example.com/api/webhooks/hubspot-app | sh")]
    Sign(Sign),
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// A source of CRM_SOURCES, or a ready declaration as it is
    pub source: String,
    /// The body; - for standard input
    pub file: PathBuf,
    /// A header as it came with the body, as often as needed; without any, the body is signed here
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    #[command(flatten)]
    pub call: Call,
    /// What the CRM answered, in JSON: it is put into each item at /fetched
    #[arg(long, value_name = "FILE")]
    pub fetched: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// A source of CRM_SOURCES, or a ready declaration as it is
    pub source: String,
    /// The body; - for standard input; without it, the sample of the ready declaration
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub call: Call,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The URL that is called [default: http://localhost:8080/api/webhooks/<SOURCE>]
    #[arg(long)]
    pub url: Option<String>,
    /// When it is called, as 2026-11-20T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<DateTime<Utc>>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InboxCommand {
    /// Lists what came last
    ///
    /// received: the CRM is being asked for what it left out. matched: a deal that found its lead. unmatched: a deal that
    /// waits for its lead. ignored: it means nothing to us. rejected: it can't be used. expired: it waited 90 days in vain.
    #[command(after_help = "Example:\n  adtrail inbox list --state unmatched --state rejected --limit 20")]
    List {
        /// Only what is in this state; may be given several times
        #[arg(long = "state", value_name = "STATE", value_parser = state())]
        states: Vec<State>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Shows all that is known of a deal or an event, the bodies as they came included
    #[command(after_help = "Example:\n  adtrail inbox show D-1042")]
    Show {
        /// The id that inbox list shows, or the CRM's id of the deal
        #[arg(value_name = "ID")]
        name: String,
    },
    /// Says whose deal it is, whatever the CRM says, and matches it at once
    #[command(after_help = "Example:\n  adtrail inbox attach D-1042 0b0f7a34-3c7e-4f5a-9d2e-8c1f6f1f2a11")]
    Attach {
        /// The id that inbox list shows, or the CRM's id of the deal
        #[arg(value_name = "ID")]
        name: String,
        /// The lead's id in the table leads
        lead_id: Uuid,
    },
    /// Looks at it again
    ///
    /// An event is read by the declaration as it is now, and the CRM is asked for what is missing. A deal is matched again,
    /// and one that has expired waits another 90 days.
    #[command(after_help = "Example:\n  adtrail inbox retry D-1042")]
    Retry {
        /// The id that inbox list shows, or the CRM's id of the deal
        #[arg(value_name = "ID")]
        name: String,
    },
}

fn state() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::as_str))
        .try_map(|name| State::ALL.into_iter().find(|state| state.as_str() == name).ok_or("is no state"))
}
