//! The memory of a sandbox: the real binaries after a day's work.

use anyhow::Context;
use futures_util::future::try_join_all;

use super::Bench;
use super::call::Person;
use super::sandbox::{Sandbox, functions};
use super::story::story;
use super::table::Table;

const EARLY: usize = 200;
const LATE: usize = 2_000;

pub async fn print(bench: &Bench) -> anyhow::Result<()> {
    let mut table = Table::new(
        "Memory of a sandbox (the functions' binaries; MB resident, VmRSS)",
        1,
        ["function", "first request", "request 200", "request 2000", "growth 200 to 2000"],
    );
    // Together: nothing is timed.
    for (function, [first, early, late]) in try_join_all(functions().map(|function| grow(bench, function))).await? {
        let growth = late.zip(early).map(|(late, early)| late - early);
        table.row([function.into(), megabytes(first), megabytes(early), megabytes(late), megabytes(growth)]);
    }
    print!("{table}");
    Ok(())
}

async fn grow(bench: &Bench, function: &'static str) -> anyhow::Result<(&'static str, [Option<f64>; 3])> {
    let settings = bench.secrets.settings(&bench.database_url, &bench.google_url);
    let mut sandbox = Sandbox::start(&bench.binaries, function, &settings).await?;
    let mut resident = [None; 3];
    for request in 1..=LATE {
        let people = Person::two();
        // Who answers the banner has a page view.
        bench.know(&people[..1]).await?;
        let step = story(&bench.secrets, &people).into_iter().find(|step| step.function == function);
        sandbox.run(step.context(function)?.call.as_ref()).await?;
        let reading = [1, EARLY, LATE].into_iter().position(|at| at == request);
        if let Some(reading) = reading {
            resident[reading] = sandbox.resident_kb().map(|kb| f64::from(kb) / 1024.0);
        }
    }
    Ok((function, resident))
}

fn megabytes(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.1}"))
}
