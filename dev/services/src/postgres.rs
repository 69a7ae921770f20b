//! A private PostgreSQL server, reachable from this machine only.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::programs::{
    PostgresInstallation, Programs, as_server, create_passable_folder, create_servers_folder, postgres_installations,
    temporary_folder,
};
use crate::server_process::{Launch, ServerProcess, on_a_free_port};

/// Names are compared as on Supabase (Unicode) where the C library has this locale; macOS has it not.
const LOCALE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };

/// Nothing of a throwaway server has to survive a crash. Tests open many small pools.
const THROWAWAY_SETTINGS: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"];

/// SQLSTATE `cannot_connect_now`: the server is starting or stopping.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A PostgreSQL server of our own: superuser `postgres`, no password, 127.0.0.1 only, encoding UTF-8.
///
/// It stops with [`Postgres::stop`], when it is dropped, and also when this program is killed.
pub struct Postgres {
    server: ServerProcess,
    port: u16,
    /// Held while the data is in use, against a second program on the same data.
    _lock: Option<File>,
}

impl Postgres {
    /// Starts a server whose data stays in `folder` from one run to the next: a folder of its own below
    /// [`private_folder`](crate::programs::private_folder), created when missing.
    ///
    /// # Errors
    ///
    /// Fails when PostgreSQL 15 or newer is not installed, when the data was made by a major version that is not
    /// installed, when another program has a server on this folder, or when the server does not come up.
    pub async fn kept(folder: &Path) -> anyhow::Result<Self> {
        create_passable_folder(folder)?;
        let folder = folder.canonicalize()?;
        let lock = lock(&folder)?;
        let data = folder.join("data");
        let programs = programs_for(&data)?;
        if data.exists() {
            end_orphan(&data).await?;
        } else {
            // In two steps: a half-made cluster of an interrupted run must not look like a finished one.
            let unfinished = folder.join("data.unfinished");
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            create_servers_folder(&unfinished)?;
            initdb(&programs, &unfinished).await?;
            fs::rename(&unfinished, &data)?;
        }
        let (server, port) = on_a_free_port(async |port| {
            let launch = Launch {
                name: "PostgreSQL",
                command: server_command(&programs, &data, port, &[]),
                log: folder.join("log"),
                stop_signal: "INT",
                remove: None,
            };
            let server = ServerProcess::start(launch, |_| is_ready(&data, port)).await?;
            Ok((server, port))
        })
        .await?;
        Ok(Self { server, port, _lock: Some(lock) })
    }

    /// Starts an empty server for up to 300 connections, whose data goes when it stops.
    ///
    /// # Errors
    ///
    /// Fails when PostgreSQL 15 or newer is not installed, or when the server does not come up.
    pub async fn throwaway() -> anyhow::Result<Self> {
        let programs = preferred(postgres_installations()?)?.programs;
        on_a_free_port(async |port| {
            let folder = temporary_folder("postgres")?;
            let data = folder.join("data");
            create_servers_folder(&data)?;
            if let Err(error) = initdb(&programs, &data).await {
                fs::remove_dir_all(&folder)?;
                return Err(error);
            }
            let launch = Launch {
                name: "PostgreSQL",
                command: server_command(&programs, &data, port, &THROWAWAY_SETTINGS),
                log: folder.join("log"),
                // At once, without a checkpoint: nobody needs the data.
                stop_signal: "QUIT",
                remove: Some(&folder),
            };
            let server = ServerProcess::start(launch, |_| is_ready(&data, port)).await?;
            Ok(Self { server, port, _lock: None })
        })
        .await
    }

    /// The superuser's URL of one of the server's databases; `postgres` is always there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgresql://postgres@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Stops the server and waits until it is gone. Open connections are cut.
    ///
    /// # Errors
    ///
    /// Fails when the server does not stop within a minute.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let lock = File::create(folder.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "the database in {} is in use: is `make dev` already running in this checkout? Stop it first.",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn preferred(installations: Vec<PostgresInstallation>) -> anyhow::Result<PostgresInstallation> {
    installations.into_iter().next().context(
        "no PostgreSQL 15 or newer is installed. Run `dev/services/install.sh postgres`, which fetches one into a \
         folder of this checkout, or install it: `apt install postgresql`, `brew install postgresql@17`.",
    )
}

