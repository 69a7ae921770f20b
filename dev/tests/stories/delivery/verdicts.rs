//! Accepted is not processed: what Google says later.

use chrono::TimeDelta;
use shared::db::DbError;
use shared::health::{self, Health};
use sqlx::PgPool;
use upload_conversions::Config;

use super::{Delivery, counts};

const REASON: &str = "PROCESSING_ERROR_REASON_";

impl Delivery {
    pub(super) async fn health(&self) -> Health {
        let Config { intake, policy, .. } = &self.app.config;
        let health: Result<_, DbError> = self
            .app
            .db
            .tx(async |tx| health::check(tx, &intake.destinations, &[], policy.unknown_consent, self.now()).await)
            .await;
        health.unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_late_rejection_is_retried_or_becomes_a_dead_letter(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..5).await;
    for (id, reason) in [(1, "INVALID_EVENT"), (2, "INTERNAL_ERROR"), (3, "TOO_RECENT_CLICK"), (4, "DUPLICATE_GCLID")] {
        delivery.google.decide(format!("adtrail-{id}"), format!("{REASON}{reason}"));
    }
    assert_eq!(delivery.tick().await.accepted, 5);
    let health = delivery.health().await;
    assert_eq!((health.queue.uploaded, health.queue.confirmed), (5, 0), "accepted, and nothing more is known");

    assert_eq!(delivery.tick_after(TimeDelta::minutes(31)).await.verdicts, 5);

    let expected = [("uploaded", 1), ("dead_letter", 1), ("failed", 1), ("pending", 2)];
    assert_eq!(delivery.statuses().await, counts(&expected));
    let health = delivery.health().await;
    assert_eq!((health.queue.uploaded, health.queue.confirmed, health.queue.dead_letter), (1, 1, 1));
    let codes: Vec<&str> = health.queue.reasons.iter().map(|it| it.code.trim_start_matches(REASON)).collect();
    assert_eq!(codes, ["DUPLICATE_GCLID", "INTERNAL_ERROR", "INVALID_EVENT", "TOO_RECENT_CLICK"]);
    assert_eq!(delivery.attempts_used().await, 1, "only Google's trouble with the row itself");

    // What was open goes again and is confirmed.
    (0..5).for_each(|id| delivery.google.undecide(&format!("adtrail-{id}")));
    for _ in 0..3 {
        delivery.tick_after(TimeDelta::hours(1)).await;
    }
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 4), ("dead_letter", 1)]));
    assert_eq!(delivery.health().await.queue.confirmed, 4);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_refused_in_part_is_resolved_one_by_one(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.google.name_refused(None);
    delivery.add_due(0..1_200).await;
    for id in [7, 700] {
        delivery.google.decide(format!("adtrail-{id}"), format!("{REASON}INVALID_EVENT"));
    }
    assert_eq!(delivery.tick().await.accepted, 1_200);
    assert_eq!(delivery.google.requests().ingest_calls, 1, "so many go together");
    // One verdict for all of them, and then as many requests as a minute allows.
    for _ in 0..8 {
        delivery.tick_after(TimeDelta::minutes(31)).await;
    }
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 1_198), ("dead_letter", 2)]));
    assert_eq!(delivery.health().await.queue.confirmed, 1_198);
    assert_eq!(delivery.attempts_used().await, 0);
    for id in [7, 700] {
        let row = delivery.row(&format!("adtrail-{id}"), "google_ads").await;
        assert_eq!(row["last_error_code"], format!("{REASON}INVALID_EVENT"));
    }
    assert_eq!(delivery.google.conversions().len(), 1_198);
    assert!(delivery.google.requests().busiest_minute <= 300);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_whose_refused_rows_are_named_is_resolved_at_once_and_then_batches_are_the_rule(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..1_200).await;
    let bad = |ids: &[i32], reason: &str| {
        for id in ids {
            delivery.google.decide(format!("adtrail-{id}"), format!("{REASON}{reason}"));
        }
    };
    bad(&[7, 700], "INVALID_EVENT");
    delivery.tick().await;
    delivery.tick_after(TimeDelta::minutes(31)).await;
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 1_198), ("dead_letter", 2)]));
    assert_eq!(delivery.health().await.queue.confirmed, 1_198);
    for id in [7, 700] {
        let row = delivery.row(&format!("adtrail-{id}"), "google_ads").await;
        assert_eq!(row["last_error_code"], format!("{REASON}INVALID_EVENT"));
    }
    let requests = delivery.google.requests();
    assert_eq!((requests.ingest_calls, requests.status), (1, 1), "nothing is sent or asked again");
    assert_eq!(delivery.attempts_used().await, 0);

    delivery.add_due(1_200..1_230).await;
    bad(&[1_203, 1_210, 1_220], "INVALID_EVENT");
    delivery.google.name_refused(Some(2));
    delivery.tick().await;
    assert_eq!(delivery.google.requests().ingest_calls, 2, "thirty go together");
    delivery.tick_after(TimeDelta::minutes(31)).await;
    let named = "select count(*) from public.conversion_queue where status = 'dead_letter'";
    assert_eq!(delivery.number(named).await, 2 + 2, "those that are named");
    for _ in 0..4 {
        delivery.tick_after(TimeDelta::minutes(31)).await;
    }
    assert_eq!(delivery.google.requests().ingest_calls, 2 + 28, "the others one by one");
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 1_225), ("dead_letter", 5)]));
    assert_eq!(delivery.health().await.queue.confirmed, 1_225);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_account_that_refuses_later_is_probed_and_not_flooded(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..30).await;
    (0..30).for_each(|id| delivery.google.decide(format!("adtrail-{id}"), format!("{REASON}NO_CONSENT")));
    delivery.tick().await;
    for _ in 0..12 {
        delivery.tick_after(TimeDelta::minutes(15)).await;
    }
    assert_eq!(delivery.statuses().await.get("dead_letter"), None);
    assert_eq!(delivery.attempts_used().await, 0);
    let sent = delivery.google.requests().ingest_calls;
    assert!(sent <= 30 + 6, "{sent} requests to an account that refuses everything");
    let health = delivery.health().await;
    let paused = health.platforms.iter().find(|it| it.platform == "google_ads").unwrap();
    assert!(paused.reason.as_ref().is_some_and(|it| it.contains("consented")), "{paused:?}");

    (0..30).for_each(|id| delivery.google.undecide(&format!("adtrail-{id}")));
    for _ in 0..10 {
        delivery.tick_after(TimeDelta::minutes(15)).await;
    }
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 30)]));
    let health = delivery.health().await;
    assert_eq!(health.queue.confirmed, 30);
    assert!(health.platforms.iter().all(|it| it.state == "active"), "{:?}", health.platforms);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_click_id_that_google_cannot_use_is_left_out_once(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..2).await;
    delivery.execute("update public.conversions set email_hash_google = null where transaction_id = 'adtrail-1'").await;
    (0..2).for_each(|id| delivery.google.decide(format!("adtrail-{id}"), format!("{REASON}INVALID_GCLID")));
    delivery.tick().await;
    delivery.tick_after(TimeDelta::minutes(31)).await;
    // There is an e-mail, so that one went again.
    let row = delivery.row("adtrail-0", "google_ads").await;
    assert_eq!((&row["status"], &row["retry_count"]), (&"pending".into(), &0.into()));
    assert_eq!(delivery.row("adtrail-1", "google_ads").await["status"], "dead_letter");
    delivery.google.undecide("adtrail-0");
    delivery.tick_after(TimeDelta::minutes(15)).await;
    let sent = delivery.google.events().into_iter().find(|it| it.transaction_id == "adtrail-0").unwrap().event;
    assert!(sent.get("adIdentifiers").is_none() && sent.get("userData").is_some(), "{sent}");
    delivery.tick_after(TimeDelta::minutes(31)).await;
    assert!(!delivery.row("adtrail-0", "google_ads").await["confirmed_at"].is_null());
}
