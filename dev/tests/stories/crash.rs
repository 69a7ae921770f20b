//! The real uploader, killed where it hurts most: Google has accepted, and nothing says so yet.

use std::process::Stdio;
use std::time::Duration;

use dev::lambda_runtime::LambdaRuntime;
use dev::settings;
use google_sandbox::{Endpoint, Fault, FaultKind, ReceivedEvent};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::PgPool;
use testing::scaled;
use tokio::process::Child;
use tokio::time::timeout;

use crate::stage::{Stage, binary, database_url};

const PATIENCE: Duration = Duration::from_mins(1);
/// The rows that an uploader claims at a time, and sends together.
const CLAIM: i64 = 10;

fn start(binary: &std::path::Path, runtime: &LambdaRuntime, stage: &Stage) -> Child {
    let mut command = runtime.command(binary);
    let mut values = settings::values(&database_url(&stage.pool), &stage.base);
    // The real binaries refuse the secrets of `make dev`; the uploader has no use for them.
    values.retain(|name, _| !["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY"].contains(&name.as_str()));
    command.envs(values.iter().map(|(name, value)| (name, value.expose_secret())));
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn received(events: &[ReceivedEvent]) -> i64 {
    events.iter().map(|event| i64::from(event.received)).sum()
}

#[sqlx::test(migrations = "../migrations")]
async fn repeated_kills_after_acceptance_lose_nothing_and_count_nothing_twice(pool: PgPool) {
    let kills = scaled(100, 10);
    let (stage, binary) = (Stage::new(pool).await, binary("upload-conversions"));
    stage.queue(100).await;

    for kill in 0..kills {
        let before = received(&stage.google.events());
        let accepted = kill % CLAIM;
        stage.google.clear_faults();
        let hang = Fault::once(Endpoint::Ingest, FaultKind::NoReply {}).after(u32::try_from(accepted).unwrap());
        stage.google.script(hang).unwrap();
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut child = start(&binary, &runtime, &stage);
        runtime.invoke(json!({"source": "aws.scheduler"}));
        let accepts_one_more = stage.google.wait_until(|events| received(events) > before + accepted);
        timeout(PATIENCE, accepts_one_more).await.expect("the uploader sends");
        // SIGKILL: the uploader waits for an answer that doesn't come; nothing is written.
        child.kill().await.unwrap();

        let stuck = "select count(*) from conversion_queue where locked_until > now() + interval '300 s'";
        assert_eq!(stage.value::<i64>(stuck).await, 0, "a lease outlives its time");
        let leased = "select count(*) from conversion_queue where locked_until > now()";
        assert_eq!(stage.value::<i64>(leased).await, CLAIM, "the killed run held them");
        // One lease later.
        sqlx::query(
            "update conversion_queue set locked_until = locked_until - interval '300 s' where locked_until is not null",
        )
        .execute(&stage.pool)
        .await
        .unwrap();
    }

    stage.google.clear_faults();
    stage.tick().await;
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where status = 'uploaded'").await, 100);
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where locked_until is not null").await, 0);
    assert_eq!(stage.value::<i64>("select sum(claims)::bigint from conversion_queue").await, kills * CLAIM + 100);
    let events = stage.google.events();
    assert_eq!(events.len(), 100, "as many transactionIds as rows");
    assert!(events.iter().any(|event| event.received > 1), "nothing was sent again: the test proves nothing");
}

#[sqlx::test(migrations = "../migrations")]
async fn two_uploaders_at_once_never_send_the_same_row(pool: PgPool) {
    let (stage, binary) = (Stage::new(pool).await, binary("upload-conversions"));
    // Together no more than Google takes in a minute.
    stage.queue(240).await;
    let runtimes = [LambdaRuntime::start().await.unwrap(), LambdaRuntime::start().await.unwrap()];
    let _uploaders = runtimes.each_ref().map(|runtime| start(&binary, runtime, &stage));

    for runtime in &runtimes {
        timeout(PATIENCE, runtime.ready()).await.expect("it starts");
    }
    // No answer comes before both have claimed and sent, so each has rows whatever else the machine does.
    stage.google.script(Fault::once(Endpoint::Ingest, FaultKind::Held {}).times(u32::MAX)).unwrap();
    for (runtime, sent) in runtimes.iter().zip([CLAIM, 2 * CLAIM]) {
        runtime.invoke(json!({"source": "aws.scheduler"}));
        let sends = stage.google.wait_until(|events| received(events) == sent);
        timeout(PATIENCE, sends).await.expect("it sends what it claimed");
    }
    stage.google.clear_faults();
    let mut shares = Vec::new();
    for runtime in &runtimes {
        let summary = timeout(PATIENCE, runtime.result()).await.expect("the run ends").unwrap().unwrap();
        shares.push(summary["accepted"].as_i64().unwrap());
    }

    assert_eq!(shares.iter().sum::<i64>(), 240);
    assert!(shares.iter().all(|share| *share >= CLAIM), "only one of them worked: {shares:?}");
    let events = stage.google.events();
    assert_eq!(events.len(), 240);
    assert!(events.iter().all(|event| event.received == 1), "a row was sent twice");
}
