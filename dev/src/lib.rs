//! Adtrail on one machine: every endpoint, the schedule, and sandboxes of Google and of CRMs. Never deployed.

pub mod bench;
pub mod crm;
pub mod demo;
mod demo_site;
pub mod functions;
mod gateway;
pub mod lambda_runtime;
mod localhost;
pub mod rows;
pub mod server;
pub mod settings;
pub mod trail;
