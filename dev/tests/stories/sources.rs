//! Every preset: what its CRM sends, signed as it signs, ends as the right conversion.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::crm::presets;
use sqlx::PgPool;

use crate::stage::Stage;

/// A preset, and what its sample comes to. All of them are closed deals of jane@example.com.
struct Case {
    source: &'static str,
    crm_deal_id: &'static str,
    value: f64,
    currency: &'static str,
    /// None where the CRM doesn't say when: it counts as now.
    occurred_at: Option<&'static str>,
}

const fn case(source: &'static str, crm_deal_id: &'static str) -> Case {
    Case { source, crm_deal_id, value: 6000.5, currency: "EUR", occurred_at: Some("2026-11-20T11:03:11+00:00") }
}

const CASES: [Case; 13] = [
    Case {
        occurred_at: Some("2026-11-20T11:03:11.395+00:00"),
        ..case("close", "oppo_7H4example00000000000000000000000000000000001")
    },
    Case { value: 6000.0, ..case("crm-conversion", "D-1042") },
    Case { currency: "USD", occurred_at: None, ..case("gohighlevel", "exampleOpportunity01") },
    case("hubspot-app", "17812345678"),
    case("hubspot-workflow", "17812345678"),
    case("make", "1042"),
    case("n8n", "1042"),
    Case { value: 6000.0, ..case("nethunt", "65f1c0ffee0000000000a001") },
    case("pipedrive", "178"),
    case("salesforce-flow", "006000000000001AAA"),
    case("standard-webhooks", "deal_1042"),
    case("zapier", "1042"),
    case("zoho", "4150868000003194003"),
];

/// How many rows there are of everything that a webhook could have left.
async fn left(stage: &Stage) -> i64 {
    let tables = ["inbox_receipts", "inbox_events", "inbox", "conversions", "conversion_queue", "lost_deals"];
    let counts = tables.map(|table| format!("(select count(*) from {table})")).join(" + ");
    stage.value(&format!("select {counts}")).await
}

