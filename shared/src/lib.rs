//! Everything two of Adtrail's functions need. `docs/architecture.md` walks through it.
//!
//! A module uses only the modules on the lines above its own, never those below. `tests/layers.rs` checks it.

// Ground: what knows nothing of deals.
pub mod absent; // words that stand for nothing
pub mod clock; // the time, injected
pub mod encoding; // bytes as a text
pub mod json_pointer; // a name as a part of one
pub mod invisible; // characters that nobody sees
pub mod money; // a value and its currency
pub mod identity; // e-mail, phone and their hashes
pub mod db; // the only way to a statement
pub mod aws; // the SDK's configuration
mod texts; // makes texts of other systems safe to store
pub mod outgoing; // how we call others
pub mod metrics; // numbers for CloudWatch
pub mod attribution; // clicks and UTMs

// Vocabulary: the words that everything below uses.
pub mod consent; // in three values
pub mod warning; // what was accepted and can't be used fully
pub mod settings; // by name, from the environment and the secret
pub mod declarations; // what operators declare in TOML
pub mod deals; // what a CRM reports

// The website.
pub mod rate_limits; // how often anybody may call
pub mod bots; // is it a person who calls?
pub mod visitors; // browsers that came by
pub mod locks; // on persons and deals
pub mod leads; // people who filled in a form
pub mod events; // what happened on a page

// The CRM.
pub mod inbox; // every deal that was reported
pub mod http; // from a request to an answer
pub mod crm; // how sources are declared, proved and read

// Delivery.
pub mod platforms; // the ad platforms, each in a folder
pub mod analytics; // where the website's events are sent
pub mod conversions; // deals that count, and what corrects them

// The shell: what brings the rest together.
pub mod config; // what the settings mean together
pub mod queue; // what is sent to which platform, and when
pub mod outcomes; // what became of every deal
pub mod event_queue; // events that wait to be sent to analytics
pub mod event_delivery; // sends them
pub mod health; // is everything on its way?
pub mod intake; // from a webhook to its outcome
pub mod forms; // from a form to its lead
pub mod lead_sources; // forms of others, and Google's lead forms
pub mod spool; // what waits in SQS while Postgres is away
pub mod app; // what a function has at hand
pub mod lambda; // from the Lambda runtime into a handler

pub use app::App;
