use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{Answer, HEALTH_KEY, app, app_with, app_without_database, call, execute, queue_row, with};

use super::*;

async fn check(app: &App) -> Answer {
    let request = with(testing::request(&ENDPOINT, ""), "authorization", &format!("Bearer {HEALTH_KEY}"));
    call(app, &ENDPOINT, request, handle).await
}

/// Stores rows of the queue: status, and other columns as JSON. `ad_user_data` is the conversion's.
async fn queue(pool: &PgPool, rows: &[(&str, &str)]) {
    for (status, columns) in rows {
        let mut columns: Value = serde_json::from_str(columns).unwrap();
        let consent = columns.as_object_mut().unwrap().remove("ad_user_data").unwrap_or(json!("granted"));
        columns["status"] = json!(status);
        if *status == "dead_letter" {
            columns["last_error"] = json!("why");
        }
        if *status == "uploaded" {
            columns["uploaded_at"] = json!("2026-11-20T11:00:00Z");
        }
        queue_row(pool, &columns, &json!({"ad_user_data": consent})).await;
    }
}

const PAUSE: &str = "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
    values ('google_ads', 'paused', 'PERMISSION_DENIED: add the account', now(), now())
    on conflict (platform) do update set state = 'paused', reason = excluded.reason, paused_at = now(), next_probe_at = now()";

