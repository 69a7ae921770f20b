//! The log of attempts: enough to explain what happened, and nothing personal.

use chrono::TimeDelta;
use google_sandbox::EventPoison;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::Delivery;

#[sqlx::test(migrations = "../migrations")]
async fn every_request_is_in_the_log(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..3).await;
    delivery.google.poison("adtrail-1", EventPoison::new("INVALID_EVENT"));
    delivery.tick().await;
    delivery.tick_after(TimeDelta::minutes(31)).await;
    let requests = delivery.google.requests();
    let logged = delivery.number("select count(distinct exchange_id) from public.upload_attempts").await;
    assert_eq!(usize::try_from(logged).unwrap(), requests.ingest_calls + requests.status);

    let lines: Vec<Value> =
        sqlx::query_scalar("select to_jsonb(a) from public.upload_attempts a order by attempted_at, outcome desc")
            .fetch_all(&pool)
            .await
            .unwrap();
    let refused = lines.iter().find(|it| it["outcome"] == "rejected").unwrap();
    assert_eq!(
        json!([refused["http_status"], refused["transport"], refused["operation"], refused["reason_code"]]),
        json!([400, "data_manager", "upload", "INVALID_EVENT"])
    );
    assert!(refused["request_id"].as_str().is_some_and(|id| id.starts_with("t-")), "Google's own id: {refused}");
    let confirmed = lines.iter().filter(|it| it["outcome"] == "confirmed").count();
    assert_eq!(confirmed, 2);
    let log = serde_json::to_string(&lines).unwrap();
    let personal: Vec<String> =
        sqlx::query_scalar("select unnest(array[email_hash_google, gclid]) from public.conversions")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(personal.len(), 6);
    assert!(personal.iter().all(|it| !log.contains(it)), "{log}");
}
