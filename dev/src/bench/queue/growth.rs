//! What a claim and its settlement cost with few finished rows in the tables, and with very many.

use std::time::Instant;

use anyhow::ensure;
use shared::App;
use shared::clock::Clock;
use shared::db::DbError;
use shared::platforms::{Delivery, Exchange, Operation, Outcome, Request, Route};
use shared::queue;
use uuid::Uuid;

use super::super::Bench;
use super::super::samples::Samples;
use super::super::table::Table;
use super::Database;
use super::rows::{self, BATCH};

const FINISHED: [i64; 2] = [10_000, 1_000_000];
/// Both take turns, so that other load on the machine affects them equally. The first round warms up.
const ROUNDS: i64 = 16;
const ROUTE: Route = Route { platform: "google_ads", operation: Operation::Upload, transport: "data_manager" };

pub async fn print(bench: &Bench) -> anyhow::Result<()> {
    let [mut young, mut old] = [Site::new(bench, FINISHED[0]).await?, Site::new(bench, FINISHED[1]).await?];
    for round in 0..ROUNDS {
        for site in [&mut young, &mut old] {
            site.deliver(round > 0).await?;
        }
    }
    let mut table = Table::new(
        "Queue: 2,000 rows claimed and settled, with finished ones in the tables (p50 of 15)",
        1,
        ["", "10,000 finished ms", "1,000,000 finished ms", "÷"],
    );
    for (name, of_few, of_many) in [
        ("claim", &mut young.claims, &mut old.claims),
        ("settle", &mut young.settlements, &mut old.settlements),
        ("both", &mut young.both, &mut old.both),
    ] {
        let (few, many) = (of_few.quantile(0.5), of_many.quantile(0.5));
        table.row([name.into(), format!("{few:.1}"), format!("{many:.1}"), format!("{:.2}", many / few)]);
    }
    print!("{table}");
    Ok(())
}

/// A database with a past, and rows enough for every round.
struct Site {
    app: App<upload_conversions::Config>,
    claims: Samples,
    settlements: Samples,
    both: Samples,
}

impl Site {
    async fn new(bench: &Bench, finished: i64) -> anyhow::Result<Self> {
        let mut database = Database::create(bench, &format!("finished_{finished}")).await?;
        rows::fill(&mut database.connection, finished, ROUNDS * BATCH).await?;
        let values = bench.secrets.settings(&database.url, &bench.google_url);
        let app = App::new(&values, &[], Clock::system(), 1)?;
        Ok(Self { app, claims: Samples::default(), settlements: Samples::default(), both: Samples::default() })
    }

    /// Claims a batch and settles it as accepted.
    async fn deliver(&mut self, counts: bool) -> anyhow::Result<()> {
        let Self { app: App { db, config, clock, .. }, .. } = self;
        let batch = usize::try_from(BATCH)?;
        let started = Instant::now();
        let claim = db
            .tx(async |tx| -> Result<_, DbError> { queue::claim(tx, &config.policy, ROUTE, batch, clock.now()).await })
            .await?;
        let claimed = started.elapsed();
        ensure!(claim.conversions.len() == batch, "{} rows were claimed instead of {batch}", claim.conversions.len());
        let delivery = accepted(batch);
        let started = Instant::now();
        let settled = db
            .tx(async |tx| -> Result<_, DbError> {
                queue::settle(tx, &config.policy, ROUTE, &claim, &delivery, clock.now()).await
            })
            .await?;
        let settling = started.elapsed();
        ensure!(usize::try_from(settled)? == batch, "{settled} rows were settled instead of {batch}");
        if counts {
            self.claims.push(claimed);
            self.settlements.push(settling);
            self.both.push(claimed + settling);
        }
        Ok(())
    }
}

/// One request took them all.
fn accepted(rows: usize) -> Delivery {
    let rows: Vec<usize> = (0..rows).collect();
    let outcome = Outcome::Accepted { request_id: Uuid::new_v4().to_string() };
    let exchange = Exchange { http_status: Some(200), ..Exchange::default() };
    Delivery {
        outcomes: vec![outcome; rows.len()],
        requests: vec![Request { exchange, conversions: rows.clone(), settled: rows }],
    }
}
