//! Everything at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use testing::scaled;

use crate::stage::{Stage, all};

#[sqlx::test(migrations = "../migrations")]
async fn two_hundred_identical_webhooks_are_one_conversion(pool: PgPool) {
    let stage = Arc::new(Stage::new(pool).await);
    stage.post("/api/leads", &[], &json!({"email": "jane@example.com", "gclid": "One"})).await;
    let report = json!({"crm_deal_id": "D-1", "conversion_type": "closed", "email": "jane@example.com"});

    let answers = all((0..200).map(|_| {
        let (stage, report) = (Arc::clone(&stage), report.clone());
        async move { stage.deal(&report).await }
    }))
    .await;

    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{answers:?}");
    let ids: BTreeSet<_> = answers.iter().map(|answer| answer.body["conversion_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.body["status"] == "queued").count(), 1);
    assert_eq!(stage.value::<i64>("select count(*) from conversions").await, 1);
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue").await, 1);
    assert_eq!(stage.value::<i32>("select deliveries from inbox").await, 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_and_its_lead_that_come_together_never_miss_each_other(pool: PgPool) {
    const AT_ONCE: u32 = 200;
    let pairs = scaled(10_000, 400);
    // Nobody is asked for consent, so the uploader matches and sends nothing.
    let silent = |values: &mut shared::settings::Values| {
        values.insert("CONSENT_UNKNOWN".into(), "hold".into());
    };
    let stage = Arc::new(Stage::with_account(pool, google_sandbox::GoogleAccount::dev(), silent).await);
    for batch in 0..pairs / AT_ONCE {
        let requests = (0..AT_ONCE).flat_map(|n| {
            let n = batch * AT_ONCE + n;
            // Half of them know each other by e-mail, half by phone.
            let (form, person) = if n.is_multiple_of(2) {
                let email = format!("jane{n}@example.com");
                (json!({"email": email}), json!({"email": email}))
            } else {
                let phone = format!("+49 30 {n:07}");
                (json!({"email": format!("other{n}@example.com"), "phone": phone}), json!({"phone": phone}))
            };
            let mut report = json!({"crm_deal_id": format!("D-{n}"), "conversion_type": "closed"});
            report.as_object_mut().unwrap().extend(person.as_object().unwrap().clone());
            let (for_lead, for_deal) = (Arc::clone(&stage), Arc::clone(&stage));
            let lead: Task = Box::pin(async move { for_lead.post("/api/leads", &[], &form).await.status });
            let deal: Task = Box::pin(async move { for_deal.deal(&report).await.status });
            // Either may be first.
            if n % 4 < 2 { [lead, deal] } else { [deal, lead] }
        });
        let answers = all(requests).await;
        assert!(answers.iter().all(StatusCode::is_success), "{answers:?}");
    }

    // Deals that came before their lead wait for it.
    stage.tick().await;
    assert_eq!(stage.value::<i64>("select count(*) from inbox where state <> 'matched'").await, 0);
    assert_eq!(stage.value::<i64>("select count(distinct lead_id) from conversions").await, i64::from(pairs));
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue").await, i64::from(pairs));
}

type Task = std::pin::Pin<Box<dyn Future<Output = StatusCode> + Send>>;
