//! Everything two of Adtrail's functions need. `docs/architecture.md` walks through it.
//!
//! A module uses its own layer and those above it, never those below. `tests/layers.rs` holds it to that.

// Ground: what knows nothing of deals.
pub mod clock; // the time, injected
pub mod money; // a value and its currency
pub mod db; // the only way to a statement
mod aws; // the SDK's configuration
pub mod outgoing; // how we call others
pub mod identity; // e-mail, phone and their hashes
pub mod attribution; // clicks and UTMs

// Vocabulary: the words that everything below uses.
pub mod consent; // in three values
pub mod settings; // by name, from the environment and the secret
pub mod deals; // what a CRM reports

// The website.
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
pub mod conversions; // deals that count, and what corrects them

// The shell: what brings the rest together.
pub mod config; // what the settings mean together
pub mod app; // what a function has at hand
pub mod queue; // which platform is to be told what
pub mod health; // is everything on its way?
pub mod intake; // from a webhook to its outcome
pub mod lambda; // from the Lambda runtime into a handler

pub use app::App;
