mod silences;

use std::fmt::Display;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{
    Answer, HEALTH_KEY, Row, app, app_with, app_without_database, call, due, execute, row, waiting_deal, with,
};

use super::*;

async fn check(app: &App<Config>) -> Answer {
    let request = with(testing::request(&ENDPOINT, ""), "authorization", &format!("Bearer {HEALTH_KEY}"));
    call(app, &ENDPOINT, request, handle).await
}

/// Stores rows of the queue: status, and other columns as JSON. `ad_user_data` is the conversion's.
async fn queue(pool: &PgPool, rows: &[(&str, &str)]) {
    for (status, columns) in rows {
        let mut columns: Value = serde_json::from_str(columns).unwrap();
        let consent = columns.as_object_mut().unwrap().remove("ad_user_data").unwrap_or(json!("granted"));
        columns["status"] = json!(status);
        if *status == "dead_letter" && columns.get("last_error").is_none() {
            columns["last_error"] = json!("why");
        }
        if *status == "uploaded" {
            columns["uploaded_at"] = json!("2026-11-20T11:00:00Z");
        }
        due().queue(&columns).conversion(&json!({"ad_user_data": consent})).store(pool).await;
    }
}

/// The platforms of Google Ads; the uploads are paused if there is a reason.
fn platforms(reason: &Value) -> Value {
    let state = if reason.is_null() { "active" } else { "paused" };
    json!([
        {"platform": "google_ads", "state": state, "reason": reason},
        {"platform": "google_ads_restatements", "state": "active", "reason": null},
        {"platform": "google_ads_retractions", "state": "active", "reason": null},
    ])
}

const PAUSE: &str = "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
    values ('google_ads', 'paused', 'PERMISSION_DENIED: add the account', now(), now())
    on conflict (platform) do update
    set state = 'paused', reason = excluded.reason, paused_at = now(), next_probe_at = now()";

