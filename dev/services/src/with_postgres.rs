//! Runs a command with a database server of its own.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::postgres::Postgres;
use crate::supabase_roles::create_supabase_roles;

/// Runs `command` with `DATABASE_URL` set to an empty throwaway server that has Supabase's roles, and passes on its
/// exit code (128 + n when signal n ended it).
///
/// A `DATABASE_URL` of the caller is not used: tests create and drop what they like.
///
/// # Errors
///
/// Fails when the server does not start, or when the command cannot be run.
pub async fn run(command: &[String]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command: with-postgres <command> [arguments]")?;
    let postgres = Postgres::throwaway().await?;
    let url = postgres.url("postgres");
    create_supabase_roles(&url).await?;
    let mut command = Command::new(program);
    command.args(arguments).env("DATABASE_URL", url);
    // What `cargo run` says of this package. A cargo that hears it compiles `ring` again, and all that needs it.
    for (name, _) in std::env::vars_os() {
        let is_of_this_package =
            |name: &str| name == "OUT_DIR" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_this_package) {
            command.env_remove(name);
        }
    }
    let outcome = run_to_the_end(&mut command).await.with_context(|| format!("cannot run {program}"));
    postgres.stop().await?;
    Ok(ExitCode::from(code(outcome?)))
}

/// Ctrl-C reaches the command too, so it gets the time to end by itself; a second one kills it.
async fn run_to_the_end(command: &mut Command) -> std::io::Result<ExitStatus> {
    // Before the command starts: from now on a signal no longer ends this program at once.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = command.spawn()?;
    let mut interrupted = false;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = interrupt.recv() => {
                if interrupted {
                    child.start_kill()?;
                }
                interrupted = true;
            }
            _ = terminate.recv() => child.start_kill()?,
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}
