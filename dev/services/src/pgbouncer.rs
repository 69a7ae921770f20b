//! A private PgBouncer in transaction mode: what a Supabase project's pooler on port 6543 does to its clients.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use sqlx::postgres::PgConnectOptions;

use crate::programs::{pgbouncer_installation, temporary_folder};
use crate::server_process::{Launch, ServerProcess, on_a_free_port};

/// A PgBouncer of our own on 127.0.0.1, for up to 500 clients and without passwords.
///
/// It is stricter than Supabase's pooler: it knows nothing of prepared statements, whatever its version. It stops
/// when it is dropped, and also when this program is killed.
pub struct PgBouncer {
    _server: ServerProcess,
    user: String,
    port: u16,
}

impl PgBouncer {
    /// Starts a pooler in front of the server of `postgres_url`, a URL that needs no password.
    ///
    /// `pool_size` is the most connections that the pooler opens to one database. Every client becomes the user of
    /// `postgres_url`.
    ///
    /// # Errors
    ///
    /// Fails when the URL is none, when PgBouncer is not installed, or when it does not come up.
    pub async fn start(postgres_url: &str, pool_size: u16) -> anyhow::Result<Self> {
        Self::start_with(postgres_url, pool_size, &[], &[]).await
    }

    /// The same with further settings of pgbouncer.ini, and with settings that name a file, given by what is in it.
    ///
    /// # Errors
    ///
    /// As [`PgBouncer::start`], and when a setting is wrong.
    pub async fn start_with(
        postgres_url: &str,
        pool_size: u16,
        values: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let postgres: PgConnectOptions = postgres_url.parse().context("not a database URL")?;
        let (programs, tracks_prepared_statements) = pgbouncer_installation()?.context(
            "PgBouncer is not installed. Run `dev/services/install.sh pgbouncer`, which fetches one on Debian and \
             Ubuntu, or install it: `apt install pgbouncer`, `brew install pgbouncer`.",
        )?;
        on_a_free_port(async |port| {
            let mut settings = settings(&postgres, pool_size, port);
            if tracks_prepared_statements {
                settings.push_str("max_prepared_statements = 0\n");
            }
            for (name, value) in values {
                writeln!(settings, "{name} = {value}")?;
            }
            let folder = temporary_folder("pgbouncer")?;
            for (name, content) in files {
                let file = folder.join(name);
                write_for_server(&file, content)?;
                writeln!(settings, "{name} = {}", file.display())?;
            }
            let file = folder.join("pgbouncer.ini");
            write_for_server(&file, &settings)?;
            let mut command = programs.command("pgbouncer");
            command.arg(&file);
            let launch = Launch {
                name: "PgBouncer",
                command,
                log: folder.join("log"),
                // It has nothing to lose, and a polite stop would wait for its clients.
                stop_signal: "KILL",
                remove: Some(&folder),
            };
            let server = ServerProcess::start(launch, |printed| printed.contains("process up")).await?;
            Ok(Self { _server: server, user: postgres.get_username().to_owned(), port })
        })
        .await
    }

    /// The URL of one of the server's databases through this pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self { user, port, .. } = self;
        format!("postgresql://{user}@127.0.0.1:{port}/{database}?sslmode=disable")
    }
}

/// Writes a file in the servers' own folder, which is closed to everybody else.
fn write_for_server(file: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(file, content)?;
    fs::set_permissions(file, Permissions::from_mode(0o644))?;
    Ok(())
}

/// sqlx asks for `extra_float_digits` when it connects, which PgBouncer refuses unless configured otherwise.
fn settings(postgres: &PgConnectOptions, pool_size: u16, port: u16) -> String {
    format!(
        "\
[databases]
* = host={host} port={postgres_port} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
",
        host = postgres.get_host(),
        postgres_port = postgres.get_port(),
        user = postgres.get_username(),
    )
}
