//! Endless, huge, cut off and otherwise broken answers to the real uploader, among good ones.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use dev::crm::{Crm, Kind};
use dev::lambda_runtime::LambdaRuntime;
use dev::settings;
use google_sandbox::{BadAnswer, Endpoint, Fault, FaultKind, GoogleAccount};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::clock::Clock;
use sqlx::PgPool;
use tokio::process::Child;
use tokio::time::timeout;

use crate::delivery::counts;
use crate::stage::{Stage, binary, database_url};

const PATIENCE: Duration = Duration::from_mins(2);
/// In kB.
const MOST_MEMORY: u32 = 64 * 1024;

fn bad(answer: BadAnswer) -> FaultKind {
    FaultKind::BadAnswer(answer)
}

fn texts(followed_by: &str, times: u32) -> BadAnswer {
    BadAnswer::Texts { followed_by: followed_by.into(), times }
}

fn from_1970() -> BadAnswer {
    BadAnswer::Dated { date: "Thu, 01 Jan 1970 00:00:00 GMT".into() }
}

fn bad_answers() -> Vec<FaultKind> {
    let error = json!({"error": {"status": "UNAVAILABLE\0".repeat(99), "message": "\0x".repeat(50_000)}});
    vec![
        bad(BadAnswer::Endless {}),
        bad(BadAnswer::Padded { megabytes: 50 }),
        bad(texts("x", 17_000)),
        bad(BadAnswer::InvalidUtf8 {}),
        bad(BadAnswer::WrongLength { by: 7 }),
        bad(BadAnswer::WrongLength { by: -7 }),
        FaultKind::Html {},
        FaultKind::Http { status: 503, retry_after: Some(u32::MAX), reason: None, body: Some(error) },
        bad(texts("\0", 1)),
    ]
}

/// The real uploader.
struct Uploader {
    runtime: LambdaRuntime,
    process: Child,
}

impl Uploader {
    async fn start(stage: &Stage, transport: &str) -> Self {
        let mut values = settings::values(&database_url(&stage.pool), &stage.base);
        let pipedrive = format!(
            "[pipedrive]\npreset = \"pipedrive\"\n[pipedrive.fetch]\n\
             pipedrive = {{ token = \"PIPEDRIVE_API_TOKEN\", url = \"{}\" }}",
            stage.base
        );
        for (name, value) in [
            ("CRM_SOURCES", pipedrive.as_str()),
            ("PIPEDRIVE_API_TOKEN", Crm::Pipedrive.token()),
            ("PIPEDRIVE_PASSWORD", "a secret of these stories"),
            ("GOOGLE_ADS_TRANSPORT", transport),
        ] {
            values.insert(name.into(), SecretString::from(value));
        }
        // The real binaries refuse the secrets of `make dev`; the uploader has no use for them.
        values.retain(|name, _| !["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY"].contains(&name.as_str()));
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut command = runtime.command(&binary("upload-conversions"));
        command.envs(values.iter().map(|(name, value)| (name, value.expose_secret())));
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        Self { runtime, process }
    }

    async fn run(&self) -> Value {
        self.runtime.invoke(json!({"source": "aws.scheduler"}));
        timeout(PATIENCE, self.runtime.result()).await.expect("the run ends").unwrap().unwrap()
    }

    /// The most memory it had, in kB.
    fn peak(&self) -> u32 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    async fn end(mut self) {
        let peak = self.peak();
        self.process.kill().await.unwrap();
        println!("the uploader's peak memory is {peak} kB");
        assert!(peak <= MOST_MEMORY, "{peak} kB");
    }
}

/// The length of the longest text in each text column.
async fn longest_texts(stage: &Stage) -> Vec<(String, i32)> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select c.table_name::text, c.column_name::text
         from information_schema.columns c
         join information_schema.tables t using (table_schema, table_name)
         where table_schema = 'public' and t.table_type = 'BASE TABLE' and c.data_type = 'text'",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    assert!(columns.len() > 50, "{columns:?}");
    let mut longest = Vec::new();
    for (table, column) in columns {
        let length = stage.value(&format!("select coalesce(max(length({column})), 0) from public.{table}")).await;
        longest.push((format!("{table}.{column}"), length));
    }
    longest
}

/// As if every pause and delay were over.
async fn make_all_due(stage: &Stage) {
    let due = "delete from platform_state;
               update conversion_queue set next_retry_at = null where status in ('pending', 'failed');
               update conversion_queue set next_status_check_at = now() - interval '1 minute'
               where status = 'uploaded' and confirmed_at is null;
               update inbox_events set fetch_due_at = now() - interval '1 minute' where state = 'received'";
    sqlx::raw_sql(due).execute(&stage.pool).await.unwrap();
}

/// Conversions that wait for a retry, by the code of their reason.
async fn waiting(stage: &Stage) -> BTreeMap<String, i64> {
    let waiting = "select last_error_code, count(*) from conversion_queue
                   where status = 'pending' and next_retry_at between now() and now() + interval '90 minutes'
                       and length(last_error) between 20 and 1000 and retry_count = 0 and transport_failures > 0
                   group by 1";
    sqlx::query_as(waiting).fetch_all(&stage.pool).await.unwrap().into_iter().collect()
}

