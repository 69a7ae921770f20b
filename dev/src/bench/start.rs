//! A cold start without Lambda's part of it: from the start of the process to its first question for work.

use std::time::{Duration, Instant};

use anyhow::ensure;
use shared::settings::Values;
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::Bench;
use super::samples::Samples;
use super::sandbox::{command, functions};
use super::table::Table;
use crate::lambda_runtime::LambdaRuntime;

const TIMES: usize = 15;
/// Nothing listens there (TCP port service multiplexer), so connecting fails at once.
const NO_DATABASE: &str = "postgresql://postgres@127.0.0.1:1/postgres?sslmode=disable";

pub async fn print(bench: &Bench) -> anyhow::Result<()> {
    let mut table = Table::new(
        "Start of a sandbox (process start to the first request to the Runtime API; p50 of 15)",
        1,
        ["function", "binary MB", "without database ms", "connected ms", "÷ start of `true`"],
    );
    let runtime = LambdaRuntime::start().await?;
    let settings = bench.secrets.settings(&bench.database_url, &bench.google_url);
    let alone = bench.secrets.settings(NO_DATABASE, &bench.google_url);
    let mut starts: Vec<_> = functions().map(|function| (function, Samples::default(), Samples::default())).collect();
    let (mut nothing, mut connect) = (Samples::default(), Samples::default());
    for _ in 0..TIMES {
        let started = Instant::now();
        ensure!(Command::new("true").status().await?.success(), "`true` failed");
        nothing.push(started.elapsed());
        let started = Instant::now();
        let connection = PgConnection::connect(&bench.database_url).await?;
        connect.push(started.elapsed());
        connection.close().await?;
        for (function, without, with) in &mut starts {
            without.push(start(&runtime, bench, function, &alone).await?);
            with.push(start(&runtime, bench, function, &settings).await?);
        }
    }
    let nothing = nothing.quantile(0.5);
    for (function, mut without, mut with) in starts {
        let size = std::fs::metadata(bench.binaries.join(function))?.len();
        let with = with.quantile(0.5);
        table.row([
            function.into(),
            format!("{:.1}", f64::from(u32::try_from(size / 1024)?) / 1024.0),
            format!("{:.1}", without.quantile(0.5)),
            format!("{with:.1}"),
            format!("{:.1}", with / nothing),
        ]);
    }
    print!("{table}");
    println!("\n  start of `true` {nothing:.1} ms, connecting to Postgres {:.1} ms", connect.quantile(0.5));
    Ok(())
}

async fn start(runtime: &LambdaRuntime, bench: &Bench, function: &str, settings: &Values) -> anyhow::Result<Duration> {
    // Not the Runtime API itself: a bare socket adds nothing to the time.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut command = command(runtime, &bench.binaries, function, settings);
    command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string());
    let started = Instant::now();
    let mut process = command.spawn()?;
    let mut runtime_api = tokio::select! {
        accepted = listener.accept() => accepted?.0,
        status = process.wait() => anyhow::bail!("{function} ended at once: {}", status?),
    };
    let mut asked = [0; 256];
    let length = runtime_api.read(&mut asked).await?;
    let duration = started.elapsed();
    process.kill().await?;
    ensure!(
        asked[..length].starts_with(b"GET /2018-06-01/runtime/invocation/next"),
        "{function} asks for something else"
    );
    Ok(duration)
}