#[sqlx::test(migrations = "../migrations")]
async fn the_sample_of_every_ready_source_becomes_the_right_conversion(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.crm.put_samples();
    stage.post("/api/leads", &[], &json!({"email": "Jane@example.com", "gclid": "Click-1"})).await;
    assert!(presets::names().eq(CASES.iter().map(|case| case.source)), "each preset has a case");
    for Case { source, crm_deal_id, value, currency, occurred_at } in CASES {
        let body = presets::sample(source).unwrap().body;
        let answer = stage.webhook(source, body.into()).await;
        assert!(answer.status.is_success(), "{source}: {answer:?}");
        let asks = ["close", "hubspot-app", "pipedrive"].contains(&source);
        assert_eq!(answer.body.to_string().contains("received"), asks, "{source}: {answer:?}");
        assert_eq!(stage.value::<i64>("select count(*) from conversions").await, i64::from(!asks), "{source}");
        stage.tick().await;
        let conversion = stage.row("conversions").await;
        let expected = json!({
            "crm_deal_id": crm_deal_id, "conversion_type": "closed", "value": value, "currency": currency,
            "matched_by": "email", "gclid": "Click-1", "skip_reason": null,
        });
        for (column, value) in expected.as_object().unwrap() {
            assert_eq!(&conversion[column], value, "{source}: {column}");
        }
        if let Some(at) = occurred_at {
            assert_eq!(conversion["occurred_at"], at, "{source}");
        }
        let queued = stage.row("conversion_queue").await;
        assert_eq!((&queued["platform"], &queued["status"]), (&json!("google_ads"), &json!("uploaded")), "{source}");
        assert_eq!(stage.google.conversions().len(), 1, "{source}: Google counts it");

        // Sent again, signed anew.
        let again = stage.webhook(source, body.into()).await;
        assert!(again.status.is_success(), "{source}: {again:?}");
        assert!(again.body.to_string().contains("duplicate"), "{source}: {again:?}");
        stage.tick().await;
        assert_eq!(stage.value::<i64>("select count(*) from conversions").await, 1, "{source}");
        stage.google.clear();
        let clear =
            "truncate inbox, inbox_receipts, inbox_events, conversions, conversion_queue, upload_attempts cascade";
        sqlx::raw_sql(clear).execute(&stage.pool).await.unwrap();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_source_refuses_unauthenticated_webhooks(pool: PgPool) {
    let stage = Stage::new(pool).await;
    for Case { source, .. } in CASES {
        let path = format!("/api/webhooks/{source}");
        let body = presets::sample(source).unwrap().body;
        let signed = dev::settings::sign(
            source,
            &format!("{}{path}", stage.base),
            body.as_bytes(),
            shared::clock::Clock::system().now(),
        );
        let before = left(&stage).await;
        let wrong: Vec<Vec<(String, String)>> = vec![
            Vec::new(),
            signed.headers.iter().map(|(name, value)| (name.clone(), altered(value))).collect(),
            signed.headers.iter().map(|(name, _)| (name.clone(), String::new())).collect(),
        ];
        for headers in wrong {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let answer = stage.call(Method::POST, &path, &headers, body.into()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{source} {headers:?}: {answer:?}");
            assert_eq!(answer.body["type"], "/problems/unauthorized", "{source}");
        }
        assert_eq!(left(&stage).await, before, "{source}: nothing is stored");
        let counted =
            format!("select coalesce(sum(refusals), 0)::bigint from webhook_refusals where source = '{source}'");
        assert_eq!(stage.value::<i64>(&counted).await, 3, "{source}: they are counted");
    }
    let unknown = stage.post("/api/webhooks/nobody", &[], &json!({})).await;
    assert_eq!((unknown.status, &unknown.body["type"]), (StatusCode::NOT_FOUND, &json!("/problems/not-found")));
    let health = stage.health().await;
    assert_eq!((&health["inbox"]["refused"], &health["status"]), (&json!(39), &json!("healthy")));
}

/// The value with its last letter or digit exchanged.
fn altered(value: &str) -> String {
    let at = value.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap();
    let other = if value.as_bytes()[at] == b'a' { "b" } else { "a" };
    format!("{}{other}{}", &value[..at], &value[at + 1..])
}

#[sqlx::test(migrations = "../migrations")]
async fn every_source_refuses_bodies_that_no_crm_sends(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let deals =
        "select (select count(*) from inbox) + (select count(*) from lost_deals) + (select count(*) from conversions)";
    for Case { source, .. } in CASES {
        let sample = presets::sample(source).unwrap();
        let too_many = Value::from(vec![json!({"deal_id": 1}); 1_001]).to_string();
        let other_kind = match sample.content_type {
            "application/json" => "deal_id=1&stage=won",
            _ => "{\"deal_id\": 1}",
        };
        for body in ["", "{", "<html><body>Bad Gateway</body></html>", "\u{0}", other_kind, &too_many] {
            let answer = stage.webhook(source, body.to_owned()).await;
            let shown: String = body.chars().take(60).collect();
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{source} {shown}: {answer:?}");
            assert!(answer.body["errors"][0]["detail"].is_string(), "{source} {shown}: {answer:?}");
        }
        let too_large = stage.webhook(source, "x".repeat(256 * 1024 + 1)).await;
        assert_eq!(too_large.status, StatusCode::PAYLOAD_TOO_LARGE, "{source}");
        assert_eq!(stage.value::<i64>(deals).await, 0, "{source}: no deal is stored");
    }
    let rejected = "select count(*) from inbox_events where state = 'rejected' and reason is not null";
    assert_eq!(stage.value::<i64>(rejected).await, 13 * 6, "each is kept where the operator sees it");
    let health = stage.health().await;
    assert_eq!((&health["inbox"]["rejected"], &health["status"]), (&json!(13 * 6), &json!("degraded")));
}
