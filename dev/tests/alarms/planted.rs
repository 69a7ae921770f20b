//! What goes wrong, and a day on which nothing does.

use chrono::TimeDelta;
use dev::lambda_runtime::LambdaRuntime;
use google_sandbox::EventPoison;
use serde_json::{Value, json};
use testing::sqs::{DEAD, SPOOL, Sqs};
use testing::{DueConversion, due_at, execute, store, waiting_deal};

use crate::cloudwatch::Datapoint;
use crate::deployment::{Deployment, Ended, NO_DATABASE, SECRET, invoke, start};
use crate::document::Template;

const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

fn deal(id: &str) -> Value {
    json!({"crm_deal_id": id, "conversion_type": "closed", "email": "jane@example.com"})
}

/// A conversion that Google can attribute, due so long ago.
fn due(deployment: &Deployment, ago: TimeDelta) -> DueConversion {
    let now = deployment.stage.clock.now();
    let click = json!({"gclid": "Click-1", "click_at": now - TimeDelta::days(3)});
    due_at(now).conversion(&click).queue(&json!({"created_at": now - ago}))
}

/// Google refuses the refresh token.
fn refuse_credentials(deployment: &mut Deployment) {
    deployment.set("GOOGLE_REFRESH_TOKEN", "revoked");
}

pub async fn a_good_day(deployment: &mut Deployment) {
    deployment.set("CONSENT_UNKNOWN", "hold");
    let pool = deployment.stage.pool.clone();
    due(deployment, TimeDelta::minutes(1)).store(&pool).await;
    let held = due(deployment, TimeDelta::days(30)).conversion(&json!({"ad_user_data": "unknown", "gclid": "Click-2"}));
    held.store(&pool).await;
    let later = json!({"next_retry_at": deployment.stage.clock.now() + TimeDelta::hours(6)});
    due(deployment, TimeDelta::hours(30)).queue(&later).conversion(&json!({"gclid": "Click-3"})).store(&pool).await;
    for n in 0..6 {
        assert_eq!(deployment.webhooks(SECRET, &[deal(&format!("D-{n}"))]).await, [202]);
        if n == 2 {
            assert_eq!(deployment.webhooks(OTHER_SECRET, &[deal("forged")]).await, [401]);
        }
        assert!(matches!(deployment.run().await, Ended::With(_)));
    }
    let accepted: f64 = deployment.metrics.iter().filter(|it| it.metric == "Accepted").map(|it| it.value).sum();
    let is_of_all = |it: &&Datapoint| it.dimensions.len() == 1 && it.metric == "AcceptedLastDay";
    let of_day = deployment.metrics.iter().rfind(is_of_all).map(|it| it.value);
    assert_eq!((accepted, of_day), (1.0, Some(1.0)), "{:#?}", deployment.metrics);
}

