//! A server as a child process that never outlives this program.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::programs::as_server;

/// Runs the server and waits for one of two ends: the server's own, or that of the pipe on standard input. The pipe
/// ends with the program that holds its other side, even one that is killed with SIGKILL: the server is stopped then.
/// $1 is the signal that stops it, $2 a folder to remove afterwards (empty: none), the rest is its command.
const SUPERVISOR: &str = r#"
signal=$1 remove=$2; shift 2
exec 3<&0
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -"$signal" "$server"; } 2>/dev/null & lifeline=$!
wait "$server"; status=$?
kill "$lifeline" 2>/dev/null
[ -z "$remove" ] || rm -rf "$remove"
exit "$status"
"#;

/// Longest wait for a server to come up (PostgreSQL may have a crash to recover from) or to go.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// What to run, and how it ends.
pub(crate) struct Launch<'a> {
    /// The server's name in messages.
    pub(crate) name: &'static str,
    /// The server in the foreground.
    pub(crate) command: std::process::Command,
    /// Receives what the server prints; emptied first.
    pub(crate) log: PathBuf,
    /// The signal that stops it: `INT`, `QUIT`, `KILL`.
    pub(crate) stop_signal: &'static str,
    /// A folder that goes when the server is gone.
    pub(crate) remove: Option<&'a Path>,
}

/// A running server. Dropping it stops the server without waiting for its end.
pub(crate) struct ServerProcess {
    name: &'static str,
    supervisor: Child,
    lifeline: ChildStdin,
    log: File,
}

impl ServerProcess {
    /// Starts a server and waits until `is_ready`, which is given what the server has printed so far.
    pub(crate) async fn start(launch: Launch<'_>, is_ready: impl Fn(&str) -> bool) -> anyhow::Result<Self> {
        // Appending, because the server and this program share the file. Open here, because the folder may be removed.
        let log = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(&launch.log)
            .with_context(|| format!("cannot write {}", launch.log.display()))?;
        log.set_len(0)?;
        let mut command = Command::new("/bin/sh");
        as_server(&mut command)
            .args(["-c", SUPERVISOR, "sh", launch.stop_signal])
            .arg(launch.remove.unwrap_or(Path::new("")))
            .arg(launch.command.get_program())
            .args(launch.command.get_args())
            .envs(launch.command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            // Ctrl-C is for this program, which stops the server when nobody needs it any more.
            .process_group(0);
        let mut supervisor = command.spawn().with_context(|| format!("cannot run {}", launch.name))?;
        let lifeline = supervisor.stdin.take().context("the supervisor has no standard input")?;
        let mut server = Self { name: launch.name, supervisor, lifeline, log };
        server.wait_until(is_ready).await?;
        Ok(server)
    }

    async fn wait_until(&mut self, is_ready: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.supervisor.try_wait()?;
            let printed = self.printed()?;
            if let Some(status) = status {
                bail!("{} ended ({status}) and said:\n{printed}", self.name);
            }
            if is_ready(&printed) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {PATIENCE:?} and said:\n{printed}", self.name);
            }
            sleep(POLL).await;
        }
    }

    fn printed(&self) -> anyhow::Result<String> {
        let mut printed = vec![0; usize::try_from(self.log.metadata()?.len())?];
        self.log.read_exact_at(&mut printed, 0)?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Stops the server and waits until it is gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.lifeline);
        timeout(PATIENCE, self.supervisor.wait()).await.with_context(|| format!("{} does not stop", self.name))??;
        Ok(())
    }
}

/// Calls `start` with a free port of the loopback interface, again when somebody else was faster to take it.
pub(crate) async fn on_a_free_port<T>(start: impl AsyncFn(u16) -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 0..2 {
        match start(free_port()?).await {
            Err(error) if error.to_string().contains("Address already in use") => {}
            outcome => return outcome,
        }
    }
    start(free_port()?).await
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
