//! What a request costs the database: the real binaries, one connection each, behind a counting proxy.

use lambda_http::http::StatusCode;
use serde_json::json;

use super::Bench;
use super::call::{Call, Person};
use super::counting_proxy::{CountingProxy, Counts};
use super::sandbox::{Sandbox, UPLOADER, functions};
use super::table::Table;

struct Counted {
    function: &'static str,
    sandbox: Sandbox,
    proxy: CountingProxy,
}

/// A line of the table.
struct Line {
    function: &'static str,
    case: &'static str,
    /// None is the schedule.
    call: Option<Call>,
    /// The promised number of transactions.
    transactions: Option<u64>,
}

/// Prints the table; answers the promises that were broken.
pub async fn print(bench: &Bench) -> anyhow::Result<Vec<String>> {
    let mut sandboxes = Vec::new();
    for function in functions() {
        let proxy = CountingProxy::start(&bench.database_url).await?;
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
    for Line { function, case, call, transactions } in lines(bench) {
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
        match call {
            Some(call) => self.sandbox.call(call).await?,
            None => drop(self.sandbox.invoke(json!({})).await?),
        }
        Ok(self.proxy.counts() - before)
    }
}

/// The story, with everything that may happen twice happening twice. Every sandbox's first request is in it.
fn lines(bench: &Bench) -> Vec<Line> {
    const VISIT: &str = "track-visit";
    const EVENT: &str = "track-event";
    const LEAD: &str = "create-lead";
    const DEAL: &str = "crm-conversion";
    let (jane, joe) = (Person::new(), Person::new());
    let secrets = &bench.secrets;
    let request = |function, case, call| Line { function, case, call: Some(call), transactions: Some(1) };
    let refused = |function, call| Line { transactions: Some(0), ..request(function, "refused", call) };
    let run = |case| Line { function: UPLOADER, case, call: None, transactions: None };
    vec![
        request(VISIT, "new visitor", jane.visit()),
        request(VISIT, "the same again", jane.visit()),
        refused(VISIT, Call::empty(&track_visit::ENDPOINT)),
        request(EVENT, "new event", jane.event()),
        request(EVENT, "the same again", jane.event()),
        refused(EVENT, Call::empty(&track_event::ENDPOINT)),
        run("nothing to do"),
        request(DEAL, "no lead yet", joe.deal(secrets).expecting(StatusCode::ACCEPTED)),
        request(LEAD, "new lead", jane.lead()),
        request(LEAD, "the same again", jane.lead().expecting(StatusCode::OK)),
        request(LEAD, "a deal waits for it", joe.lead()),
        refused(LEAD, Call::empty(&create_lead::ENDPOINT)),
        request(DEAL, "its lead is there", jane.deal(secrets)),
        request(DEAL, "the same again", jane.deal(secrets)),
        // That it was refused is counted.
        Line { transactions: Some(1), ..request(DEAL, "refused", Call::unsigned()) },
        run("two conversions due"),
        request("tracking-health", "", Call::health(secrets)),
    ]
}
