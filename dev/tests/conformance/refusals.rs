//! When a platform says no, or nothing.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::health::Status;
use sqlx::PgPool;
use testing::row;

use crate::platforms;
use crate::trial::{MAIN, Trial, id_of};
use crate::wire::Trouble;

/// Does this read like a sentence for the operator, and not like a code?
fn is_sentence(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.split(' ').count() > 2)
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_refused_for_good_is_a_dead_letter_that_says_why(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        for name in ["jane", "joe"] {
            trial.closed(&adtrail, name).await;
        }
        trial.sandbox.reject(&id_of("joe"));
        let run = adtrail.run().await;
        assert_eq!((run.accepted, run.rejected, run.paused.len()), (1, 1, 0), "{run:?}");
        trial.assert_received_once(&["jane"]);
        let [jane, joe] = trial.queue().await.try_into().unwrap();
        assert_eq!((&jane["status"], &joe["status"]), (&json!("uploaded"), &json!("dead_letter")));
        let code = joe["last_error_code"].as_str().unwrap();
        assert!(!code.is_empty() && is_sentence(&joe["last_error"]), "{joe}");
        let reasons = adtrail.health().await.queue.reasons;
        assert_eq!(reasons.iter().map(|it| (it.code.as_str(), it.rows)).collect::<Vec<_>>(), [(code, 1)]);

        let asked = trial.requests_about("joe").len();
        adtrail.run_for_hours(24).await;
        assert_eq!(trial.requests_about("joe").len(), asked, "it isn't tried again");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn while_the_platform_is_away_everything_waits_and_nothing_is_lost(pool: PgPool) {
    for platform in platforms::ALL {
        // Away from the start, and after it was there: an access token may be at hand then.
        for was_there in [false, true] {
            let trial = Trial::of(platform, &pool).await;
            let adtrail = trial.deployed();
            let mut names = vec!["jane", "joan", "joe"];
            if was_there {
                trial.closed(&adtrail, "early").await;
                adtrail.run().await;
                names.insert(0, "early");
            }
            for name in ["jane", "joan", "joe"] {
                trial.closed(&adtrail, name).await;
            }
            trial.wire.breaks(Trouble::Away);
            let run = adtrail.run().await;
            assert_eq!((run.accepted, run.rejected), (0, 0), "{run:?}");
            adtrail.run_for_hours(6).await;
            let open = trial.queue().await.into_iter().filter(|it| it["status"] == "pending");
            let open: Vec<_> = open.map(|it| json!([it["crm_deal_id"], it["retry_count"], it["lock_token"]])).collect();
            assert_eq!(open, ["jane", "joan", "joe"].map(|name| json!([name, 0, null])), "no attempt is used up");
            let health = adtrail.health().await;
            assert_ne!(health.status, Status::Healthy);

            trial.wire.is_mended();
            assert_eq!(adtrail.run_for_hours(2).await, 3);
            trial.assert_received_once(&names);
            let health = adtrail.health().await;
            assert_eq!(health.status, Status::Healthy, "{health:?}");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn refused_credentials_pause_the_lane_with_the_fix_until_they_are_right(pool: PgPool) {
    for platform in platforms::ALL {
        for was_there in [false, true] {
            let trial = Trial::of(platform, &pool).await;
            let adtrail = trial.deployed();
            let mut names = vec!["jane", "joan", "joe"];
            if was_there {
                trial.closed(&adtrail, "early").await;
                adtrail.run().await;
                names.insert(0, "early");
            }
            for name in ["jane", "joan", "joe"] {
                trial.closed(&adtrail, name).await;
            }
            trial.sandbox.refuse_credentials();
            let run = adtrail.run().await;
            assert_eq!((run.accepted, run.rejected, run.paused), (0, 0, vec![MAIN.to_owned()]));
            let paused = row(&pool, "select state, reason from public.platform_state").await;
            let says_fix = |name: &&str| paused["reason"].as_str().is_some_and(|it| it.contains(*name));
            assert!(paused["state"] == "paused" && is_sentence(&paused["reason"]), "{paused}");
            assert!(trial.sandbox.credentials().iter().any(says_fix), "which setting? {paused}");
            let open = trial.queue().await.into_iter().filter(|it| it["status"] == "pending");
            assert_eq!(open.map(|it| it["retry_count"].clone()).collect::<Vec<_>>(), [0, 0, 0]);
            let health = adtrail.health().await;
            assert_ne!(health.status, Status::Healthy);
            assert_eq!(health.platforms[0].reason.as_ref(), paused["reason"].as_str().map(String::from).as_ref());

            let sent = trial.wire.sent().len();
            adtrail.run_after(TimeDelta::minutes(5)).await;
            assert_eq!(trial.wire.sent().len(), sent, "it is left alone");

            trial.sandbox.take_credentials();
            assert_eq!(adtrail.run_for_hours(1).await, 3);
            trial.assert_received_once(&names);
            let health = adtrail.health().await;
            assert_eq!((health.status, health.platforms[0].state.as_str()), (Status::Healthy, "active"));
        }
    }
}