#[sqlx::test(migrations = "../../migrations")]
async fn a_new_deployment_is_healthy(pool: PgPool) {
    let expected = json!({
        "status": "healthy",
        "queue": {"pending": 0, "uploaded": 0, "failed": 0, "dead_letter": 0, "held": 0, "confirmed": 0, "oldest_due_seconds": null},
        "inbox": {"awaiting_lead": 0},
        "platforms": [{"platform": "google_ads", "state": "active", "reason": null}],
        "last": {"visit": null, "lead": null, "event": null, "webhook": null, "upload": null},
    });
    let answer = check(&app(&pool)).await;
    assert_eq!((answer.status, answer.body), (200, expected));
    assert_eq!(answer.headers["cache-control"], "no-store");
    let without_google = check(&app_with(&pool, &[("GOOGLE_ADS_CUSTOMER_ID", "")])).await;
    assert_eq!((&without_google.body["platforms"], &without_google.body["status"]), (&json!([]), &json!("healthy")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn everything_is_counted(pool: PgPool) {
    execute(
        &pool,
        "insert into public.visitors (visitor_id, first_seen_at, last_seen_at) values ('v', '2026-11-20 07:00Z', '2026-11-20 07:30Z');
         insert into public.tracking_events (event_id, event_name, created_at) values ('e', 'scroll', '2026-11-20 09:00Z');
         insert into public.inbox (source, crm_deal_id, conversion_type, occurred_at, lead_id, payload_hash, received_at, state)
         values ('t', 'a', 'closed', now(), gen_random_uuid(), 'x', '2026-11-20 10:00Z', 'awaiting_lead'),
            ('t', 'b', 'closed', now(), gen_random_uuid(), 'x', '2026-11-20 09:00Z', 'expired');
         insert into public.platform_state (platform, last_accepted_at) values ('google_ads', '2026-11-20 11:00Z')",
    )
    .await;
    queue(
        &pool,
        &[
            ("pending", "{}"),
            ("pending", r#"{"next_retry_at": "2026-11-20T11:30:00Z", "created_at": "2026-11-20T08:00:00Z"}"#),
            ("pending", r#"{"next_retry_at": "2026-11-20T12:00:01Z"}"#),
            ("pending", r#"{"ad_user_data": "unknown", "created_at": "2026-11-20T08:00:00Z"}"#),
            ("failed", r#"{"next_retry_at": "2026-11-20T13:00:00Z", "retry_count": 1}"#),
            ("uploaded", r#"{"confirmed_at": "2026-11-20T11:30:00Z"}"#),
            ("uploaded", "{}"),
            ("uploaded", "{}"),
            ("dead_letter", r#"{"dead_lettered_at": "2026-11-19T11:00:00Z"}"#),
        ],
    )
    .await;
    let answer = check(&app_with(&pool, &[("CONSENT_UNKNOWN", "hold")])).await;
    let expected = json!({
        "status": "healthy",
        "queue": {"pending": 4, "uploaded": 3, "failed": 1, "dead_letter": 1, "held": 2, "confirmed": 1, "oldest_due_seconds": 1800},
        "inbox": {"awaiting_lead": 1},
        "platforms": [{"platform": "google_ads", "state": "active", "reason": null}],
        "last": {
            "visit": "2026-11-20T07:30:00Z", "lead": "2026-11-20T08:00:00Z", "event": "2026-11-20T09:00:00Z",
            "webhook": "2026-11-20T10:00:00Z", "upload": "2026-11-20T11:00:00Z",
        },
    });
    assert_eq!(answer.body, expected);
    // Sent anyway, so nobody waits for consent: that row has been due since eight.
    let sending = check(&app_with(&pool, &[("CONSENT_UNKNOWN", "send")])).await;
    assert_eq!(
        (&sending.body["queue"]["held"], &sending.body["queue"]["oldest_due_seconds"]),
        (&json!(1), &json!(4 * 3_600))
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_waits_too_long_or_was_given_up_lately_degrades(pool: PgPool) {
    let cases = [
        // Due for 45 minutes, and for a second more.
        ("pending", r#"{"next_retry_at": "2026-11-20T11:15:00Z", "created_at": "2026-11-20T08:00:00Z"}"#, "healthy"),
        ("pending", r#"{"next_retry_at": "2026-11-20T11:14:59Z", "created_at": "2026-11-20T08:00:00Z"}"#, "degraded"),
        (
            "failed",
            r#"{"next_retry_at": "2026-11-20T11:14:59Z", "created_at": "2026-11-20T08:00:00Z", "retry_count": 2}"#,
            "degraded",
        ),
        ("pending", r#"{"created_at": "2026-11-20T11:00:00Z"}"#, "degraded"),
        // Queued just now for a click of weeks ago.
        ("pending", r#"{"next_retry_at": "2026-11-01T00:00:00Z"}"#, "healthy"),
        ("dead_letter", r#"{"dead_lettered_at": "2026-11-19T12:00:01Z"}"#, "degraded"),
        ("dead_letter", r#"{"dead_lettered_at": "2026-11-19T11:59:59Z"}"#, "healthy"),
        ("uploaded", r#"{"created_at": "2026-11-01T00:00:00Z"}"#, "healthy"),
    ];
    let app = app(&pool);
    for (status, columns, expected) in cases {
        queue(&pool, &[(status, columns)]).await;
        assert_eq!(check(&app).await.body["status"], expected, "{status} {columns}");
        execute(&pool, "delete from public.conversion_queue").await;
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_paused_platform_degrades_and_is_critical_when_rows_are_due(pool: PgPool) {
    let app = app(&pool);
    execute(&pool, PAUSE).await;
    queue(&pool, &[("pending", r#"{"next_retry_at": "2026-11-20T12:30:00Z"}"#)]).await;
    let answer = check(&app).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("degraded")));
    let platforms =
        json!([{"platform": "google_ads", "state": "paused", "reason": "PERMISSION_DENIED: add the account"}]);
    assert_eq!(answer.body["platforms"], platforms);
    app.clock.advance(TimeDelta::minutes(30));
    let answer = check(&app).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("critical")));
    assert_eq!(answer.body["queue"]["oldest_due_seconds"], 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_who_has_the_key_is_told(pool: PgPool) {
    let app = app(&pool);
    for authorization in ["", "Bearer", "Bearer ", "Bearer wrong", HEALTH_KEY, "Basic dGVzdA=="] {
        let request = with(testing::request(&ENDPOINT, ""), "authorization", authorization);
        let answer = call(&app, &ENDPOINT, request, handle).await;
        assert_eq!((answer.status, &answer.body["type"]), (401, &json!("/problems/unauthorized")), "{authorization}");
        assert_eq!(answer.body.get("queue"), None);
    }
    let keyless = app_with(&pool, &[("HEALTH_KEY", "")]);
    let request = with(testing::request(&ENDPOINT, ""), "authorization", "Bearer ");
    assert_eq!(call(&keyless, &ENDPOINT, request, handle).await.status, 401);
    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        let mut request = testing::request(&ENDPOINT, "");
        *request.method_mut() = method;
        let answer = call(&app, &ENDPOINT, request, handle).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET"));
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_the_only_503() {
    let answer = check(&app_without_database(&[])).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(answer.body, json!({"type": "/problems/unavailable", "title": answer.body["title"], "status": 503}));
}