/// No function answers to the schedule's name. EventBridge repeats the call as its policy says; then the message is in
/// the queue of dead letters, and SQS measures that until somebody deletes it.
pub async fn the_schedule_cannot_start_the_uploader(deployment: &mut Deployment) {
    deployment.runs(1).await;
    let template = Template::read();
    let [(_, schedule)] = template.events("ScheduleV2")[..] else { panic!("one schedule") };
    assert!(schedule["RetryPolicy"]["MaximumEventAgeInSeconds"].as_i64().unwrap() <= 900, "within a period");
    let queue = schedule["DeadLetterConfig"]["Arn"]["Fn::GetAtt"].as_str().unwrap().strip_suffix(".Arn").unwrap();
    deployment.measure("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue, 1.0);
    for_a_quarter_of_an_hour(deployment);
}

pub async fn runs_fail_because_the_database_is_away(deployment: &mut Deployment) {
    deployment.set("DATABASE_URL", NO_DATABASE);
    for _ in 0..2 {
        assert_eq!(deployment.run().await, Ended::Failed);
    }
}

pub async fn the_schedule_stops(deployment: &mut Deployment) {
    deployment.runs(1).await;
    // Three, and the two more that CloudWatch looks at.
    deployment.pass(5);
}

pub async fn a_run_hangs(deployment: &mut Deployment) {
    assert_eq!(deployment.run_stopped().await, Ended::ByTimeout);
}

pub async fn the_credentials_are_refused(deployment: &mut Deployment) {
    refuse_credentials(deployment);
    due(deployment, TimeDelta::minutes(1)).store(&deployment.stage.pool.clone()).await;
    deployment.runs(4).await;
}

pub async fn rows_wait_for_a_day_behind_a_pause(deployment: &mut Deployment) {
    refuse_credentials(deployment);
    due(deployment, TimeDelta::hours(25)).store(&deployment.stage.pool.clone()).await;
    deployment.runs(1).await;
}

pub async fn a_conversion_is_rejected_for_good(deployment: &mut Deployment) {
    deployment.stage.google.poison("adtrail-1", EventPoison::new("INVALID_EVENT"));
    let rejected = due(deployment, TimeDelta::minutes(1)).conversion(&json!({"transaction_id": "adtrail-1"}));
    rejected.store(&deployment.stage.pool.clone()).await;
    let now = deployment.stage.clock.now();
    let by_nobody_knows_what = json!({
        "created_at": now, "status": "dead_letter", "dead_lettered_at": now, "last_error_code": "INVENTED_LATER",
        "last_error": "why",
    });
    let given_up = due(deployment, TimeDelta::zero()).queue(&by_nobody_knows_what);
    given_up.conversion(&json!({"gclid": "Click-2"})).store(&deployment.stage.pool.clone()).await;
    deployment.runs(1).await;
    let reasons = deployment.metrics.iter().filter_map(|it| it.dimensions.get("Reason"));
    assert_eq!(reasons.collect::<Vec<_>>(), ["INVALID_EVENT", "other"]);
}

pub async fn a_crm_signs_with_another_secret(deployment: &mut Deployment) {
    let bodies = ["D-1", "D-2", "D-3"].map(deal);
    assert_eq!(deployment.webhooks(OTHER_SECRET, &bodies).await, [401; 3]);
    deployment.runs(4).await;
}

pub async fn the_crm_has_the_secret(deployment: &mut Deployment) {
    assert_eq!(deployment.webhooks(SECRET, &[deal("D-1")]).await, [202]);
    deployment.runs(1).await;
}

pub async fn a_crm_leaves_out_a_field(deployment: &mut Deployment) {
    assert_eq!(deployment.webhooks(SECRET, &[json!({"conversion_type": "closed"})]).await, [400]);
    deployment.runs(1).await;
}

pub async fn a_crm_stops_after_four_weeks(deployment: &mut Deployment) {
    let now = deployment.stage.clock.now();
    let deals = [9, 16, 23, 30].map(|days| {
        let received = json!({"source": "crm-conversion", "received_at": now - TimeDelta::days(days)});
        waiting_deal(&format!("D-{days}"), "jane@example.com").with(&received)
    });
    store(&deployment.stage.pool, deals.into()).await;
    deployment.runs(1).await;
}

/// The runs themselves do all that they have to do.
pub async fn a_table_cannot_be_counted(deployment: &mut Deployment) {
    execute(&deployment.stage.pool, "alter table public.visitors rename to visitors_away").await;
    for _ in 0..2 {
        assert!(matches!(deployment.run().await, Ended::With(_)));
    }
}

/// SQS, which the functions reach.
async fn spool(deployment: &mut Deployment) -> Sqs {
    let sqs = Sqs::start().await;
    for (name, value) in [
        ("SPOOL_QUEUE_URL", sqs.url(SPOOL).as_str()),
        ("SPOOL_DEAD_LETTERS_URL", &sqs.url(DEAD)),
        ("AWS_ENDPOINT_URL", sqs.address()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "example"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
    ] {
        deployment.set(name, value);
    }
    sqs
}

pub async fn a_message_cannot_be_read(deployment: &mut Deployment) {
    let sqs = spool(deployment).await;
    sqs.put(SPOOL, "something else");
    let batch = sqs.batch(10).unwrap();
    let runtime = LambdaRuntime::start().await.unwrap();
    let drain = start(&runtime, "drain-spool", "adtrail-DrainSpool-1A2B3C", &deployment.values);
    let (Ended::With(answer), _) = invoke(&runtime, &drain, batch.clone(), false).await else { panic!("it fails") };
    sqs.settle(&batch, &answer);
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (0, 1));
    deployment.measure("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "SpoolDeadLetters", 1.0);
    for_a_quarter_of_an_hour(deployment);
}

pub async fn the_database_stays_away(deployment: &mut Deployment) {
    let sqs = spool(deployment).await;
    deployment.set("DATABASE_URL", NO_DATABASE);
    assert_eq!(deployment.webhooks(SECRET, &[deal("D-1")]).await, [202]);
    assert_eq!(sqs.count(SPOOL), 1);
    // Until it is tried again it is hidden.
    let mut hours = Vec::new();
    for (visible, hidden) in [(1.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)] {
        deployment.metrics.clear();
        deployment.measure("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "SpoolQueue", visible);
        deployment.measure("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", "SpoolQueue", hidden);
        for_a_quarter_of_an_hour(deployment);
        hours.append(&mut deployment.metrics);
    }
    deployment.metrics = hours;
}

pub async fn webhooks_are_answered_503(deployment: &mut Deployment) {
    deployment.set("DATABASE_URL", NO_DATABASE);
    let bodies = ["D-1", "D-2", "D-3", "D-4", "D-5"].map(deal);
    assert_eq!(deployment.webhooks(SECRET, &bodies).await, [503; 5]);
    for_a_quarter_of_an_hour(deployment);
}

pub async fn a_request_hangs(deployment: &mut Deployment) {
    assert_eq!(deployment.webhook_to_stopped(SECRET, deal("D-1")).await, 503);
    for_a_quarter_of_an_hour(deployment);
}

/// What was measured is measured again in the next two periods of five minutes: the senders repeat all of it, or it
/// lasts.
fn for_a_quarter_of_an_hour(deployment: &mut Deployment) {
    let first = deployment.metrics.clone();
    for minutes in [5, 10] {
        let later = first.iter().cloned().map(|it| Datapoint { at: it.at + TimeDelta::minutes(minutes), ..it });
        deployment.metrics.extend(later);
    }
    deployment.pass(1);
}
