//! Stories from end to end: real Postgres, real HTTP, a sandbox Google that rejects what Google rejects.
#![expect(clippy::unwrap_used, reason = "a test may end that way")]

mod access_tokens;
mod after_response;
mod bad_answers;
mod clicks;
mod concurrency;
mod consent;
mod crash;
mod database_authority;
mod delivery;
mod deployed;
mod destinations;
mod doctor;
mod flood;
mod lookup;
mod journey;
mod keyless;
mod localhost;
mod many_events;
mod metrics;
mod old_schema;
mod outage;
mod pooler;
mod refused_login;
mod rotation;
mod secret;
mod secret_rotation;
mod secrets_manager;
mod service_account;
mod setup;
mod sources;
mod spool;
mod stack;
mod stage;
mod whose_deal;
