//! `make bench`: round trips, latencies, memory and the queue, measured on this machine. The machine's speed
//! cancels out in the ratios: both sides of one are measured in the same run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use services::migrations;
use services::pgbouncer::PgBouncer;
use services::postgres::Postgres;
use services::supabase_roles::create_supabase_roles;
use sqlx::{Connection, PgConnection};
use tokio::net::TcpListener;

use google_sandbox::{GoogleAccount, GoogleSandbox};

mod call;
pub mod counting_proxy;
mod latency;
mod memory;
mod queue;
mod round_trips;
mod samples;
mod sandbox;
mod start;
mod story;
mod table;

use call::{Person, Secrets};

/// Server connections of the pooler to the one database.
const POOL_SIZE: u16 = 15;

/// What every measurement needs.
struct Bench {
    /// The folder of the functions' binaries.
    binaries: PathBuf,
    /// Straight to Postgres.
    database_url: String,
    /// Through a PgBouncer in transaction mode.
    pooled_url: String,
    /// A sandbox Google.
    google_url: String,
    secrets: Secrets,
}

impl Bench {
    /// Makes their cookies those of visitors that were here before. An id that is nobody's is replaced by a visit.
    async fn know(&self, people: &[Person]) -> anyhow::Result<()> {
        let ids: Vec<_> = people.iter().map(Person::visitor_id).collect();
        let mut connection = PgConnection::connect(&self.database_url).await?;
        sqlx::query("insert into public.visitors (visitor_id) select unnest($1::text[])")
            .bind(&ids)
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }
}

/// Runs all measurements against a throwaway Postgres and prints them. Fails (exit code 1) when a promise is broken:
/// one transaction a request, one connection a sandbox, 2,000 conversions an upload, no more memory for a longer queue,
/// and a claim that is as fast with many destinations.
///
/// # Errors
/// When the functions' binaries are not next to this one, a service doesn't start, or a request isn't answered as it
/// should be.
pub async fn run() -> anyhow::Result<ExitCode> {
    let binaries = binaries()?;
    let postgres = Postgres::throwaway().await?;
    let database_url = postgres.url("postgres");
    create_supabase_roles(&database_url).await?;
    migrations::run(&database_url).await?;
    let mut connection = PgConnection::connect(&database_url).await?;
    let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut connection).await?;
    connection.close().await?;
    let pooler = PgBouncer::start(&database_url, POOL_SIZE).await?;
    let bench = Bench {
        binaries,
        pooled_url: pooler.url("postgres"),
        database_url,
        google_url: sandbox_google().await?.1,
        secrets: Secrets::new(),
    };

    print_machine(&version);
    let mut broken = round_trips::print(&bench).await?;
    latency::print(&bench).await?;
    memory::print(&bench).await?;
    start::print(&bench).await?;
    broken.extend(queue::print(&bench).await?);
    postgres.stop().await?;
    for promise in &broken {
        eprintln!("broken promise: {promise}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The functions were built together with this program.
fn binaries() -> anyhow::Result<PathBuf> {
    let folder = std::env::current_exe()?.parent().map(Path::to_path_buf).unwrap_or_default();
    for function in sandbox::functions() {
        ensure!(
            folder.join(function).is_file(),
            "there is no {function} in {}: run `make bench`, or `cargo build --release --workspace` first",
            folder.display()
        );
    }
    Ok(folder)
}

/// A new one, and its URL.
async fn sandbox_google() -> anyhow::Result<(GoogleSandbox, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let google = GoogleSandbox::new(GoogleAccount::dev());
    let router = google.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((google, url))
}

fn print_machine(postgres: &str) {
    let cores = std::thread::available_parallelism().map_or_else(|_| "?".into(), |cores| cores.to_string());
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.as_deref().and_then(|text| text.split(' ').next()).unwrap_or("?");
    println!("machine    {} {}, {cores} cores, load {load}", std::env::consts::OS, std::env::consts::ARCH);
    println!("Postgres   {postgres} on loopback, without TLS; commits don't wait for the disk");
    println!("PgBouncer  transaction mode, {POOL_SIZE} server connections");
    if cfg!(debug_assertions) {
        println!("NOT a release build: sizes and times mean nothing");
    }
}
