//! Everything two of Adtrail's functions need. `docs/architecture.md` walks through it.

pub mod app;
pub mod attribution;
mod aws;
pub mod breaker;
pub mod clock;
pub mod config;
pub mod consent;
pub mod conversions;
pub mod crm;
pub mod db;
pub mod events;
pub mod health;
pub mod http;
pub mod identity;
pub mod inbox;
pub mod intake;
pub mod lambda;
pub mod leads;
pub mod lost_deals;
pub mod money;
pub mod platforms;
pub mod queue;
pub mod visitors;

pub use app::App;
