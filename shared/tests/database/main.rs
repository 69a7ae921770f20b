//! The SQL of the library, run by a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test may end that way")]

mod bots;
mod breaker;
mod candidates;
mod clicks;
mod closing;
mod consent;
mod db;
mod deal_clicks;
mod entry;
mod event_delivery;
mod gauges;
mod health;
mod inbox;
mod inspection;
mod losses;
mod matching;
mod migrated;
mod outcomes;
mod queue;
mod texts;
