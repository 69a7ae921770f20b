//! The ways in for CRMs: sources, declared in TOML. A source says how its webhooks prove who sent them, where the fields
//! of a deal are in what it sends, and what its stages mean.

pub mod authentication;
pub mod fetch_back;