/// The preferred installation for new data, the one that can read it for existing data.
fn programs_for(data: &Path) -> anyhow::Result<Programs> {
    let installations = postgres_installations()?;
    let Ok(made_by) = fs::read_to_string(data.join("PG_VERSION")) else {
        return Ok(preferred(installations)?.programs);
    };
    let made_by = made_by.trim();
    let (same_major, others): (Vec<_>, Vec<_>) =
        installations.into_iter().partition(|installation| installation.major.to_string() == made_by);
    if let Some(installation) = same_major.into_iter().next() {
        return Ok(installation.programs);
    }
    bail!(
        "the development database was made by PostgreSQL {made_by}, and PostgreSQL {found} is installed. Remove it, \
         and a new one is made: rm -r {data} - or install PostgreSQL {made_by}.",
        found = preferred(others)?.major,
        data = data.display(),
    )
}

async fn initdb(programs: &Programs, data: &Path) -> anyhow::Result<()> {
    let mut command = Command::from(programs.command("initdb"));
    let output = as_server(&mut command)
        .arg("--pgdata")
        .arg(data)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
        .args([&format!("--locale={LOCALE}"), "--no-sync"])
        .output()
        .await
        .context("cannot run initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn server_command(programs: &Programs, data: &Path, port: u16, settings: &[&str]) -> std::process::Command {
    let mut command = programs.command("postgres");
    command.arg("-D").arg(data);
    // No Unix socket: Debian's default folder for it is closed to other users.
    command.args(["-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "unix_socket_directories="]);
    command.args(["-c", &format!("port={port}")]);
    for setting in settings {
        command.args(["-c", setting]);
    }
    command
}

/// What postmaster.pid says of the server on `data`.
struct Postmaster {
    pid: u32,
    port: u16,
    accepts_connections: bool,
}

/// Line 1 is the process id, line 4 the port, line 8 the state (PostgreSQL documentation, "Database File Layout").
fn postmaster(data: &Path) -> Option<Postmaster> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines().map(str::trim);
    Some(Postmaster {
        pid: lines.next()?.parse().ok()?,
        port: lines.nth(2)?.parse().ok()?,
        accepts_connections: lines.nth(3) == Some("ready"),
    })
}

fn is_ready(data: &Path, port: u16) -> bool {
    postmaster(data).is_some_and(|it| it.accepts_connections && it.port == port)
}

/// Ends the server that a killed run may have left on `data`. It is not used on, because nobody would watch over it.
///
/// The lock is ours, so no living program needs that server. Mostly there is none, or one that is stopping already. A
/// server that runs is told to stop only after it has said that its data is this folder: after a reboot, the process
/// id and the port of a stale file may belong to somebody else.
async fn end_orphan(data: &Path) -> anyhow::Result<()> {
    let file = data.join("postmaster.pid");
    let deadline = Instant::now() + Duration::from_secs(30);
    while file.exists() {
        if let Some(Postmaster { pid, port, .. }) = postmaster(data) {
            match data_directory(port).await {
                Ok(directory) if directory == data => {
                    let kill = format!("kill -INT {pid}");
                    Command::new("/bin/sh").args(["-c", &kill]).status().await?;
                }
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(CANNOT_CONNECT_NOW) => {}
                // Nobody there, or somebody else: the file is all that is left.
                Ok(_) | Err(_) => {
                    fs::remove_file(&file).or_else(|error| match error.kind() {
                        std::io::ErrorKind::NotFound => Ok(()),
                        _ => Err(error),
                    })?;
                }
            }
        }
        if Instant::now() > deadline {
            bail!("a PostgreSQL server of an earlier run does not stop: see {} for its process id", file.display());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn data_directory(port: u16) -> sqlx::Result<PathBuf> {
    let url = format!("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let mut connection = PgConnection::connect(&url).await?;
    let directory: String = sqlx::query_scalar("show data_directory").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(directory.into())
}
