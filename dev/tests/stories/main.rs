//! Stories from end to end: real Postgres, real HTTP, a sandbox Google that rejects what Google rejects.

mod concurrency;
mod crash;
mod journey;
mod pooler;
mod service_account;
mod stage;
