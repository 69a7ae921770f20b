//! Stories from end to end: real Postgres, real HTTP, a sandbox Google that rejects what Google rejects.
#![expect(clippy::unwrap_used, reason = "a test may end that way")]

mod access_tokens;
mod concurrency;
mod crash;
mod database_authority;
mod delivery;
mod lookup;
mod journey;
mod keyless;
mod outage;
mod pooler;
mod refused_login;
mod rotation;
mod secret;
mod service_account;
mod sources;
mod stage;
