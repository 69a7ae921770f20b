//! Health takes as long with ten million rows as with a thousand.

use std::fs;
use std::path::Path;

use serde_json::Value;
use shared::App;
use shared::consent::UnknownConsent;
use shared::db::DbError;
use shared::{health, intake};
use sqlx::PgPool;
use testing::{app, execute};

/// The text of a statement, as it is described in .sqlx.
fn statement(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let described = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let texts = described.map(|json| serde_json::from_slice::<Value>(&json).unwrap());
    let mut texts = texts.filter_map(|it| it["query"].as_str().map(String::from));
    texts.find(|text| text.lines().next() == Some(&format!("-- {name}"))).unwrap_or_else(|| panic!("{name}"))
}

/// How Postgres would run it, if it could help reading a whole table.
async fn plan(pool: &PgPool, name: &str, parameters: &[&str]) -> String {
    let named = parameters.iter().enumerate().rev();
    let text = named.fold(statement(name), |text, (nth, value)| text.replace(&format!("${}", nth + 1), value));
    let app: App<()> = app(pool);
    let explain = format!("explain (costs off) {text}");
    let lines: Result<Vec<String>, DbError> = app
        .db
        .tx(async |tx| {
            sqlx::query("set local enable_seqscan = off").execute(&mut *tx).await?;
            sqlx::query_scalar(&explain).fetch_all(tx).await.map_err(DbError::from)
        })
        .await;
    lines.unwrap().join("\n")
}

/// The conditions of these indexes stand in their migrations, and again in the statements.
#[sqlx::test(migrations = "../migrations")]
async fn what_health_counts_it_finds_by_indexes_made_for_that(pool: PgPool) {
    let now = "timestamptz '2026-11-20T12:00:00Z'";
    let lanes = "array['google_ads']::text[]";
    for (name, parameters, indexes) in [
        ("health::website::paid_visits", &[now, "10"][..], &["visitors_paid_idx"][..]),
        ("health::website::forms", &[now, "10"], &["leads_created_at_idx", "leads_warned_at_idx"]),
        (
            "health::queue::read",
            &["array['granted']::text[]", now, lanes, lanes, "10"],
            &[
                "conversion_queue_uploaded_at_idx",
                "conversion_queue_refused_idx",
                "conversion_queue_without_verdict_idx",
            ],
        ),
        ("health::inbox::read", &[now, "10"], &["leads_spam_signs_idx"]),
    ] {
        let plan = plan(&pool, name, parameters).await;
        for index in indexes {
            assert!(plan.contains(index), "{name} doesn't use {index}:\n{plan}");
        }
        for table in ["visitors", "leads", "conversion_queue"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name} reads all of {table}:\n{plan}");
        }
    }
}

/// 100,010 of one deal each were taken by the platform, the oldest 20 without a verdict; 3 were refused.
#[sqlx::test(migrations = "../migrations")]
async fn of_what_is_finished_the_newest_are_counted(pool: PgPool) {
    let app: App<intake::Config> = app(&pool);
    execute(
        &pool,
        "set session_replication_role = replica;
         insert into public.conversions (
             id, lead_id, conversion_type, idempotency_key, crm_deal_id, occurred_at, transaction_id
         )
         select
             ('00000000-0000-0000-0000-' || to_char(n, 'FM000000000000'))::uuid, gen_random_uuid(), 'closed',
             n || ':closed', n, now(), 't' || n
         from generate_series(1, 100013) n;
         insert into public.conversion_queue (
             conversion_id, platform, status, uploaded_at, request_id, confirmed_at, dead_lettered_at, last_error,
             last_error_code
         )
         select
             ('00000000-0000-0000-0000-' || to_char(n, 'FM000000000000'))::uuid, 'google_ads', 'uploaded',
             timestamptz '2026-10-01' + n * interval '1 second', 'r', case when n > 20 then now() end, null, null, null
         from generate_series(1, 100010) n
         union all
         select
             ('00000000-0000-0000-0000-' || to_char(n, 'FM000000000000'))::uuid, 'google_ads', 'dead_letter', null,
             null, null, timestamptz '2026-10-01', 'refused', 'REFUSED'
         from generate_series(100011, 100013) n;
         set session_replication_role = origin",
    )
    .await;
    let (destinations, now) = (&app.config.destinations, app.clock.now());
    let check = app.db.tx(async |tx| health::check(tx, destinations, &[], UnknownConsent::default(), now).await);
    let health: Result<_, DbError> = check.await;
    let queue = health.unwrap().queue;
    assert_eq!((queue.uploaded, queue.confirmed, queue.unconfirmed), (100_000, 99_990, 10));
    assert_eq!((queue.pending, queue.failed, queue.dead_letter), (0, 0, 3));
}
