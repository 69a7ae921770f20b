//! What a platform hears of a conversion that changes after it got it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::health::Status;
use shared::platforms::Operation;
use sqlx::PgPool;
use testing::row;

use crate::platforms;
use crate::trial::{Deployment, MAIN, Trial};
use crate::wire::Trouble;

/// What the CRM reports, and the correction that follows from it.
fn reports(now: DateTime<Utc>) -> [(Operation, Value); 2] {
    [
        (Operation::Restatement, json!({"value": 250, "updated_at": now})),
        (Operation::Retraction, json!({"conversion_type": "lost", "occurred_at": now})),
    ]
}

impl Trial {
    async fn open_rows(&self) -> Vec<Value> {
        let is_open = |row: &Value| row["status"] == "pending" || row["status"] == "failed";
        self.queue().await.into_iter().filter(is_open).collect()
    }

    /// Asserts that nothing is open and that all is well.
    async fn assert_nothing_is_open(&self, adtrail: &Deployment) {
        assert_eq!(self.open_rows().await, [Value::Null; 0]);
        let health = adtrail.health().await;
        assert_eq!((health.status, health.corrections.open), (Status::Healthy, 0), "{health:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_correction_is_sent_where_the_platform_takes_it_and_leaves_no_row_elsewhere(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        trial.closed(&adtrail, "jane").await;
        adtrail.run_for_hours(24).await;
        for (operation, report) in reports(trial.now()) {
            let before = trial.requests_about("jane").len();
            adtrail.report("jane", &report).await;
            let of_lane = |it: &Value| it["platform"] == operation.lane_of(MAIN);
            let is_queued = trial.queue().await.iter().any(of_lane);
            assert_eq!(is_queued, adtrail.corrects(operation), "{operation:?}");
            let preview = if is_queued { Some(adtrail.preview(operation).await) } else { None };
            adtrail.run_for_hours(24).await;
            let sent = trial.requests_about("jane").split_off(before);
            let sent: Vec<_> = sent.into_iter().map(|it| (it.method, it.url, it.body)).collect();
            let expected: Vec<_> = preview.into_iter().map(|it| (it.method.to_owned(), it.url, it.body)).collect();
            assert_eq!(sent, expected, "{operation:?}");
            trial.assert_nothing_is_open(&adtrail).await;
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_while_it_may_have_been_received_leaves_nothing_open(pool: PgPool) {
    for platform in platforms::ALL {
        for nth in 0..2 {
            let trial = Trial::of(platform, &pool).await;
            let adtrail = trial.deployed();
            // An access token that is needed is there.
            trial.closed(&adtrail, "early").await;
            adtrail.run().await;
            trial.closed(&adtrail, "jane").await;
            trial.wire.breaks(Trouble::RepliesLost);
            adtrail.run().await;
            let (_, report) = reports(trial.now())[nth].clone();
            adtrail.report("jane", &report).await;
            trial.wire.is_mended();
            adtrail.run_for_hours(24).await;
            trial.assert_nothing_is_open(&adtrail).await;
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_before_it_was_sent_needs_no_correction(pool: PgPool) {
    for platform in platforms::ALL {
        for (nth, expected) in [(0, 1), (1, 0)] {
            let trial = Trial::of(platform, &pool).await;
            let adtrail = trial.deployed();
            trial.closed(&adtrail, "jane").await;
            let (_, report) = reports(trial.now())[nth].clone();
            adtrail.report("jane", &report).await;
            assert_eq!(trial.queue().await.len(), expected);
            adtrail.run_for_hours(24).await;
            assert_eq!((trial.received().len(), trial.queue().await.len()), (expected, expected));
            trial.assert_nothing_is_open(&adtrail).await;
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn consent_that_is_withdrawn_leaves_nothing_open(pool: PgPool) {
    for platform in platforms::ALL {
        for (withdrawn, was_lost) in [("keep", false), ("keep", true), ("retract", false), ("retract", true)] {
            let trial = Trial::of(platform, &pool).await;
            let mut settings = trial.settings();
            settings.push(("CONSENT_WITHDRAWN", withdrawn.into()));
            let adtrail = trial.deploy(&trial.destination(MAIN, 0), &settings).unwrap();
            // An access token that is needed is there.
            trial.closed(&adtrail, "early").await;
            adtrail.run().await;
            trial.closed(&adtrail, "jane").await;
            if was_lost {
                trial.wire.breaks(Trouble::RepliesLost);
            }
            adtrail.run().await;
            trial.clock.advance(TimeDelta::minutes(1));
            adtrail.report("jane", &json!({"ad_user_data": "denied", "updated_at": trial.now()})).await;
            trial.wire.is_mended();
            let received = trial.requests_about("jane").len();
            adtrail.run_for_hours(24).await;
            let retracts = withdrawn == "retract" && adtrail.corrects(Operation::Retraction);
            assert_eq!(trial.requests_about("jane").len(), received + usize::from(retracts));
            let noted = "select consent_withdrawn_at is not null as is_noted from public.conversions
                         where crm_deal_id = 'jane'";
            assert_eq!(row(&pool, noted).await["is_noted"], true);
            let health = adtrail.health().await;
            assert_eq!((health.status, health.corrections.open), (Status::Healthy, 0), "{health:?}");
            adtrail.run_after(TimeDelta::days(200)).await;
            assert_eq!(trial.open_rows().await, [Value::Null; 0], "nothing waits for ever");
        }
    }
}