fn pipedrive_deal(n: usize) -> String {
    json!({
        "meta": {"action": "change", "entity": "deal", "id": format!("e-{n}"), "timestamp": "2026-11-20T11:03:12Z"},
        "data": {"id": n, "status": "won", "won_time": "2026-11-20T11:03:11Z", "person_id": 179},
    })
    .to_string()
}

async fn send_pipedrive_deals(stage: &Stage, numbers: std::ops::Range<usize>) {
    stage.crm.put(Kind::Person, [json!({"id": 179, "label": "A\u{1}\u{1b}[31m", "emails": []})]).unwrap();
    for n in numbers {
        assert_eq!(stage.webhook("pipedrive", pipedrive_deal(n)).await.status, StatusCode::ACCEPTED);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn bad_answers_of_google_take_little_memory_and_the_good_ones_are_delivered(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let kinds = bad_answers();
    stage.queue(100).await;
    let uploader = Uploader::start(&stage, "data_manager").await;

    // Without a token nothing is sent.
    for kind in &kinds {
        stage.google.script(Fault::once(Endpoint::Token, kind.clone())).unwrap();
        let summary = uploader.run().await;
        assert_eq!((&summary["claimed"], &summary["paused"]), (&json!(0), &json!(["google_ads"])), "{kind:?}");
        make_all_due(&stage).await;
    }

    // Five of the first ten answers are bad, and four later ones. Dates of 1970 change nothing.
    stage.google.script(Fault::once(Endpoint::Token, bad(from_1970()))).unwrap();
    for on in [Endpoint::Ingest, Endpoint::Status] {
        stage.google.script(Fault::once(on, bad(from_1970())).times(2)).unwrap();
        for (n, kind) in kinds.iter().enumerate() {
            stage.google.script(Fault::once(on, kind.clone()).after(if n < 5 { 0 } else { 10 })).unwrap();
        }
    }
    let summary = uploader.run().await;
    assert_eq!((&summary["accepted"], &summary["postponed"]), (&json!(91), &json!(9)), "{summary}");
    let long = "UNAVAILABLE\u{fffd}".repeat(99).chars().take(99).chain(['…']).collect::<String>();
    let expected = [(long.as_str(), 1), ("connection_failed", 1), ("unreadable_answer", 7)];
    assert_eq!(waiting(&stage).await, counts(&expected));
    assert_eq!(stage.google.conversions().len(), 98, "Google has counted most of those whose answers were bad");

    make_all_due(&stage).await;
    let summary = uploader.run().await;
    assert_eq!((&summary["accepted"], &summary["postponed"]), (&json!(9), &json!(0)), "{summary}");
    let confirmed = "select count(*) from conversion_queue where confirmed_at is not null";
    assert_eq!(stage.value::<i64>(confirmed).await, 82);

    make_all_due(&stage).await;
    uploader.run().await;
    assert_eq!(stage.value::<i64>(confirmed).await, 100);
    assert_eq!(stage.value::<i64>("select sum(retry_count)::bigint from conversion_queue").await, 0);
    assert_eq!(stage.google.conversions().len(), 100, "each is counted once");

    let longest = longest_texts(&stage).await;
    assert!(longest.iter().all(|(_, length)| *length <= 1_000), "{longest:?}");
    assert!(longest.contains(&("upload_attempts.reason".into(), 1_000)), "no text was cut: {longest:?}");
    uploader.end().await;
}

/// Bad answers about a batch of 1,100 conversions.
async fn bad_answers_about_a_batch(pool: PgPool, transport: &str, on: Endpoint) {
    let stage = Stage::new(pool).await;
    stage.google.keep_bodies(false);
    stage.queue(1_100).await;
    let uploader = Uploader::start(&stage, transport).await;
    // Parsed, it takes as much memory as an answer within the limits can.
    let details: Vec<_> = (0..49_000).map(|_| json!({"": 0})).collect();
    let swollen = json!({"error": {"code": 503, "message": "x".repeat(7_000_000), "details": details}});
    let swollen = FaultKind::Http { status: 503, retry_after: None, reason: None, body: Some(swollen) };
    let large = [BadAnswer::Endless {}, BadAnswer::Padded { megabytes: 50 }, texts("x", 17_000)];
    for kind in [swollen].into_iter().chain(large.map(bad)) {
        stage.google.script(Fault::once(on, kind.clone())).unwrap();
        let summary = uploader.run().await;
        assert_eq!((&summary["claimed"], &summary["accepted"]), (&json!(1_100), &json!(0)), "{kind:?}: {summary}");
        assert_eq!(waiting(&stage).await.values().sum::<i64>(), 1_100, "{kind:?}");
        make_all_due(&stage).await;
    }
    uploader.run().await;
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where status = 'uploaded'").await, 1_100);
    assert_eq!(stage.google.conversions().len(), 1_100);
    let longest = longest_texts(&stage).await;
    assert!(longest.iter().all(|(_, length)| *length <= 1_000), "{longest:?}");
    uploader.end().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn bad_answers_about_a_batch_take_little_memory(pool: PgPool) {
    bad_answers_about_a_batch(pool, "data_manager", Endpoint::Ingest).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn bad_answers_of_the_google_ads_api_take_little_memory(pool: PgPool) {
    bad_answers_about_a_batch(pool, "google_ads", Endpoint::ClickConversions).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn bad_answers_of_a_crm_take_little_memory_and_the_other_events_are_processed(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let uploader = Uploader::start(&stage, "data_manager").await;
    let kinds = [
        BadAnswer::Endless {},
        BadAnswer::Padded { megabytes: 50 },
        texts("\0", 1),
        BadAnswer::InvalidUtf8 {},
        BadAnswer::WrongLength { by: 7 },
        BadAnswer::WrongLength { by: -7 },
    ];
    let received = "select count(*) from inbox_events where state = 'received' and length(reason) between 20 and 250";
    for (n, kind) in kinds.iter().enumerate() {
        send_pipedrive_deals(&stage, n * 10..n * 10 + 10).await;
        stage.crm.spoil(Crm::Pipedrive, kind.clone(), 2);
        let summary = uploader.run().await;
        assert_eq!(summary["fetched"], 8, "{kind:?}: {summary}");
        assert_eq!(stage.value::<i64>(received).await, 2, "{kind:?}");
        make_all_due(&stage).await;
        stage.crm.spoil(Crm::Pipedrive, from_1970(), 2);
        assert_eq!(uploader.run().await["fetched"], 2, "{kind:?}");
    }
    assert_eq!(stage.value::<i64>("select count(*) from inbox_events where state = 'taken'").await, 60);
    assert_eq!(stage.value::<i64>("select count(distinct crm_deal_id) from inbox").await, 60);
    assert_eq!(stage.value::<i64>("select count(*) from inbox").await, 60, "each is kept once");
    uploader.end().await;
}

/// A stage with a Pipedrive source whose rule quotes a field that was looked up.
async fn quoting_stage(pool: PgPool) -> Stage {
    let clock = Clock::fixed("2026-11-22T12:00:00Z".parse().unwrap());
    Stage::with_clock(pool, GoogleAccount::dev(), clock, |values| {
        let sources = values["CRM_SOURCES"].expose_secret().to_owned();
        let only = "only = { \"/meta/entity\" = \"deal\", \"/fetched/person/label\" = \"customer\" }";
        let quoting = sources.replace("preset = \"pipedrive\"", &format!("preset = \"pipedrive\"\n{only}"));
        values.insert("CRM_SOURCES".into(), SecretString::from(quoting));
    })
    .await
}

#[sqlx::test(migrations = "../migrations")]
async fn control_characters_in_a_quoted_field_are_replaced(pool: PgPool) {
    let stage = quoting_stage(pool).await;
    send_pipedrive_deals(&stage, 0..1).await;
    assert_eq!(stage.tick().await["fetched"], 1);
    let reason: String = stage.value("select reason from inbox_events").await;
    assert_eq!(reason, "only /fetched/person/label = customer is processed; /fetched/person/label = A��[31m");

    // U+0000 is refused as in a webhook. The event waits and says why.
    stage.crm.put(Kind::Person, [json!({"id": 179, "label": "A\0"})]).unwrap();
    assert_eq!(stage.webhook("pipedrive", pipedrive_deal(1)).await.status, StatusCode::ACCEPTED);
    assert_eq!(stage.tick().await["fetched"], 0);
    let waiting = stage.row("(select * from inbox_events where state = 'received')").await;
    assert_eq!(waiting["fetch_failures"], 1);
    let said = "Pipedrive sent an unreadable answer: /data/label must not contain U+0000. Adtrail retries by itself.";
    assert_eq!(waiting["reason"], said);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_that_cannot_be_stored_backs_off_and_the_others_are_processed(pool: PgPool) {
    let stage =
        Stage::with_clock(pool, GoogleAccount::dev(), Clock::fixed("2026-11-22T12:00:00Z".parse().unwrap()), |_| {});
    let stage = stage.await;
    send_pipedrive_deals(&stage, 0..8).await;
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as
         $$ begin raise exception 'refused' using errcode = '22021'; end $$;
         create trigger refuse before update on inbox_events for each row
         when (new.state <> 'received' and new.crm_deal_id = '0') execute function refuse()",
    )
    .execute(&stage.pool)
    .await
    .unwrap();

    assert_eq!(stage.tick().await["fetched"], 7);
    let waiting = stage.row("(select * from inbox_events where state = 'received')").await;
    assert_eq!(waiting["crm_deal_id"], "0");
    assert_eq!(
        (&waiting["fetch_failures"], &waiting["reason"]),
        (&json!(1), &json!("the database refused a value (SQLSTATE 22021)"))
    );
    assert_eq!(waiting["fetch_due_at"], "2026-11-22T12:15:00+00:00", "as after any failure");
}