#[sqlx::test(migrations = "../../migrations")]
async fn a_new_deployment_is_healthy(pool: PgPool) {
    let expected = json!({
        "status": "healthy",
        "queue": {"pending": 0, "uploaded": 0, "failed": 0, "dead_letter": 0, "held": 0, "confirmed": 0, "unconfirmed": 0, "oldest_due_seconds": null, "reasons": []},
        "corrections": {"open": 0, "uploaded": 0, "dead_letter": 0},
        "inbox": {"awaiting_lead": 0, "received": 0, "rejected": 0, "ignored": 0, "ignored_values": [], "refused": 0, "expired": 0, "suspicious_leads": 0, "leads_with_spam_signs": 0, "several_candidates": 0},
        "platforms": platforms(&json!(null)),
        "silences": [],
        "forms": {"accepted": 0, "refused": 0, "warned": 0, "accepted_last_day": 0, "refused_last_day": 0, "refusals": [], "warnings": []},
        "paid_visits": {"visits": 0, "without_click_id": 0},
        "deals": {"reported": 0, "awaiting_lead": 0},
        "events": [],
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
        "insert into public.visitors (visitor_id, first_seen_at, last_seen_at)
         values ('v', '2026-11-20 07:00Z', '2026-11-20 07:30Z');
         insert into public.tracking_events (event_id, event_name, created_at)
         values ('e', 'scroll', '2026-11-20 09:00Z');
         insert into public.platform_state (platform, last_accepted_at) values ('google_ads', '2026-11-20 11:00Z')",
    )
    .await;
    for (id, received_at, state) in
        [("D-1", "2026-11-20T10:00:00Z", "awaiting_lead"), ("D-2", "2026-11-20T09:00:00Z", "expired")]
    {
        let columns = json!({"received_at": received_at, "state": state});
        waiting_deal(id, "joan@example.com").with(&columns).store(&pool).await;
    }
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
    // Matched within seven days, and before.
    execute(
        &pool,
        "insert into public.inbox (
             source, crm_deal_id, conversion_type, payload_hash, occurred_at, received_at, state, matched_at,
             conversion_id, several_candidates
         )
         select 'test', crm_deal_id, 'closed', 'x', matched_at, matched_at, 'matched', matched_at, id, true
         from (select *, row_number() over () as nth from public.conversions) c
         join (values (1, timestamptz '2026-11-13 12:01Z'), (2, timestamptz '2026-11-13 12:00Z')) as m (nth, matched_at)
             using (nth)",
    )
    .await;
    let answer = check(&app_with(&pool, &[("CONSENT_UNKNOWN", "hold")])).await;
    let expected = json!({
        "status": "healthy",
        "queue": {"pending": 4, "uploaded": 3, "failed": 1, "dead_letter": 1, "held": 2, "confirmed": 1, "unconfirmed": 0, "oldest_due_seconds": 1800, "reasons": []},
        "corrections": {"open": 0, "uploaded": 0, "dead_letter": 0},
        "inbox": {"awaiting_lead": 1, "received": 0, "rejected": 0, "ignored": 0, "ignored_values": [], "refused": 0, "expired": 1, "suspicious_leads": 0, "leads_with_spam_signs": 0, "several_candidates": 1},
        "platforms": platforms(&json!(null)),
        "silences": [],
        "forms": {"accepted": 9, "refused": 0, "warned": 0, "accepted_last_day": 9, "refused_last_day": 0, "refusals": [], "warnings": []},
        "paid_visits": {"visits": 0, "without_click_id": 0},
        "deals": {"reported": 2, "awaiting_lead": 1},
        "events": [],
        "last": {
            "visit": "2026-11-20T07:30:00Z", "lead": "2026-11-20T08:00:00Z", "event": "2026-11-20T09:00:00Z",
            "webhook": "2026-11-20T10:00:00Z", "upload": "2026-11-20T11:00:00Z",
        },
    });
    assert_eq!(answer.body, expected);
    // With `send`, no row waits for consent: this one has been due since eight.
    let sending = check(&app_with(&pool, &[("CONSENT_UNKNOWN", "send")])).await;
    assert_eq!(
        (&sending.body["queue"]["held"], &sending.body["queue"]["oldest_due_seconds"]),
        (&json!(1), &json!(4 * 3_600))
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn overdue_rows_and_recent_dead_letters_degrade(pool: PgPool) {
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
    assert_eq!(answer.body["platforms"], platforms(&json!("PERMISSION_DENIED: add the account")));
    app.clock.advance(TimeDelta::minutes(30));
    let answer = check(&app).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("critical")));
    assert_eq!(answer.body["queue"]["oldest_due_seconds"], 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn it_is_critical_while_no_due_row_can_be_sent(pool: PgPool) {
    let app = app(&pool);
    execute(&pool, PAUSE).await;
    let upload = due().store(&pool).await;
    correction(&pool, upload, &json!({})).await;
    assert_eq!(check(&app).await.body["status"], "critical", "the correction waits for the upload");
    let uploaded = json!({"status": "uploaded", "uploaded_at": "2026-11-20T11:00:00Z"});
    let upload = due().queue(&uploaded).store(&pool).await;
    correction(&pool, upload, &json!({})).await;
    assert_eq!(check(&app).await.body["status"], "degraded", "corrections go on");
    execute(
        &pool,
        "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
         values ('google_ads_retractions', 'paused', 'why', now(), now())",
    )
    .await;
    assert_eq!(check(&app).await.body["status"], "critical");
}

#[sqlx::test(migrations = "../../migrations")]
async fn lanes_with_a_state_or_open_rows_are_listed_without_settings_of_a_platform(pool: PgPool) {
    let app = app_with(&pool, &[("GOOGLE_ADS_CUSTOMER_ID", "")]);
    let uploaded =
        due().queue(&json!({"status": "uploaded", "uploaded_at": "2026-11-20T11:00:00Z"})).store(&pool).await;
    assert_eq!(check(&app).await.body["platforms"], json!([]), "nothing to send");
    correction(&pool, uploaded, &json!({})).await;
    let retractions = json!({"platform": "google_ads_retractions", "state": "active", "reason": null});
    assert_eq!(check(&app).await.body["platforms"], json!([retractions]));
    execute(&pool, PAUSE).await;
    let uploads = json!({"platform": "google_ads", "state": "paused", "reason": "PERMISSION_DENIED: add the account"});
    let body = check(&app).await.body;
    assert_eq!((&body["status"], &body["platforms"]), (&json!("degraded"), &json!([uploads, retractions])));
    execute(&pool, "delete from public.conversion_queue where adjusts is not null").await;
    due().store(&pool).await;
    let body = check(&app).await.body;
    assert_eq!((&body["status"], &body["platforms"]), (&json!("critical"), &json!([uploads])));
}

/// Stores a retraction of what was uploaded.
async fn correction(pool: &PgPool, adjusts: impl Display, columns: &Value) {
    let original =
        row(pool, &format!("select conversion_id from public.conversion_queue where id = '{adjusts}'")).await;
    let correction = json!({
        "conversion_id": original["conversion_id"], "platform": "google_ads_retractions",
        "adjusts": adjusts.to_string(), "created_at": "2026-11-20T11:50:00Z",
    });
    Row::of("conversion_queue", &correction).with(columns).store(pool).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn corrections_are_counted_apart(pool: PgPool) {
    let app = app(&pool);
    let uploaded_at = "2026-11-20T11:00:00Z";
    for (columns, counted) in [
        (json!({}), json!({"open": 1, "uploaded": 0, "dead_letter": 0})),
        (json!({"status": "failed", "retry_count": 1}), json!({"open": 2, "uploaded": 0, "dead_letter": 0})),
        (
            json!({"status": "uploaded", "uploaded_at": uploaded_at, "confirmed_at": uploaded_at}),
            json!({"open": 2, "uploaded": 1, "dead_letter": 0}),
        ),
        (
            json!({"status": "dead_letter", "last_error": "why", "dead_lettered_at": uploaded_at}),
            json!({"open": 2, "uploaded": 1, "dead_letter": 1}),
        ),
        // There was nothing to correct.
        (
            json!({"status": "dead_letter", "last_error": "why", "last_error_code": "original_refused"}),
            json!({"open": 2, "uploaded": 1, "dead_letter": 1}),
        ),
    ] {
        let uploaded = json!({"status": "uploaded", "uploaded_at": uploaded_at});
        let upload = due().queue(&uploaded).store(&pool).await;
        correction(&pool, upload, &columns).await;
        let body = check(&app).await.body;
        assert_eq!(body["corrections"], counted, "{columns}");
        let queue = &body["queue"];
        assert_eq!((&queue["pending"], &queue["dead_letter"], &queue["confirmed"]), (&json!(0), &json!(0), &json!(0)));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_correction_is_due_once_what_it_corrects_was_sent(pool: PgPool) {
    let app = app(&pool);
    let held = json!({"next_retry_at": "2026-11-20T16:00:00Z", "claims": 1});
    let upload = due().queue(&held).store(&pool).await;
    correction(&pool, upload, &json!({"created_at": "2026-11-20T08:00:00Z"})).await;
    let body = check(&app).await.body;
    assert_eq!((&body["status"], &body["queue"]["oldest_due_seconds"]), (&json!("healthy"), &json!(null)));
    execute(
        &pool,
        "update public.conversion_queue set status = 'uploaded', uploaded_at = '2026-11-20T11:50:00Z'
         where adjusts is null",
    )
    .await;
    let body = check(&app).await.body;
    assert_eq!((&body["status"], &body["queue"]["oldest_due_seconds"]), (&json!("degraded"), &json!(4 * 3_600)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn rows_without_a_verdict_are_counted_and_degrade_for_a_day(pool: PgPool) {
    let app = app(&pool);
    let given_up = |uploaded_at: &str| json!({"status": "uploaded", "uploaded_at": uploaded_at, "request_id": "r"});
    let mut asked = given_up("2026-11-13T11:00:00Z");
    asked["next_status_check_at"] = json!("2026-11-20T13:00:00Z");
    let mut confirmed = given_up("2026-11-13T11:00:00Z");
    confirmed["confirmed_at"] = json!("2026-11-20T11:00:00Z");
    let recorded = json!({"status": "uploaded", "uploaded_at": "2026-11-13T11:00:00Z"});
    for (columns, unconfirmed, status) in [
        (asked, 0, "healthy"),
        (confirmed, 0, "healthy"),
        (recorded, 0, "healthy"),
        (given_up("2026-11-12T11:59:59Z"), 1, "healthy"),
        (given_up("2026-11-12T12:00:01Z"), 2, "degraded"),
    ] {
        due().queue(&columns).store(&pool).await;
        let body = check(&app).await.body;
        assert_eq!(
            (&body["queue"]["unconfirmed"], &body["status"]),
            (&json!(unconfirmed), &json!(status)),
            "{columns}"
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_most_frequent_reasons_are_listed(pool: PgPool) {
    let app = app(&pool);
    let pending = |code: &str| json!({"last_error_code": code, "last_error": format!("Mend {code}.")});
    let given_up = |code: &str, at: &str| {
        let mut columns = pending(code);
        columns["status"] = json!("dead_letter");
        columns["dead_lettered_at"] = json!(at);
        columns
    };
    let (lately, long_ago) = ("2026-11-20T11:00:00Z", "2026-11-19T11:59:59Z");
    let mut rows = vec![pending("B"), pending("B"), given_up("B", lately), pending("C"), given_up("C", lately)];
    rows.extend(["H", "G", "F", "E", "D"].map(pending));
    rows.extend([given_up("A", long_ago), given_up("deal_lost", lately), given_up("original_refused", lately)]);
    for columns in rows {
        due().queue(&columns).store(&pool).await;
    }
    let reason = |code: &str, rows: i64| json!({"code": code, "message": format!("Mend {code}."), "rows": rows});
    let expected = json!([reason("B", 3), reason("C", 2), reason("D", 1), reason("E", 1), reason("F", 1)]);
    assert_eq!(check(&app).await.body["queue"]["reasons"], expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_a_caller_with_the_key_is_answered(pool: PgPool) {
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
async fn an_unavailable_database_is_the_only_503() {
    let answer = check(&app_without_database(&[])).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(answer.body["type"], "/problems/unavailable");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("nothing listens there") && detail.contains("DATABASE_URL"), "the operator asks: {detail}");
}

const DESTINATIONS: &str = r#"
[ga4]
platform = "google-analytics"
measurement_id = "G-ABC1234567"
property_id = 123456789

[silent]
platform = "google-analytics"
measurement_id = "G-XYZ1234567"
transport = "measurement-protocol"
api_secret = "GA4_API_SECRET"
"#;

#[sqlx::test(migrations = "../../migrations")]
async fn destinations_of_events_say_what_waits_and_what_nobody_can_verify(pool: PgPool) {
    let app = app_with(&pool, &[("DESTINATIONS", DESTINATIONS), ("GA4_API_SECRET", "0123456789")]);
    let quiet = |destination: &str, verification: &str| {
        json!({
            "destination": destination, "state": "active", "reason": null, "verification": verification, "pending": 0,
            "oldest_pending_seconds": null, "sent": 0, "rejected": 0, "unverifiable": 0, "expired": 0,
        })
    };
    let (ga4, silent) = (quiet("ga4", "verdicts"), quiet("silent", "unverifiable"));
    let answer = check(&app).await.body;
    assert_eq!((&answer["status"], &answer["events"]), (&json!("healthy"), &json!([ga4, silent])));

    let add = async |destination: &str, columns: &str, values: &str| {
        let event = format!(
            "with event as (
                insert into public.tracking_events (event_id, event_name) values (gen_random_uuid()::text, 'scroll')
                returning id
            )
            insert into public.event_queue (event, destination, created_at, {columns})
            select id, '{destination}', '2026-11-20 11:59Z', {values} from event"
        );
        execute(&pool, &event).await;
    };
    add("silent", "status, settled_at", "'unverifiable', '2026-11-20 11:00Z'").await;
    add("ga4", "status, settled_at", "'confirmed', '2026-11-20 11:00Z'").await;
    add("ga4", "status, settled_at, last_error_code, last_error", "'rejected', '2026-11-18 11:00Z', 'OLD', 'x'").await;
    add("ga4", "status", "'pending'").await;
    let answer = check(&app).await.body;
    assert_eq!(answer["status"], "healthy", "{answer}");
    let shown = (&answer["events"][0]["pending"], &answer["events"][0]["oldest_pending_seconds"]);
    assert_eq!((shown, &answer["events"][1]["unverifiable"]), ((&json!(1), &json!(60)), &json!(1)));
    assert_eq!(answer["events"][0]["sent"], 1);

    for (planted, state, reason) in [
        ("update public.event_queue set created_at = '2026-11-20 11:00Z'", "active", Value::Null),
        (
            "update public.event_queue set settled_at = '2026-11-20 11:00Z' where last_error_code = 'OLD'",
            "active",
            json!("OLD: x"),
        ),
        (
            "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
             values ('events:ga4', 'paused', 'PERMISSION_DENIED: add the account', now(), now())",
            "paused",
            json!("PERMISSION_DENIED: add the account"),
        ),
    ] {
        execute(&pool, planted).await;
        let answer = check(&app).await.body;
        assert_eq!((&answer["status"], &answer["events"][0]["state"]), (&json!("degraded"), &json!(state)), "{answer}");
        assert_eq!(answer["events"][0]["reason"], reason, "{planted}");
    }
    assert_eq!(check(&app).await.body["platforms"].as_array().unwrap().len(), 3, "lanes of events aren't conversions'");
    execute(&pool, "update public.event_queue set destination = 'gone' where status = 'pending'").await;
    assert_eq!(check(&app).await.body["events"][1]["state"], "undeclared");
}
