//! Google Ads is set up after the first deals.

use chrono::TimeDelta;
use crm_conversion::{ENDPOINT, handle};
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{call, json_request, lead, rows, signed};

use super::{Delivery, start};

const NOT_SET_UP: [(&str, &str); 1] = [("GOOGLE_ADS_CUSTOMER_ID", "")];

async fn close(delivery: &Delivery, name: &str) -> Value {
    let body = json!({
        "crm_deal_id": name, "conversion_type": "closed", "email": format!("{name}@example.com"),
        "occurred_at": "2026-11-22T10:00:00Z",
    });
    call(&delivery.crm, &ENDPOINT, signed(json_request(&ENDPOINT, &body)), handle).await.body
}

#[sqlx::test(migrations = "../migrations")]
async fn what_still_counts_is_delivered_and_the_rest_says_why(pool: PgPool) {
    let before = Delivery::new(&pool, &NOT_SET_UP).await;
    for (name, columns) in [
        ("jane", json!({})),
        ("old", json!({"click_at": start() - TimeDelta::days(85), "created_at": start() - TimeDelta::days(85)})),
        ("denied", json!({"ad_user_data": "denied", "consent_source": "form"})),
        ("lost", json!({})),
    ] {
        lead(&format!("{name}@example.com")).with(&columns).store(&pool).await;
        close(&before, name).await;
    }
    let lost = json!({"crm_deal_id": "lost", "conversion_type": "lost", "occurred_at": "2026-11-22T11:00:00Z"});
    call(&before.crm, &ENDPOINT, signed(json_request(&ENDPOINT, &lost)), handle).await;
    assert_eq!(close(&before, "jane").await["status"], "duplicate");
    assert_eq!(before.tick().await.claimed, 0, "there is no platform");

    let after = Delivery::new(&pool, &[]).await;
    let run = after.tick_after(TimeDelta::days(7)).await;
    assert_eq!((run.queued_late, run.accepted), (1, 1));
    assert_eq!(after.google.conversions().len(), 1);
    let stored = rows(&pool, "select crm_deal_id as deal, skip_reason as why from public.conversions order by 1").await;
    let expected = json!([
        {"deal": "denied", "why": "consent_denied"}, {"deal": "jane", "why": null}, {"deal": "lost", "why": "deal_lost"},
        {"deal": "old", "why": "too_old"},
    ]);
    assert_eq!(Value::from(stored), expected);
    let run = after.tick_after(TimeDelta::hours(1)).await;
    assert_eq!((run.queued_late, run.claimed), (0, 0), "once each");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stage_that_gets_an_action_later_is_delivered(pool: PgPool) {
    let before = Delivery::new(&pool, &[("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "")]).await;
    lead("jane@example.com").store(&pool).await;
    assert_eq!(close(&before, "jane").await["reason"], "no_conversion_action");
    assert_eq!(before.tick().await.queued_late, 0);
    let after = Delivery::new(&pool, &[]).await;
    let run = after.tick().await;
    assert_eq!((run.queued_late, run.accepted), (1, 1));
}
