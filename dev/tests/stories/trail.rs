//! What the demo site of `make dev` tells about the visitor who looks at it.

use google_sandbox::{Endpoint, Fault, FaultKind};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::Stage;

/// The trail of the visitor with these cookies.
async fn trail(stage: &Stage, cookies: &str) -> Value {
    let answer = stage.call(Method::GET, "/dev/trail", &[("cookie", cookies)], String::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body
}

/// Lands from the ad, and returns the cookies as the browser sends them back.
async fn land(stage: &Stage, click: &str) -> String {
    let url = format!("https://www.example.com/lp?gclid={click}&gad_campaignid=1&utm_campaign=munich");
    let visit = stage.post("/t/v", &[], &json!({"url": url, "consent": {"ad_user_data": "denied"}})).await;
    assert_eq!(visit.status, StatusCode::OK, "{visit:?}");
    let pairs: Vec<_> = visit.set_cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    pairs.join("; ")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_visitor_is_followed_from_the_visit_to_the_confirmation_and_sees_nobody_else(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let (jane, joe) = (land(&stage, "Jane-1").await, land(&stage, "Joe-1").await);

    let seen = trail(&stage, &jane).await;
    assert_eq!(seen["visitor"]["clicks"]["google"]["gclid"], "Jane-1");
    assert_eq!(seen["visitor"]["utm_campaign"], "munich");
    assert!(seen["lead"].is_null() && seen["reports"].is_null());

    let yes = json!({"ad_user_data": "granted", "ad_personalization": "granted"});
    stage.post("/t/c", &[("cookie", &jane)], &yes).await;
    let form = json!({"email": "jane@example.com", "transaction_id": "lead-1", "consent": yes});
    stage.post("/t/l", &[("cookie", &jane)], &form).await;
    let seen = trail(&stage, &jane).await;
    let said: Vec<_> = seen["consent"].as_array().unwrap().iter().map(|it| (&it["source"], &it["value"])).collect();
    assert_eq!(said.first().unwrap(), &(&json!("visit"), &json!("denied")));
    assert!(said.contains(&(&json!("banner"), &json!("granted"))), "{said:?}");
    assert_eq!(seen["lead"]["gclid"], "Jane-1");

    // Google is down at first.
    let down = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
    stage.google.script(Fault::once(Endpoint::Ingest, down)).unwrap();
    let deal = json!({
        "crm_deal_id": "D-1", "conversion_type": "closed", "lead_id": seen["lead"]["id"], "value": 6000,
        "currency": "EUR", "occurred_at": seen["now"],
    });
    stage.deal(&deal).await;
    stage.tick().await;
    let seen = trail(&stage, &jane).await;
    assert_eq!((&seen["reports"][0]["value"], &seen["reports"][0]["verified_by"]), (&json!(6000), &json!("hmac")));
    let row = &seen["queue"][0];
    assert_eq!((&row["status"], &row["attempts"][0]["http_status"]), (&json!("pending"), &json!(503)));
    assert!(row["next_retry_at"].is_string(), "{row}");

    sqlx::query("update conversion_queue set next_retry_at = now()").execute(&stage.pool).await.unwrap();
    stage.tick().await;
    stage.tick().await;
    let seen = trail(&stage, &jane).await;
    let row = &seen["queue"][0];
    assert!(row["status"] == "uploaded" && row["confirmed_at"].is_string(), "{row}");
    assert_eq!(row["request_id"], stage.google.events()[0].request_id);

    let other = trail(&stage, &joe).await;
    assert_eq!(other["visitor"]["clicks"]["google"]["gclid"], "Joe-1");
    for name in ["lead", "reports", "conversions", "queue"] {
        assert!(other[name].is_null(), "{name}: {other}");
    }
    assert_eq!(trail(&stage, "").await, json!({"visitor": null}));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_visitor_who_starts_over_is_forgotten_by_the_browser(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let cookies = land(&stage, "Jane-1").await;

    let answer = stage.call(Method::POST, "/dev/forget", &[("cookie", &cookies)], String::new()).await;

    assert_eq!(answer.set_cookies.len(), 2, "{answer:?}");
    for (pair, expired) in cookies.split("; ").zip(&answer.set_cookies) {
        let name = pair.split('=').next().unwrap();
        assert!(expired.starts_with(&format!("{name}=;")) && expired.contains("; Max-Age=0;"), "{expired}");
    }
}
