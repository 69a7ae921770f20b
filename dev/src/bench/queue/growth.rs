//! What a claim and its settlement cost with few finished rows in the tables, and with very many.

use std::time::Instant;

use anyhow::{Context, ensure};
use shared::App;
use shared::clock::Clock;
use shared::db::DbError;
use shared::platforms::{Delivery, Exchange, Outcome, Request};
use shared::queue;
use uuid::Uuid;

use super::super::Bench;
use super::super::samples::Samples;
use super::super::table::Table;
use super::Database;
use super::rows::{self, BATCH};

const FEW: i64 = 10_000;
const MANY: i64 = 1_000_000;
const DESTINATIONS: usize = 20;
/// Of several destinations each is as fast as if it were the only one.
const MOST: f64 = 1.2;
/// All take turns, so that other load on the machine affects them equally. The first round warms up.
const ROUNDS: i64 = 16;

/// Prints the tables; returns the promises that were broken.
pub async fn print(bench: &Bench) -> anyhow::Result<Vec<String>> {
    let [mut young, mut old, mut shared] = [
        Site::new(bench, "young", FEW, 1).await?,
        Site::new(bench, "old", MANY, 1).await?,
        Site::new(bench, "shared", MANY, DESTINATIONS).await?,
    ];
    for round in 0..ROUNDS {
        for site in [&mut young, &mut old, &mut shared] {
            site.deliver(round > 0).await?;
        }
    }
    let title = "Queue: 2,000 rows claimed and settled, with finished ones in the tables (p50 of 15)";
    let growth = compare(title, ["", "10,000 finished ms", "1,000,000 finished ms", "÷"], &mut young, &mut old);
    print!("{growth}");
    let title = "Queue: the same in one of 20 destinations, with 1,000,000 finished rows (p50 of 15)";
    let several = compare(title, ["", "one destination ms", "20 destinations ms", "÷"], &mut old, &mut shared);
    print!("{several}");
    let ratio = shared.claims.quantile(0.5) / old.claims.quantile(0.5);
    let broken =
        (ratio > MOST).then(|| format!("a claim among {DESTINATIONS} destinations takes {ratio:.2} times as long"));
    Ok(broken.into_iter().collect())
}

fn compare(title: &'static str, headings: [&'static str; 4], one: &mut Site, other: &mut Site) -> Table<4> {
    let mut table = Table::new(title, 1, headings);
    for (name, one, other) in [
        ("look", &mut one.looks, &mut other.looks),
        ("claim", &mut one.claims, &mut other.claims),
        ("settle", &mut one.settlements, &mut other.settlements),
        ("claim and settle", &mut one.both, &mut other.both),
    ] {
        let (one, other) = (one.quantile(0.5), other.quantile(0.5));
        table.row([name.into(), format!("{one:.1}"), format!("{other:.1}"), format!("{:.2}", other / one)]);
    }
    table
}

/// A database with a past, and rows enough for every round.
struct Site {
    app: App<upload_conversions::Config>,
    looks: Samples,
    claims: Samples,
    settlements: Samples,
    both: Samples,
}

impl Site {
    async fn new(bench: &Bench, name: &str, finished: i64, destinations: usize) -> anyhow::Result<Self> {
        let mut database = Database::create(bench, name).await?;
        let names: Vec<_> = (0..destinations).map(|nth| format!("client_{nth}")).collect();
        rows::fill(&mut database.connection, &names, finished, ROUNDS * BATCH).await?;
        let mut values = bench.secrets.settings(&database.url, &bench.google_url);
        let declared = names.iter().enumerate().map(|(nth, name)| {
            format!(
                "[{name}]\nplatform = \"google-ads\"\ncustomer_id = {}\nactions = {{ closed = 987654321 }}\n",
                1_234_567_890 + nth
            )
        });
        values.insert("DESTINATIONS".into(), declared.collect::<String>().into());
        values.remove("GOOGLE_ADS_CUSTOMER_ID");
        let app = App::new(&values, &[], Clock::system(), 1)?;
        let [looks, claims, settlements, both] = std::array::from_fn(|_| Samples::default());
        Ok(Self { app, looks, claims, settlements, both })
    }

    /// Looks what is due, claims a batch and settles it as accepted.
    async fn deliver(&mut self, counts: bool) -> anyhow::Result<()> {
        let Self { app: App { db, config, clock, .. }, .. } = self;
        let batch = usize::try_from(BATCH)?;
        let routes: Vec<_> = config.lanes.iter().map(|lane| lane.route()).collect();
        let route = *routes.first().context("no lane")?;
        let started = Instant::now();
        db.tx(async |tx| -> Result<_, DbError> { queue::work(tx, &config.policy, &routes, clock.now()).await }).await?;
        let looked = started.elapsed();
        let started = Instant::now();
        let claim = db
            .tx(async |tx| -> Result<_, DbError> { queue::claim(tx, &config.policy, route, batch, clock.now()).await })
            .await?;
        let claimed = started.elapsed();
        ensure!(claim.conversions.len() == batch, "{} rows were claimed instead of {batch}", claim.conversions.len());
        let delivery = accepted(batch);
        let destinations = &config.intake.destinations;
        let started = Instant::now();
        let settled = db
            .tx(async |tx| -> Result<_, DbError> {
                queue::settle(tx, &config.policy, destinations, route, &claim, &delivery, clock.now()).await
            })
            .await?;
        let settling = started.elapsed();
        ensure!(usize::try_from(settled)? == batch, "{settled} rows were settled instead of {batch}");
        if counts {
            self.looks.push(looked);
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
