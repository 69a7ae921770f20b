//! What is due is received, once.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use shared::App;
use shared::db::DbError;
use shared::deals::Stage;
use shared::health::Status;
use shared::platforms::{Allowance, Check, Delivery, Operation, Outcome};
use shared::queue::{self, Claim};
use sqlx::PgPool;
use testing::row;

use crate::platforms;
use crate::trial::{Deployment, MAIN, Trial, click_of, id_of};
use crate::wire::Trouble;

#[sqlx::test(migrations = "../migrations")]
async fn without_anything_due_nothing_is_requested(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        adtrail.run().await;
        assert_eq!(trial.wire.sent(), []);

        trial.closed(&adtrail, "jane").await;
        adtrail.run().await;
        adtrail.run_for_hours(1).await;
        let sent = trial.wire.sent();
        adtrail.run_for_hours(24).await;
        assert_eq!(trial.wire.sent(), sent, "all was delivered");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_due_is_received_once_where_it_belongs_and_uploaded(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        for name in ["jane", "joan", "joe"] {
            trial.closed(&adtrail, name).await;
        }
        let run = adtrail.run().await;
        assert_eq!((run.claimed, run.accepted), (3, 3), "{run:?}");
        trial.assert_received_once(&["jane", "joan", "joe"]);
        let targets: Vec<_> = trial.received().into_iter().map(|it| it.target).collect();
        let uploaded = trial.columns(&["platform", "status", "retry_count", "last_error", "sent_to"]).await;
        assert_eq!(uploaded, targets.iter().map(|it| json!([MAIN, "uploaded", 0, null, it])).collect::<Vec<_>>());

        // By what its network knows the click.
        let sent: Vec<_> =
            trial.requests_about("jane").into_iter().filter(|it| it.body.contains(&click_of("jane"))).collect();
        assert_eq!(sent.len(), 1);
        let attempts = "select distinct platform, transport, http_status from public.upload_attempts";
        let attempt = row(&pool, attempts).await;
        let transport = adtrail.lane(Operation::Upload).route().transport;
        assert_eq!(attempt, json!({"platform": MAIN, "transport": transport, "http_status": 200}));

        // Whether it gives receipts or not: in the end nothing is open.
        adtrail.run_for_hours(24).await;
        trial.assert_received_once(&["jane", "joan", "joe"]);
        assert!(trial.queue().await.iter().all(|row| !row["confirmed_at"].is_null()));
        let health = adtrail.health().await;
        assert_eq!((health.status, health.queue.confirmed), (Status::Healthy, 3));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_reply_does_not_count_a_conversion_twice(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        // An access token that is needed is there.
        trial.closed(&adtrail, "jane").await;
        adtrail.run().await;

        trial.closed(&adtrail, "joe").await;
        trial.wire.breaks(Trouble::RepliesLost);
        assert_eq!(adtrail.run().await.accepted, 0);
        assert_eq!(trial.received().len(), 2, "the platform has it, and Adtrail can't know");
        trial.wire.is_mended();
        adtrail.run_for_hours(2).await;
        assert_eq!(trial.received().len(), 2);
        assert_eq!(trial.columns(&["status", "retry_count"]).await, [json!(["uploaded", 0]), json!(["uploaded", 0])]);
    }
}

impl Deployment {
    /// Claims what is due for [`MAIN`], sends it as a run until then does, and settles it.
    async fn send_until(&self, end: DateTime<Utc>) -> (Claim, Delivery) {
        let App { config, db, clock } = &self.uploader;
        let (lane, now) = (self.lane(Operation::Upload), clock.now());
        lane.ready().await.unwrap();
        let claim: Result<_, DbError> =
            db.tx(async |tx| queue::claim(tx, &config.policy, lane.route(), 50, now).await).await;
        let claim = claim.unwrap();
        let allowance = Allowance::new(clock.clone(), end, lane.limits(), (0, 0));
        let delivery = lane.upload(&claim.conversions, &allowance).await;
        assert_eq!(delivery.outcomes.len(), claim.conversions.len(), "one outcome each");
        let settled: Result<_, DbError> = db
            .tx(async |tx| {
                let destinations = self.destinations();
                queue::settle(tx, &config.policy, destinations, lane.route(), &claim, &delivery, now).await
            })
            .await;
        assert_eq!(settled.unwrap(), claim.conversions.len() as u64);
        (claim, delivery)
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn each_conversion_of_a_batch_has_its_own_outcome(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        let names: Vec<_> = (10..22).map(|nth| format!("person-{nth}")).collect();
        for name in &names {
            trial.closed(&adtrail, name).await;
        }
        let bad = id_of("person-15");
        trial.sandbox.reject(&bad);
        let (claim, delivery) = adtrail.send_until(trial.now() + TimeDelta::minutes(10)).await;

        for (conversion, outcome) in claim.conversions.iter().zip(&delivery.outcomes) {
            let is_right = if conversion.transaction_id == bad {
                matches!(outcome, Outcome::Rejected(_))
            } else {
                outcome.is_accepted()
            };
            assert!(is_right, "{}: {outcome:?}", conversion.transaction_id);
        }
        let mut settled: Vec<_> = delivery.requests.iter().flat_map(|it| it.settled.clone()).collect();
        settled.sort_unstable();
        assert_eq!(settled, (0..12).collect::<Vec<_>>(), "each was settled by one request");
        for request in &delivery.requests {
            assert!(request.settled.iter().all(|it| request.conversions.contains(it)), "{request:?}");
        }
        let stored = trial.columns(&["crm_deal_id", "status"]).await;
        let status = |name: &String| if name == "person-15" { "dead_letter" } else { "uploaded" };
        assert_eq!(stored, names.iter().map(|name| json!([name, status(name)])).collect::<Vec<_>>());
        let others: Vec<_> = names.iter().map(String::as_str).filter(|name| *name != "person-15").collect();
        trial.assert_received_once(&others);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn when_a_run_is_over_nothing_is_sent_and_the_rows_stay_as_they_are(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        trial.closed(&adtrail, "jane").await;
        let before = trial.queue().await;
        let (_, delivery) = adtrail.send_until(trial.now()).await;
        assert_eq!((delivery.outcomes, delivery.requests.len()), (vec![Outcome::Unsent], 0));
        assert!(trial.received().is_empty() && trial.requests_about("jane").is_empty());
        let mut after = trial.queue().await;
        after[0]["claims"] = before[0]["claims"].clone();
        assert_eq!(after, before);
        adtrail.run().await;
        trial.assert_received_once(&["jane"]);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_preview_is_what_is_then_received_byte_for_byte(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        trial.closed(&adtrail, "jane").await;
        let preview = adtrail.preview(Operation::Upload).await;
        adtrail.run().await;
        let sent: Vec<_> = trial.requests_about("jane").into_iter().map(|it| (it.method, it.url, it.body)).collect();
        assert_eq!(sent, [(preview.method.to_owned(), preview.url, preview.body)]);
    }
}

/// `adtrail doctor` asks so.
#[sqlx::test(migrations = "../migrations")]
async fn a_check_says_whether_conversions_are_taken_and_none_arrives(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        let check = async || {
            let lane = adtrail.lane(Operation::Upload);
            let end = trial.now() + TimeDelta::minutes(1);
            lane.check(&Stage::closed(), &Allowance::new(trial.clock.clone(), end, lane.limits(), (0, 0))).await
        };
        let checked = check().await;
        assert!(matches!(checked, Check::Passed | Check::NotOffered), "{checked:?}");
        trial.sandbox.refuse_credentials();
        let refused = check().await;
        assert!(matches!(refused, Check::Refused(_)) || refused == Check::NotOffered, "{refused:?}");
        assert!(trial.received().is_empty());
    }
}
