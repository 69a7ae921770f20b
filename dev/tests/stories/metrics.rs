//! What the real uploader tells CloudWatch.

use std::process::Stdio;
use std::time::Duration;

use dev::lambda_runtime::LambdaRuntime;
use dev::settings;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{due_at, execute};
use tokio::time::timeout;

use crate::stage::{Stage, binary, database_url};

const PATIENCE: Duration = Duration::from_mins(1);

#[sqlx::test(migrations = "../migrations")]
async fn a_run_says_what_it_did_and_what_waits(pool: PgPool) {
    let stage = Stage::new(pool.clone()).await;
    stage.queue(2).await;
    // Nobody sends them, and the first of them has been due for an hour.
    for hours in [1, 0] {
        due_at(stage.clock.now())
            .queue(&json!({"platform": "former", "created_at": stage.clock.now() - chrono::TimeDelta::hours(hours)}))
            .store(&pool)
            .await;
    }
    execute(
        &pool,
        "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
         values ('google_ads_retractions', 'paused', 'why', now(), now() + interval '1 hour')",
    )
    .await;

    let runtime = LambdaRuntime::start().await.unwrap();
    let mut uploader = runtime.command(&binary("upload-conversions"));
    let mut values = settings::values(&database_url(&pool), &stage.base);
    values.retain(|name, _| !["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY"].contains(&name.as_str()));
    uploader.envs(values.iter().map(|(name, value)| (name, value.expose_secret())));
    let mut running = uploader.stdout(Stdio::piped()).spawn().unwrap();
    runtime.invoke(json!({"source": "aws.scheduler"}));
    timeout(PATIENCE, runtime.result()).await.expect("the run ends").unwrap().unwrap();
    running.start_kill().unwrap();
    let out = String::from_utf8(running.wait_with_output().await.unwrap().stdout).unwrap();

    let documents = out.lines().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let metrics: Vec<_> = documents.filter(|it| it.get("_aws").is_some()).collect();
    let run = metrics.iter().find(|it| it.get("Lane").is_none()).unwrap();
    assert_eq!(json!([run["Runs"], run["Accepted"], run["PausedLanes"]]), json!([1, 2, 1]), "{run}");
    let lane = |name: &str| metrics.iter().find(|it| it["Lane"] == name).unwrap_or_else(|| panic!("{metrics:?}"));
    let former = lane("former");
    assert_eq!(json!([former["Open"], former["Paused"]]), json!([2, 0]));
    let oldest = former["OldestDue"].as_i64().unwrap();
    assert!((3_600..3_700).contains(&oldest), "{oldest}");
    assert_eq!(lane("google_ads_retractions")["Paused"], 1);
    assert_eq!(lane("google_ads")["Open"], 0);
}
