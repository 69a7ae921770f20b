//! The commands and their arguments.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use shared::consent::{Consent, ConsentStatus};
use shared::inbox::listing::ListedState;
use uuid::Uuid;

/// Adtrail's command line: sets up a deployment, tests declarations of CRMs and destinations before they go live, and
/// inspects and repairs the inbox
///
/// Settings are the same that the functions use. With --stack they are those of the deployed stack: its secret and its
/// parameters. Without, they come from the environment and, if ADTRAIL_SECRET_ID is set, from that secret, which has
/// no parameters. What is set in the environment goes first. Without DATABASE_URL the crm commands do everything that
/// needs no database, and destinations lists what is declared.
#[derive(Debug, Parser)]
#[command(name = "adtrail", version)]
pub(crate) struct Arguments {
    /// Prints one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Takes the settings of this deployed stack, in the region of AWS_REGION
    #[arg(long, global = true, value_name = "NAME")]
    pub stack: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists CRM sources, tests webhooks and signs them
    #[command(subcommand)]
    Crm(CrmCommand),
    /// Lists, shows and repairs received deals and events
    #[command(subcommand)]
    Inbox(InboxCommand),
    /// Imports deals of the past from a CSV file
    #[command(subcommand)]
    Import(ImportCommand),
    /// Says what became of a deal, in one sentence for each stage that it reached
    ///
    /// Whether it counts, or what it waits for and until when, or why it isn't sent, or what the platform refused. Of
    /// several destinations the one that got furthest decides. What the CRM sent is shown by `adtrail inbox show`.
    #[command(after_help = "Examples:
  adtrail explain D-1042
  adtrail explain D-1042 --json")]
    Explain {
        /// Id of the deal, as the CRM calls it
        deal: String,
    },
    /// Records the consent of a lead
    #[command(subcommand)]
    Lead(LeadCommand),
    /// Lists where conversions go, tests what would be sent of a deal, and queues earlier conversions
    ///
    /// Without a subcommand it lists each destination, in the order in which they are asked: its account, the
    /// conversions it is for (when), where each stage goes, how long conversions count, and its corrections.
    /// Destinations are declared in DESTINATIONS, or one by the settings of its platform (GOOGLE_ADS_…). With a
    /// database also the rows that are not sent yet, and why a lane is paused. No secret is shown.
    #[command(after_help = "Examples:
  adtrail destinations --stack adtrail
  DESTINATIONS=destinations.toml adtrail destinations")]
    Destinations {
        #[command(subcommand)]
        command: Option<DestinationsCommand>,
    },
    /// Makes everything that `make deploy` needs: the schema, the secret, and the parameters in samconfig.toml
    ///
    /// Asks for the database, the website, the ad account, what unknown consent means, and where alarms are sent. What
    /// a flag or the file of --answers says isn't asked, and neither is what was set up before. Each answer is checked,
    /// the database by one login. Then it shows what it is going to change, and asks.
    ///
    /// The keys IP_HASH_KEY, WEBHOOK_SECRET and HEALTH_KEY are made if they are missing; existing ones stay. Run again,
    /// it changes only what is answered differently, and goes on where an earlier run ended. The database's connection
    /// string is never an argument, which would stand in the shell's history: it is DATABASE_URL in the environment,
    /// database_url in the file, or typed without being shown.
    ///
    /// Run it in the root of the checkout. AWS credentials and region are those of the AWS CLI.
    #[command(after_help = "Examples:
  adtrail setup
  adtrail setup --answers answers.toml --dry-run
  adtrail setup --origins https://www.example.com,https://shop.example.com
  adtrail setup --answers answers.toml --yes --secret-file secret.json")]
    Setup(Box<Setup>),
    /// Counts what waits in the spool, and lists, shows, retries and discards its dead letters
    ///
    /// The spool takes verified webhooks and valid leads while the database can't be reached, and the function
    /// drain-spool stores them when it is back. What can never be stored becomes a dead letter, with the reason; it is
    /// kept for 14 days. Without a subcommand it counts both, and lists the dead letters without what is in them.
    ///
    /// The queues are those of --stack, or of SPOOL_QUEUE_URL and SPOOL_DEAD_LETTERS_URL. AWS credentials and region
    /// come from the environment.
    #[command(after_help = "Examples:
  adtrail spool --stack adtrail
  adtrail spool retry --all --stack adtrail
  adtrail spool discard --all --stack adtrail")]
    Spool {
        #[command(subcommand)]
        command: Option<SpoolCommand>,
    },
    /// Checks a deployment and says what to do about everything that is wrong
    ///
    /// Settings, database, schema and its rights, clock, destinations (by requests that Google only validates), the API
    /// with its webhooks and CORS, cookies, the site's redirects, the schedule, the stack and its alarms. Each check
    /// runs by itself; nothing is stored or sent. The stack and its alarms are checked only with --stack, for which AWS
    /// credentials are needed. The subcommands look at a website from outside, and need no settings.
    ///
    /// Exits with 1 if there is an error, with 0 if there are only warnings.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:
  adtrail doctor --stack adtrail --site https://www.example.com
  adtrail doctor --url https://api.example.com --json
  ADTRAIL_SECRET_ID=adtrail adtrail doctor
  adtrail doctor site https://www.example.com/landing
  adtrail doctor cookie www.example.com api.example.com"
    )]
    Doctor(Doctor),
    /// Brings the schema of the database up to date
    ///
    /// Lists the migrations that are missing and asks before it applies them. Refuses a schema that is newer than this
    /// adtrail, and one that another tool has made: each keeps its own record of what has run. The database is that of
    /// MIGRATIONS_DATABASE_URL, else that of DATABASE_URL; at Supabase the session port 5432 is used instead of 6543.
    #[command(after_help = "Examples:
  adtrail migrate --dry-run
  adtrail migrate --stack adtrail
  adtrail migrate --yes")]
    Migrate {
        /// Applies them without asking
        #[arg(long)]
        yes: bool,
        /// Lists them and applies nothing
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// TOML file with the answers, as in docs/deploy.md
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// The website: its origins, such as https://www.example.com, separated by commas
    #[arg(long)]
    origins: Option<String>,
    /// The Google Ads account, such as 123-456-7890; empty for later
    #[arg(long, value_name = "ID")]
    google_ads_account: Option<String>,
    /// The number of the conversion action for closed deals; empty for later
    #[arg(long, value_name = "NUMBER")]
    google_ads_action_closed: Option<String>,
    /// File with the key of a service account, or with what gcloud writes for Workload Identity Federation
    #[arg(long, value_name = "FILE")]
    google_ads_credentials: Option<String>,
    /// What happens to conversions of people who were not asked for consent: hold or send
    #[arg(long, value_name = "hold|send")]
    unknown_consent: Option<String>,
    /// Who gets the alarms
    #[arg(long, value_name = "ADDRESS")]
    alarm_email: Option<String>,
    /// The country of phone numbers without a country code, such as DE
    #[arg(long, value_name = "COUNTRY")]
    phone_region: Option<String>,
    /// The domain of the cookies, if several hosts of the site share visitors
    #[arg(long, value_name = "DOMAIN")]
    cookie_domain: Option<String>,
    /// Name or ARN of the secret [default: SecretArn in samconfig.toml, else adtrail]
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Writes the secret into this file, which only its owner may read, instead of AWS Secrets Manager
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Does it without asking
    #[arg(long)]
    pub yes: bool,
    /// Shows what it would change
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

impl Setup {
    /// The answers, by their keys in the file.
    pub(crate) fn flags(&self) -> [(&'static str, Option<&str>); 9] {
        [
            ("origins", self.origins.as_deref()),
            ("google_ads_account", self.google_ads_account.as_deref()),
            ("google_ads_action_closed", self.google_ads_action_closed.as_deref()),
            ("google_ads_credentials", self.google_ads_credentials.as_deref()),
            ("unknown_consent", self.unknown_consent.as_deref()),
            ("alarm_email", self.alarm_email.as_deref()),
            ("phone_region", self.phone_region.as_deref()),
            ("cookie_domain", self.cookie_domain.as_deref()),
            ("secret", self.secret.as_deref()),
        ]
    }
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Address of the API, the stack's output BaseUrl [default: that of --stack]
    #[arg(long)]
    pub url: Option<String>,
    /// Address of a page of the website that ads lead to
    #[arg(long, value_name = "URL")]
    pub site: Option<String>,
    /// How often the uploader runs, in minutes; --stack knows
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=1440))]
    pub upload_every: u16,
    #[command(subcommand)]
    pub command: Option<DoctorCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Looks at a page as a visitor's browser does: is the tag on it, and does everything let it work?
    ///
    /// Redirects keep the click ids; the tag is on the page, once; its file is the tag; the integrity attribute and the
    /// content security policy let it run and send; the endpoints beside it answer; Safari keeps the cookie; the page
    /// says what the visitor consented to. Nothing is stored. What a tag manager adds isn't in the HTML and can't be
    /// seen: --tag says where that tag is.
    #[command(after_help = "Examples:
  adtrail doctor site https://www.example.com/landing
  adtrail doctor site www.example.com --tag https://www.example.com/t.js --json")]
    Site {
        /// Address of a page of the website that ads lead to
        url: String,
        /// Address of the tag, if a tag manager or another script puts it on the page
        #[arg(long, value_name = "URL")]
        tag: Option<String>,
    },
    /// Says how many days Safari keeps the visitor's cookie, why, and how to make it more
    ///
    /// By WebKit's rule for pages of SITE that call API: on the site's own host it is kept 400 days, on another host of
    /// the site usually 7, and on another site browsers drop it. Asks DNS, and the site once, to see who serves it.
    #[command(after_help = "Examples:
  adtrail doctor cookie www.example.com api.example.com
  adtrail doctor cookie https://www.example.com https://www.example.com/t --json")]
    Cookie {
        /// Host of the website, or an address on it
        site: String,
        /// Host of the tag or the API, or an address on it
        api: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DestinationsCommand {
    /// Shows which destination would get a conversion and when, why the others don't, and the exact request body
    ///
    /// Everything runs in one transaction that is rolled back, and nothing is sent. A deal that waits for its lead is
    /// matched as if the uploader ran now. Of several Google Ads accounts one gets the conversion. The request is the
    /// one that would be sent when the conversion is due, if it is sent alone; hashed addresses are in it.
    ///
    /// With --event it shows what a destination of events, such as a stream of Google Analytics, would be sent of an
    /// event of the website.
    #[command(after_help = "Examples:
  adtrail destinations test D-1042
  adtrail destinations test deal.json --source acme
  adtrail destinations test ga4 --event event.json")]
    Test {
        /// Id shown by inbox list, or the CRM's id of the deal, or a file with a webhook's body; - for standard input
        #[arg(value_name = "DEAL|FILE")]
        deal: String,
        /// File with a body of POST /api/track/event; then DEAL is the name of a destination of events
        #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "fetched"])]
        event: Option<PathBuf>,
        /// The source that sends the body in the file
        #[arg(long, default_value = shared::crm::DEFAULT)]
        source: String,
        /// File with the CRM's answer as JSON, which is added to each item at /fetched
        #[arg(long, value_name = "FILE")]
        fetched: Option<PathBuf>,
    },
    /// Queues earlier conversions for destinations that were declared or changed since
    ///
    /// Conversions of the last 90 days are queued for destinations that accept them now, once each, as long as they
    /// still count there. What one Google Ads account has isn't queued for another one. The uploader does the same in
    /// each run, as far as its time allows; this command goes through all of them.
    #[command(after_help = "Example:\n  adtrail destinations backfill --dry-run")]
    Backfill {
        /// Counts what would be queued and stores nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Gives the rows of a destination that is no longer declared to another one
    ///
    /// Rename or remove a destination in DESTINATIONS and deploy that first. What is open is then sent to the other
    /// destination's account, and what was sent is corrected in the account that has it.
    #[command(after_help = "Example:\n  adtrail destinations rename google_ads_fr france")]
    Rename {
        /// Name that is no longer declared
        from: String,
        /// Name of a declared destination of the same platform
        to: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpoolCommand {
    /// Shows a dead letter with the body that was received
    Show {
        /// Id shown by adtrail spool
        id: String,
    },
    /// Sends dead letters to the spool again, to be stored as if they had just been received
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Retry {
        /// Id shown by adtrail spool
        #[arg(group = "which")]
        id: Option<String>,
        /// All of them
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Deletes dead letters: what was received is then nowhere
    ///
    /// With --all it asks before it deletes them.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Discard {
        /// Id shown by adtrail spool
        #[arg(group = "which")]
        id: Option<String>,
        /// All of them
        #[arg(long, group = "which")]
        all: bool,
        /// Deletes all without asking
        #[arg(long, conflicts_with = "id")]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CrmCommand {
    /// Lists the sources declared in CRM_SOURCES
    ///
    /// For each: its path (with --stack its URL), its authentication schemes with their settings, whether missing
    /// fields are fetched from the CRM, and its rules. With a database also the events of the last seven days. No
    /// secret is shown.
    #[command(after_help = "Example:\n  adtrail crm sources --stack adtrail")]
    Sources {
        /// Lists the presets instead; a source starts from one with preset = "NAME"
        #[arg(long, alias = "ready")]
        presets: bool,
    },
    /// Tests a webhook without storing anything
    ///
    /// Verifies the signature, reads each item by the declaration of the source, looks for the lead, and shows what
    /// would be queued for which platform and when. Everything runs in one transaction that is rolled back. Addresses
    /// in the file are shown.
    ///
    /// Exits with 1 if no item of the body is valid, or if the given headers fail verification.
    #[command(after_help = "Examples:
  adtrail crm test acme deal.json
  adtrail crm test hubspot-app events.json --fetched answer.json
  adtrail crm test acme deal.json -H 'x-signature: sha256=...' --at 2026-11-20T12:00:00Z")]
    Test(Test),
    /// Prints a curl command that sends a webhook as the CRM would, signed with the current secret
    ///
    /// The signature is printed. If the CRM sends the secret itself (bearer, basic, header, url), the secret is
    /// printed: keep it out of tickets and chats.
    #[command(after_help = "Examples:
  adtrail crm sign acme deal.json
  adtrail crm sign acme deal.json --stack adtrail | sh
  adtrail crm sign hubspot-app --url https://crm.example.com/api/webhooks/hubspot-app | sh")]
    Sign(Sign),
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// A source declared in CRM_SOURCES, or the name of a preset
    pub source: String,
    /// File with the body; - for standard input
    pub file: PathBuf,
    /// A header received with the body; repeatable. Without any, the body is signed here
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    #[command(flatten)]
    pub call: Call,
    /// File with the CRM's answer as JSON, which is added to each item at /fetched
    #[arg(long, value_name = "FILE")]
    pub fetched: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// A source declared in CRM_SOURCES, or the name of a preset
    pub source: String,
    /// File with the body; - for standard input [default: the sample of the preset]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub call: Call,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// URL of the request [default: /api/webhooks/<SOURCE> at --stack, else at http://localhost:8080]
    #[arg(long)]
    pub url: Option<String>,
    /// Time of the request, such as 2026-11-20T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<DateTime<Utc>>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InboxCommand {
    /// Lists the newest deals and events
    ///
    /// received: an event whose missing fields are fetched from the CRM. matched: a deal whose lead was found.
    /// awaiting_lead: a deal whose lead was not found yet. ignored: an event that calls for no action. rejected: an
    /// event with invalid fields. expired: a deal or event that was not completed within 90 days.
    #[command(
        after_help = "Example:\n  adtrail inbox list --stack adtrail --state awaiting_lead --state rejected --limit 20"
    )]
    List {
        /// Only entries in this state; repeatable
        #[arg(long = "state", value_name = "STATE", value_parser = state())]
        states: Vec<ListedState>,
        /// Only deals whose lead came from this site, such as www.example.com
        #[arg(long, value_name = "HOST")]
        site: Option<String>,
        /// Maximum number of entries
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Shows everything stored about a deal or an event, including the bodies as received
    #[command(after_help = "Example:\n  adtrail inbox show D-1042 --stack adtrail")]
    Show {
        /// Id shown by inbox list, or the CRM's id of the deal
        #[arg(value_name = "ID")]
        name: String,
    },
    /// Assigns a deal to a lead and matches it
    ///
    /// Overrides the lead that the CRM names. A deal that is already matched gets the other lead, as long as no
    /// platform may have received its conversion.
    #[command(after_help = "Example:\n  adtrail inbox attach D-1042 0b0f7a34-3c7e-4f5a-9d2e-8c1f6f1f2a11")]
    Attach {
        /// Id shown by inbox list, or the CRM's id of the deal
        #[arg(value_name = "ID")]
        name: String,
        /// Id of the lead in the table leads
        #[arg(value_parser = lead_id)]
        lead_id: Uuid,
    },
    /// Re-reads an event or re-matches a deal
    ///
    /// An event is read by the current declaration, and missing fields are fetched from the CRM. A deal is read again
    /// with all its events and matched again; an expired one waits another 90 days.
    #[command(after_help = "Examples:\n  adtrail inbox retry D-1042 --stack adtrail\n  adtrail inbox retry \
                      7d0c3f1e-5a2b-4c8d-9e6f-1a2b3c4d5e6f --body mended.json")]
    Retry {
        /// Id shown by inbox list, or the CRM's id of the deal
        #[arg(value_name = "ID")]
        name: String,
        /// File with the whole body as the CRM should have sent it, which is read instead; - for standard input
        #[arg(long, value_name = "FILE")]
        body: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Reads the deals of a file as if its CRM reported them now, and counts what they are or would be
    ///
    /// The mapping is a declaration as in docs/crm.md, without what only webhooks have: it says which columns the
    /// fields are in and what the stages mean. Without --apply nothing is stored. Rows are stored in batches, each
    /// once: run the same command again after it was interrupted. Bad rows are listed with their lines, and the others
    /// are imported. UTF-8, UTF-16 and Windows-1252 are read, with commas, semicolons, tabs or bars.
    #[command(after_help = "Examples:
  adtrail import deals deals.csv --mapping history.toml
  adtrail import deals deals.csv --mapping history.toml --bad-rows bad.csv --apply")]
    Deals(Import),
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// CSV file whose first line names the columns
    pub file: PathBuf,
    /// TOML file that says which columns the fields are in
    #[arg(long, value_name = "FILE")]
    pub mapping: PathBuf,
    /// Stores them
    #[arg(long)]
    pub apply: bool,
    /// Writes every row that can't be read into this CSV file, with its line and why
    #[arg(long, value_name = "FILE")]
    pub bad_rows: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeadCommand {
    /// Records what a lead told you about consent to advertising
    ///
    /// It is kept as a statement of now. A denial stops what was not sent yet. A grant counts against every earlier
    /// denial of the person, in whatever form or browser that was given.
    #[command(after_help = "Examples:
  adtrail lead consent 0b0f7a34-3c7e-4f5a-9d2e-8c1f6f1f2a11 denied
  adtrail lead consent 0b0f7a34-3c7e-4f5a-9d2e-8c1f6f1f2a11 granted --purpose ad_user_data")]
    Consent {
        /// Id of the lead in the table leads
        lead_id: Uuid,
        #[command(flatten)]
        answer: LeadAnswer,
    },
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LeadAnswer {
    /// What the lead says
    #[arg(value_enum)]
    answer: Said,
    /// Only for this purpose [default: both]
    #[arg(long, value_enum)]
    purpose: Option<Purpose>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Said {
    Granted,
    Denied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Purpose {
    AdUserData,
    AdPersonalization,
}

impl From<LeadAnswer> for Consent {
    fn from(LeadAnswer { answer, purpose }: LeadAnswer) -> Self {
        let status = match answer {
            Said::Granted => ConsentStatus::Granted,
            Said::Denied => ConsentStatus::Denied,
        };
        let to = |other| if purpose == Some(other) { ConsentStatus::Unknown } else { status };
        Self { ad_user_data: to(Purpose::AdPersonalization), ad_personalization: to(Purpose::AdUserData) }
    }
}

fn state() -> impl TypedValueParser<Value = ListedState> {
    PossibleValuesParser::new(ListedState::ALL.map(ListedState::as_str))
        .try_map(|name| ListedState::ALL.into_iter().find(|state| state.as_str() == name).ok_or("unknown state"))
}

fn lead_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "must be the id of a lead, a UUID such as 0b0f7a34-3c7e-4f5a-9d2e-8c1f6f1f2a11")
}

#[cfg(test)]
mod tests;
