//! What a request costs the database: the real binaries, one connection each, behind a counting proxy.

use std::time::Duration;

use super::Bench;
use super::call::{Call, Person};
use super::counting_proxy::{CountingProxy, Counts};
use super::sandbox::{Sandbox, functions};
use super::story::{Step, story};
use super::table::Table;

struct Counted {
    function: &'static str,
    sandbox: Sandbox,
    proxy: CountingProxy,
}

/// Prints the table; answers the promises that were broken.
pub async fn print(bench: &Bench) -> anyhow::Result<Vec<String>> {
    let mut sandboxes = Vec::new();
    for function in functions() {
        let proxy = CountingProxy::start(&bench.database_url, Duration::ZERO).await?;
        let settings = bench.secrets.settings(&proxy.url("postgres"), &bench.google_url);
        sandboxes.push(Counted {
            function,
            sandbox: Sandbox::start(&bench.binaries, function, &settings).await?,
            proxy,
        });
    }
    let mut table = Table::new(
        "Database work of one request (the functions' binaries, counted on the wire)",
        2,
        ["function", "case", "transactions", "round trips", "connections so far"],
    );
    let mut broken = Vec::new();
    let people = Person::two();
    bench.know(&people[..1]).await?;
    for Step { function, case, call, transactions } in story(&bench.secrets, &people) {
        let Some(counted) = sandboxes.iter_mut().find(|it| it.function == function) else { continue };
        let counts = counted.request(call.as_ref()).await?;
        let connections = counted.proxy.counts().connections;
        if let Some(promised) = transactions.filter(|promised| *promised != counts.transactions) {
            broken.push(format!("{function}, {case}: {} transactions instead of {promised}", counts.transactions));
        }
        table.row([
            function.into(),
            case.into(),
            counts.transactions.to_string(),
            counts.round_trips.to_string(),
            connections.to_string(),
        ]);
    }
    print!("{table}");
    for Counted { function, proxy, .. } in &sandboxes {
        let opened = proxy.counts().connections;
        if opened != 1 {
            broken.push(format!("{function}: its sandbox opened {opened} connections instead of 1"));
        }
    }
    Ok(broken)
}

impl Counted {
    async fn request(&mut self, call: Option<&Call>) -> anyhow::Result<Counts> {
        let before = self.proxy.counts();
        self.sandbox.run(call).await?;
        Ok(self.proxy.counts() - before)
    }
}
