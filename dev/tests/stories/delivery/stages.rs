//! Stages that the operator declares.

use crm_conversion::{ENDPOINT, handle};
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{call, json_request, lead, row, signed};

use super::Delivery;

const DECLARED: [(&str, &str); 2] =
    [("STAGES", "demo_booked"), ("GOOGLE_ADS_CONVERSION_ACTION_DEMO_BOOKED", "987654320")];

async fn book_a_demo(delivery: &Delivery, crm_deal_id: &str) {
    let body = json!({
        "crm_deal_id": crm_deal_id, "conversion_type": "demo_booked", "email": "jane@example.com",
        "occurred_at": "2026-11-22T10:00:00Z",
    });
    let answer = call(&delivery.crm, &ENDPOINT, signed(json_request(&ENDPOINT, &body)), handle).await;
    assert_eq!(answer.body["status"], "queued", "{:?}", answer.body);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_declared_stage_is_sent_to_its_own_conversion_action(pool: PgPool) {
    let delivery = Delivery::new(&pool, &DECLARED).await;
    lead("jane@example.com").store(&pool).await;
    book_a_demo(&delivery, "D-1").await;
    assert_eq!(delivery.tick().await.accepted, 1);
    let counted = delivery.google.conversions();
    assert_eq!(counted.iter().map(|it| it.conversion_action.as_str()).collect::<Vec<_>>(), ["987654320"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_reached_a_stage_that_is_no_longer_declared_waits_and_says_why(pool: PgPool) {
    let delivery = Delivery::new(&pool, &DECLARED).await;
    lead("jane@example.com").store(&pool).await;
    book_a_demo(&delivery, "D-1").await;

    let without = Delivery::new(&pool, &[]).await;
    assert_eq!(without.tick().await.accepted, 0);
    let held = row(&pool, "select status, retry_count, last_error from public.conversion_queue").await;
    let sentence = held["last_error"].as_str().unwrap();
    assert!(sentence.contains("GOOGLE_ADS_CONVERSION_ACTION_DEMO_BOOKED") && sentence.contains("STAGES"), "{sentence}");
    assert_eq!((&held["status"], &held["retry_count"]), (&json!("pending"), &Value::from(0)));

    let again = Delivery::new(&pool, &DECLARED).await;
    again.tick_after(chrono::TimeDelta::hours(2)).await;
    assert_eq!(again.google.conversions().len(), 1);
}
