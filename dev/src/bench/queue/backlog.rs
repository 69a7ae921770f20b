//! A backlog, as after an outage or an import: how fast it is worked off, in how many requests, and in how much memory.

use std::time::{Duration, Instant};

use anyhow::ensure;
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgConnection;

use super::super::sandbox::{Sandbox, UPLOADER};
use super::super::table::Table;
use super::super::{Bench, sandbox_google};
use super::Database;
use super::rows::{self, BATCH};

/// What `GOOGLE_ADS_TRANSPORT` may say.
const TRANSPORTS: [&str; 2] = ["data_manager", "google_ads"];
/// The memory of the uploader must not depend on it.
const BACKLOGS: [i64; 2] = [10_000, 100_000];
/// Of the Lambda function, in MB.
const MEMORY: f64 = 256.0;
/// In MB: the usual difference between two runs. Ten times the rows would be tens of MB.
const GROWTH: f64 = 8.0;

/// Prints the table; returns the promises that were broken.
pub async fn print(bench: &Bench) -> anyhow::Result<Vec<String>> {
    let mut table = Table::new(
        "Queue: a backlog delivered (the uploader's binary, Postgres and the sandbox Google share this machine)",
        1,
        ["transport", "rows due", "requests", "invocations", "seconds", "rows per second", "peak MB (VmHWM)"],
    );
    let mut broken = Vec::new();
    for transport in TRANSPORTS {
        let mut peaks = Vec::new();
        for backlog in BACKLOGS {
            let delivered = deliver(bench, transport, backlog).await?;
            let seconds = delivered.duration.as_secs_f64();
            table.row([
                transport.into(),
                backlog.to_string(),
                delivered.requests.to_string(),
                delivered.invocations.to_string(),
                format!("{seconds:.1}"),
                format!("{:.0}", f64::from(u32::try_from(backlog)?) / seconds),
                delivered.peak.map_or_else(|| "-".into(), |peak| format!("{peak:.1}")),
            ]);
            if delivered.requests != usize::try_from(backlog / BATCH)? {
                broken.push(format!("{transport}: {backlog} rows took {} requests", delivered.requests));
            }
            peaks.extend(delivered.peak);
        }
        broken.extend(growth(transport, &peaks));
    }
    print!("{table}");
    Ok(broken)
}

fn growth(transport: &str, peaks: &[f64]) -> Option<String> {
    let (few, many) = (peaks.first()?, peaks.last()?);
    (*many > MEMORY || many - few > GROWTH).then(|| {
        format!("{transport}: the uploader needs more memory for more rows than it may, {many:.1} MB after {few:.1} MB")
    })
}

struct Delivered {
    requests: usize,
    invocations: u32,
    duration: Duration,
    /// In MB.
    peak: Option<f64>,
}

/// Has the uploader invoked until everything is accepted.
///
/// # Errors
/// When a conversion was not accepted, or Google doesn't count each of them once.
async fn deliver(bench: &Bench, transport: &'static str, backlog: i64) -> anyhow::Result<Delivered> {
    let mut database = Database::create(bench, &format!("{transport}_{backlog}")).await?;
    rows::fill(&mut database.connection, &["google_ads".to_owned()], 0, backlog).await?;
    let (google, google_url) = sandbox_google().await?;
    google.keep_bodies(false);
    let mut settings = bench.secrets.settings(&database.url, &google_url);
    settings.insert("GOOGLE_ADS_TRANSPORT".into(), SecretString::from(transport));
    let mut sandbox = Sandbox::start(&bench.binaries, UPLOADER, &settings).await?;
    let (mut accepted, mut invocations) = (0, 0);
    let started = Instant::now();
    while accepted < backlog {
        let summary = sandbox.invoke(json!({})).await?;
        let more = summary["accepted"].as_i64().unwrap_or_default();
        ensure!(more > 0, "{transport}: {accepted} of {backlog} rows were accepted, and then came {summary}");
        accepted += more;
        invocations += 1;
    }
    let duration = started.elapsed();
    let peak = sandbox.peak_kb().map(|kb| f64::from(kb) / 1024.0);
    let uploaded = uploaded(&mut database.connection).await?;
    ensure!(uploaded == backlog, "{transport}: {uploaded} of {backlog} rows ended as uploaded");
    let conversions = google.conversions();
    let twice = conversions.iter().filter(|conversion| conversion.received != 1).count();
    ensure!(
        conversions.len() == usize::try_from(backlog)? && twice == 0,
        "{transport}: of {backlog} rows Google counts {}, and got {twice} more than once",
        conversions.len()
    );
    let calls = google.requests();
    Ok(Delivered { requests: calls.ingest_calls + calls.click_conversion_calls, invocations, duration, peak })
}

async fn uploaded(connection: &mut PgConnection) -> anyhow::Result<i64> {
    let sql = "-- backlog::uploaded
        select count(*) from public.conversion_queue where status = 'uploaded' and claims = 1";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}
