//! A function's real binary in a sandbox of its own, as on Lambda.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::settings::Values;
use tokio::process::{Child, Command};

use super::call::Call;
use crate::functions::BINARIES;
use crate::lambda_runtime::LambdaRuntime;

/// Runs on a schedule; the others answer requests.
pub const UPLOADER: &str = "upload-conversions";

pub fn functions() -> impl Iterator<Item = &'static str> {
    BINARIES.iter().copied().chain([UPLOADER])
}

/// A running binary.
pub struct Sandbox {
    function: &'static str,
    /// Before the Runtime API, so that it ends first and doesn't complain.
    process: Child,
    runtime: LambdaRuntime,
}

impl Sandbox {
    /// Starts `function` with these settings.
    ///
    /// # Errors
    /// When it can't be run.
    pub async fn start(binaries: &Path, function: &'static str, settings: &Values) -> anyhow::Result<Self> {
        let runtime = LambdaRuntime::start().await?;
        let process = command(&runtime, binaries, function, settings).spawn().context(function)?;
        Ok(Self { function, process, runtime })
    }

    /// Hands the call to the function and checks the answer; without one, runs it as the schedule does.
    ///
    /// # Errors
    /// When the function ends, fails, or answers otherwise.
    pub async fn run(&mut self, call: Option<&Call>) -> anyhow::Result<()> {
        let Some(call) = call else { return self.invoke(json!({})).await.map(drop) };
        let answer = self.invoke(call.event()).await?;
        call.check(answer["statusCode"].as_u64(), answer["body"].as_str().unwrap_or_default())
    }

    /// Invokes the function and waits for what it returns.
    ///
    /// # Errors
    /// When the function ends or fails.
    pub async fn invoke(&mut self, event: Value) -> anyhow::Result<Value> {
        let function = self.function;
        self.runtime.invoke(event);
        tokio::select! {
            result = self.runtime.result() => result?.map_err(|error| anyhow!("{function} failed: {error}")),
            status = self.process.wait() => bail!("{function} ended instead of answering: {}", status?),
        }
    }

    /// The memory that is resident now (VmRSS), in kB. None where the system doesn't say (/proc is Linux's).
    pub fn resident_kb(&self) -> Option<u32> {
        self.memory_kb("VmRSS:")
    }

    /// The most that ever was (VmHWM).
    pub fn peak_kb(&self) -> Option<u32> {
        self.memory_kb("VmHWM:")
    }

    fn memory_kb(&self, name: &str) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

/// The command that runs `function` under this Runtime API with these settings.
pub fn command(runtime: &LambdaRuntime, binaries: &Path, function: &str, settings: &Values) -> Command {
    let mut command = runtime.command(&binaries.join(function));
    command.envs(settings.iter().map(|(name, value)| (name, value.expose_secret())));
    command
}
