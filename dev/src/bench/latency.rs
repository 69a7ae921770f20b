//! How long a request takes: the server of `make dev` in this process, over loopback with keep-alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use shared::clock::Clock;
use shared::db::DbError;
use tokio::net::TcpListener;

use super::Bench;
use super::call::{Call, Person};
use super::samples::Samples;
use super::table::Table;
use crate::functions::Functions;
use crate::{server, settings};

/// Clients that ask at the same time, and how often each asks in one round.
const LOADS: [(usize, usize); 2] = [(1, 150), (16, 25)];
/// All rows take turns, so that other load on the machine affects them equally. The first round warms up.
const ROUNDS: usize = 6;
const ROWS: [&str; 6] = ["select 1", "401 (counted)", "visit", "event", "lead", "webhook"];

/// Prints a table per way to the database.
pub async fn print(bench: &Bench) -> anyhow::Result<()> {
    measure(
        bench,
        &bench.database_url,
        "Latency, straight to Postgres (a connection per client; in ratio to a transaction with `select 1`, without HTTP)",
    )
    .await?;
    measure(bench, &bench.pooled_url, "Latency, through PgBouncer (the same)").await
}

#[derive(Default)]
struct Row {
    samples: Samples,
    requests: u32,
    time: Duration,
}

impl Row {
    fn per_second(&self) -> f64 {
        f64::from(self.requests) / self.time.as_secs_f64()
    }
}

async fn measure(bench: &Bench, database_url: &str, title: &'static str) -> anyhow::Result<()> {
    let mut table = Table::new(title, 1, ["", "clients", "p50 ms", "p99 ms", "÷ select 1", "per second", "select 1 ÷"]);
    for (clients, requests) in LOADS {
        let clients = Clients::start(bench, database_url, clients).await?;
        let mut rows: [Row; ROWS.len()] = Default::default();
        for round in 0..ROUNDS {
            let people: Vec<_> = (0..clients.http.len() * requests).map(|_| Person::new()).collect();
            for (index, row) in rows.iter_mut().enumerate() {
                if ROWS[index] == "event" {
                    bench.know(&people).await?;
                }
                let started = Instant::now();
                let samples = match index {
                    0 => clients.select(requests).await?,
                    1 => clients.call(people.iter().map(|_| Call::unsigned())).await?,
                    2 => clients.call(people.iter().map(Person::visit)).await?,
                    3 => clients.call(people.iter().map(Person::event)).await?,
                    4 => clients.call(people.iter().map(Person::lead)).await?,
                    _ => clients.call(people.iter().map(|person| person.deal(&bench.secrets))).await?,
                };
                if round > 0 {
                    row.time += started.elapsed();
                    row.requests += u32::try_from(samples.len())?;
                    row.samples.extend(samples);
                }
            }
        }
        let (select_median, select_per_second) = (rows[0].samples.quantile(0.5), rows[0].per_second());
        for (name, mut row) in ROWS.into_iter().zip(rows) {
            let median = row.samples.quantile(0.5);
            table.row([
                name.into(),
                clients.http.len().to_string(),
                format!("{median:.2}"),
                format!("{:.2}", row.samples.quantile(0.99)),
                format!("{:.2}", median / select_median),
                format!("{:.0}", row.per_second()),
                format!("{:.2}", select_per_second / row.per_second()),
            ]);
        }
    }
    print!("{table}");
    Ok(())
}

/// Clients with a connection each, and the server they ask.
struct Clients {
    functions: &'static Functions,
    base: String,
    http: Vec<reqwest::Client>,
}

impl Clients {
    async fn start(bench: &Bench, database_url: &str, clients: usize) -> anyhow::Result<Self> {
        let values = bench.secrets.settings(database_url, &bench.google_url);
        // As long as the process.
        let functions: &'static Functions =
            Box::leak(Box::new(settings::functions(&values, Clock::system(), clients)?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let service = server::api(functions).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let http = (0..clients).map(|_| shared::outgoing::http_client().map_err(anyhow::Error::msg));
        Ok(Self { functions, base, http: http.collect::<Result<_, _>>()? })
    }

    /// Every client makes its share of the calls, one after the other.
    async fn call(&self, calls: impl Iterator<Item = Call>) -> anyhow::Result<Vec<Duration>> {
        let calls: Arc<[(Call, reqwest::Request)]> = calls
            .map(|call| {
                let request = call.over_http(&self.base)?;
                Ok((call, request))
            })
            .collect::<anyhow::Result<_>>()?;
        let tasks = self.http.iter().cloned().enumerate().map(|(nth, client)| {
            let (calls, clients) = (Arc::clone(&calls), self.http.len());
            tokio::spawn(async move {
                let mut samples = Vec::new();
                for (call, request) in calls.iter().skip(nth).step_by(clients) {
                    let Some(request) = request.try_clone() else { continue };
                    let started = Instant::now();
                    let response = client.execute(request).await?;
                    let status = response.status();
                    let body = response.text().await?;
                    samples.push(started.elapsed());
                    call.check(Some(status.as_u16().into()), &body)?;
                }
                anyhow::Ok(samples)
            })
        });
        Ok(try_join_all(tasks).await?.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
    }

    /// The least that a transaction with one statement can cost.
    async fn select(&self, times: usize) -> anyhow::Result<Vec<Duration>> {
        let db = &self.functions.track_event.db;
        let tasks = self.http.iter().map(|_| {
            tokio::spawn(async move {
                let mut samples = Vec::with_capacity(times);
                for _ in 0..times {
                    let started = Instant::now();
                    db.tx(async |tx| -> Result<_, DbError> {
                        Ok(sqlx::query_scalar::<_, i32>("select 1").fetch_one(tx).await?)
                    })
                    .await?;
                    samples.push(started.elapsed());
                }
                anyhow::Ok(samples)
            })
        });
        Ok(try_join_all(tasks).await?.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
    }
}
