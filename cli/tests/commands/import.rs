use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use testing::{row, scaled};

use super::*;

const MAPPING: &str = r#"
[history]
[history.fields]
deal_id = "Deal ID"
stage = "Stage"
value = { at = "Amount", decimal = "," }
currency = { text = "EUR" }
occurred_at = "Closed"
zone = "UTC"
email = "E-mail"
[[history.rules]]
when = { stage = "won" }
conversion = "closed"
"#;
const DEALS: &str = "Deal ID;Stage;Amount;Closed;E-mail\n\
    D-1;won;1.234,50;2026-11-19 10:00:00;jane@example.com\n\
    D-2;won;many;2026-11-19 10:00:00;joan@example.com\n\
    D-3;won;7;2020-01-01 10:00:00;june@example.com\n\
    D-4;open;7;2026-11-19 10:00:00;june@example.com\n\
    D-5;won\n\
    D-1;won;1.234,50;2026-11-19 10:00:00;jane@example.com\n";

#[sqlx::test(migrations = "../migrations")]
async fn each_row_is_stored_once_and_the_bad_ones_are_listed(pool: PgPool) {
    let values = values(Some(&pool), &[]);
    let (deals, mapping, bad) = (file("deals.csv", DEALS), file("history.toml", MAPPING), file("bad.csv", ""));
    let import = ["import", "deals", &deals, "--mapping", &mapping, "--bad-rows", &bad];
    let dry = document(&values, &import).await;
    assert_eq!(row(&pool, "select count(*) from public.inbox").await, json!({"count": 0}), "{dry}");
    let applied = document(&values, &[&import[..], &["--apply"]].concat()).await;
    for count in ["rows", "new", "changed", "already_there", "ignored", "bad"] {
        assert_eq!(dry[count], applied[count], "{count}");
    }
    assert_eq!(applied["rows"], 6, "{applied}");
    assert_eq!(applied["new"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>(), 2, "{applied}");
    assert_eq!(applied["already_there"], 1, "the row that is there twice");
    let lines: Vec<_> = applied["bad"].as_array().unwrap().iter().map(|it| it["lines"][0].clone()).collect();
    assert!(lines.contains(&json!(3)) && lines.contains(&json!(6)) && lines.len() == 2, "{applied}");
    assert_eq!(std::fs::read_to_string(&bad).unwrap().lines().count(), 3);
    let stored = row(&pool, "select value, currency from public.inbox where crm_deal_id = 'D-1'").await;
    assert_eq!(stored, json!({"value": 1234.5, "currency": "EUR"}));
    let again = document(&values, &[&import[..], &["--apply"]].concat()).await;
    assert_eq!((&again["already_there"], &again["new"]), (&json!(3), &json!({})), "{again}");
}

#[tokio::test]
async fn a_mapping_that_does_not_fit_is_refused_before_anything_is_read() {
    let mapping = |text: &str| file("history.toml", text);
    let deals = file("deals.csv", DEALS);
    for (mapping, said) in [
        (mapping(&MAPPING.replace("\"Stage\"", "\"Status\"")), "has no column Status"),
        (mapping(&MAPPING.replace("zone", "auth = []\nzone")), "auth"),
        (mapping(&MAPPING.replacen("[history]", "[history]\nitems = \"/x\"", 1)), "is of webhooks"),
        (mapping("[a]\n[b]"), "must be one table"),
    ] {
        let error = refused(&values(None, &[]), &["import", "deals", &deals, "--mapping", &mapping]).await;
        assert!(error.contains(said), "{error}");
    }
}

fn deals() -> usize {
    scaled(100_000, 3_000)
}

/// One in a hundred rows is bad. The process is killed three times while it imports the others.
#[sqlx::test(migrations = "../migrations")]
async fn an_import_that_is_killed_is_finished_by_the_next_one(pool: PgPool) {
    let mut rows = "Deal ID;Stage;Amount;Closed;E-mail\n".to_owned();
    for deal in 0..deals() {
        let amount = if deal % 100 == 7 { "many" } else { "12,50" };
        writeln!(rows, "D-{deal};won;{amount};2026-11-19 10:00:00;person-{deal}@example.com").unwrap();
    }
    let (deals_file, mapping) = (file("deals.csv", rows), file("history.toml", MAPPING));
    let values = values(Some(&pool), &[]);
    let arguments = ["--json", "import", "deals", &deals_file, "--mapping", &mapping, "--apply"];
    let start = || {
        let settings = values.iter().map(|(name, value)| (name, value.expose_secret()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_adtrail"));
        command.env_clear().envs(settings).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
    };
    let stored = async || row(&pool, "select count(*) from public.inbox").await["count"].as_u64().unwrap();
    let mut kills = 0;
    for share in [1, 2, 3] {
        let until = (deals() * share / 5) as u64;
        let mut import = start();
        let begun = Instant::now();
        while stored().await < until && import.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_mins(10), "it stores nothing");
        }
        kills += usize::from(import.try_wait().unwrap().is_none());
        import.kill().unwrap();
        import.wait().unwrap();
    }
    assert_eq!(kills, 3, "it was still importing");
    assert!(stored().await < (deals() - deals() / 100) as u64);
    let last = start().wait_with_output().unwrap();
    let last: Value = serde_json::from_slice(&last.stdout).unwrap();
    let bad = deals() / 100;
    let good = deals() - bad;
    assert_eq!((&last["rows"], &last["bad"][0]["rows"]), (&json!(deals()), &json!(bad)), "{last}");
    let new: u64 = last["new"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(new + last["already_there"].as_u64().unwrap(), good as u64, "{last}");
    let found = "select count(*), count(distinct crm_deal_id) as deals, max(deliveries) as most,
        (select count(*) from public.inbox_events) as events, (select count(*) from public.deal_reports) as reports
        from public.inbox";
    let once = json!({"count": good, "deals": good, "most": 1, "events": good, "reports": good});
    assert_eq!(row(&pool, found).await, once);
}
