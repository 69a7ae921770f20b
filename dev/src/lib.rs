//! Adtrail on one machine: every endpoint, the schedule, a private Postgres and a sandbox of Google. Never deployed.

pub mod demo;
pub mod google;
pub mod lambda_runtime;
pub mod pgbouncer;
pub mod postgres;
pub mod rows;
pub mod server;
mod server_process;
pub mod services;
pub mod settings;
pub mod supabase_roles;
pub mod with_services;

/// The migrations, as they lie in the checkout.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
