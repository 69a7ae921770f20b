//! Adtrail on one machine: every endpoint, the schedule, and a sandbox of Google. Never deployed.

pub mod bench;
pub mod demo;
pub mod google;
pub mod lambda_runtime;
pub mod rows;
pub mod server;
pub mod settings;
