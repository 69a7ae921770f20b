//! The servers Adtrail needs on one machine: a private Postgres, migrated, and a PgBouncer in transaction mode. Knows
//! nothing of Adtrail but its migrations, so that it builds when a query doesn't.

pub mod migrations;
pub mod pgbouncer;
pub mod postgres;
pub mod programs;
mod server_process;
pub mod supabase_roles;
pub mod with_postgres;
