//! From the click to the confirmed conversion, by hand, and what a person would check on the way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use google_sandbox::{Endpoint, Fault, FaultKind, GoogleAccount, RequestStatus, Verdict};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::identity::Hash;
use sqlx::PgPool;
use testing::Row;

use crate::stage::Stage;

const CONSENT: &str =
    r#"{"marketing":true,"data_processing":true,"ad_user_data":"granted","ad_personalization":"denied"}"#;

/// The cookies of an answer as a browser would send them back.
fn cookies(set: &[String]) -> String {
    set.iter().map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

fn report(email: &str) -> Value {
    json!({
        "crm_deal_id": "1042", "conversion_type": "closed", "email": email, "value": 6000.5, "currency": "EUR",
        "occurred_at": "2026-11-20T14:03:11+01:00",
    })
}

#[sqlx::test(migrations = "../migrations")]
async fn a_click_becomes_a_confirmed_conversion(pool: PgPool) {
    // An hour before the deal.
    let clock = Clock::fixed("2026-11-20T12:00:00Z".parse().unwrap());
    let stage = Stage::with_clock(pool, GoogleAccount::dev(), clock, |_| {}).await;

    // The first visit, and a later one by another ad.
    let landing = |query: &str| json!({"url": format!("https://www.example.com/lp?{query}")});
    let first = stage.post("/api/track/visit", &[], &landing("gclid=One&utm_source=google&utm_campaign=munich")).await;
    assert_eq!((first.status, &first.body["returning"]), (StatusCode::OK, &json!(false)));
    assert_eq!(first.set_cookies.len(), 2);
    assert!(first.set_cookies.iter().all(|cookie| cookie.contains("; HttpOnly; Secure; SameSite=Lax")));
    stage.clock.advance(TimeDelta::minutes(1));
    let again = stage
        .post("/api/track/visit", &[("cookie", &cookies(&first.set_cookies))], &landing("gclid=Two&utm_source=bing"))
        .await;
    assert_eq!((&again.set_cookies[0], &again.body["returning"]), (&first.set_cookies[0], &json!(true)));
    let visitor = stage.row("visitors").await;
    assert_eq!((&visitor["gclid"], &visitor["utm_source"]), (&json!("Two"), &json!("google")));
    let cookies = cookies(&again.set_cookies);

    // The form.
    stage.clock.advance(TimeDelta::minutes(1));
    let form = json!({"email": " Jane.Doe@Gmail.com", "consent": serde_json::from_str::<Value>(CONSENT).unwrap()});
    let lead = stage.post("/api/leads", &[("cookie", &cookies)], &form).await;
    assert_eq!(lead.status, StatusCode::CREATED, "{lead:?}");
    let row = stage.row("leads").await;
    assert_eq!(row["email_hash"], Hash::of("jane.doe@gmail.com").as_str());
    assert_eq!(row["email_hash_google"], Hash::of("janedoe@gmail.com").as_str());
    assert_eq!((&row["gclid"], &row["utm_campaign"]), (&json!("Two"), &json!("munich")));

    // An event, twice.
    for status in ["stored", "duplicate"] {
        let event = json!({"event_name": "generate_lead", "event_id": "e-1", "params": {"value": 1}});
        let answer = stage.post("/api/track/event", &[("cookie", &cookies)], &event).await;
        assert_eq!((answer.status, &answer.body["status"]), (StatusCode::ACCEPTED, &json!(status)));
    }
    assert_eq!(stage.value::<i64>("select count(*) from tracking_events").await, 1);

    // The deal, and the upload.
    stage.clock.advance(TimeDelta::hours(2));
    let queued = stage.deal(&report("jane.doe@gmail.com")).await;
    assert_eq!((queued.status, &queued.body["status"]), (StatusCode::OK, &json!("queued")));
    assert_eq!(queued.body["platforms"], json!(["google_ads"]));
    stage.tick().await;

    let events = stage.google.events();
    assert_eq!(events.len(), 1);
    let event = &events[0].event;
    let session = event["adIdentifiers"]["sessionAttributes"].as_str().unwrap();
    assert_eq!(event["adIdentifiers"], json!({"gclid": "Two", "sessionAttributes": session}));
    let session: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(session).unwrap()).unwrap();
    assert_eq!(session["landing_page_url"], landing("gclid=Two&utm_source=bing")["url"]);
    assert_eq!(event["userData"]["userIdentifiers"], json!([{"emailAddress": Hash::of("janedoe@gmail.com").as_str()}]));
    assert!(event["transactionId"].as_str().unwrap().contains(|c: char| c.is_ascii_alphabetic()));
    assert_eq!(event["eventTimestamp"], "2026-11-20T13:03:11Z");
    assert_eq!((&event["conversionValue"], &event["currency"]), (&json!(6000.5), &json!("EUR")));
    assert_eq!(event["consent"], json!({"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}));

    // Accepted, confirmed, and reported so everywhere.
    stage.tick().await;
    let row = stage.row("conversion_queue").await;
    assert_eq!((&row["status"], &row["request_id"]), (&json!("uploaded"), &json!(events[0].request_id)));
    assert!(row["confirmed_at"].is_string(), "{row}");
    let (health, metrics) = (stage.health().await, stage.row("conversion_metrics").await);
    assert_eq!(health["status"], "healthy");
    for name in ["pending", "uploaded", "failed", "dead_letter", "confirmed"] {
        assert_eq!(health["queue"][name], metrics[name], "{name}");
    }
    assert_eq!((&metrics["uploaded"], &metrics["upload_success_rate"]), (&json!(1), &json!(1.0)));
    assert_eq!(metrics["gclid_capture_rate"], json!(1.0));
    assert_eq!(stage.google.events()[0].received, 1, "nothing is sent twice");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_may_come_before_its_lead(pool: PgPool) {
    let stage = Stage::new(pool).await;

    let waiting = stage.deal(&report("jane@example.com")).await;
    assert_eq!((waiting.status, &waiting.body["status"]), (StatusCode::ACCEPTED, &json!("awaiting_lead")));
    assert_eq!(stage.health().await["inbox"]["awaiting_lead"], 1);

    let form = json!({"email": "jane@example.com", "gclid": "Late", "consent": {"ad_user_data": "granted"}});
    stage.post("/api/leads", &[], &form).await;
    stage.tick().await;

    assert_eq!(stage.google.events()[0].event["adIdentifiers"]["gclid"], "Late");
    let replayed = stage.deal(&report("jane@example.com")).await;
    assert_eq!(replayed.body["status"], "duplicate");
    assert_eq!(replayed.body["conversion_id"], stage.row("conversions").await["id"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_click_hold_keeps_a_conversion_back(pool: PgPool) {
    let hold = |values: &mut shared::settings::Values| {
        values.insert("CLICK_HOLD_SECONDS".into(), "21600".into());
    };
    let stage = Stage::with_account(pool, GoogleAccount::dev(), hold).await;
    stage.post("/api/leads", &[], &json!({"email": "jane@example.com", "gclid": "Young"})).await;
    stage.deal(&report("jane@example.com")).await;

    stage.tick().await;

    assert!(stage.google.events().is_empty());
    assert_eq!(stage.health().await["queue"]["held"], 1);
    let (due, clicked): (DateTime<Utc>, DateTime<Utc>) = sqlx::query_as(
        "select q.next_retry_at, c.click_at from conversion_queue q join conversions c on c.id = q.conversion_id",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert_eq!(due - clicked, TimeDelta::hours(6));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_pause_says_why_keeps_the_rows_and_ends_by_itself(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.queue(20).await;
    let expired =
        FaultKind::OAuth { error: "invalid_grant".into(), description: "Token has been expired or revoked.".into() };
    stage.google.script(Fault::once(Endpoint::Token, expired)).unwrap();

    let summary = stage.tick().await;

    assert_eq!(summary["paused"], json!(["google_ads"]));
    let health = stage.health().await;
    assert_eq!((&health["status"], &health["platforms"][0]["state"]), (&json!("critical"), &json!("paused")));
    let reason = health["platforms"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("invalid_grant") && reason.contains("GOOGLE_REFRESH_TOKEN"), "{reason}");
    assert_eq!(
        stage.value::<i64>("select count(*) from conversion_queue where status = 'pending' and retry_count = 0").await,
        20
    );

    stage.tick().await;
    assert_eq!(stage.google.events().len(), 20);
    assert_eq!(stage.health().await["status"], "healthy");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_outage_costs_no_attempt(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.queue(30).await;
    let down = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
    stage.google.script(Fault::once(Endpoint::Ingest, down).times(10)).unwrap();

    stage.tick().await;

    let untouched = "select count(*) from conversion_queue where status = 'pending' and retry_count = 0";
    assert_eq!(stage.value::<i64>(untouched).await, 30);
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where transport_failures = 1").await, 10);
    sqlx::query("update conversion_queue set next_retry_at = now()").execute(&stage.pool).await.unwrap();
    stage.tick().await;
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where status = 'uploaded'").await, 30);
}

#[sqlx::test(migrations = "../migrations")]
async fn one_bad_row_is_a_dead_letter_with_googles_reason_and_the_others_are_sent(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.queue(25).await;
    let refusal = FaultKind::RejectEvent {
        index: 0,
        reason: "INVALID_CURRENCY_CODE".into(),
        field_style: google_sandbox::FieldStyle::EventsEvents,
    };
    stage.google.script(Fault::once(Endpoint::Ingest, refusal).after(3)).unwrap();

    let summary = stage.tick().await;

    assert_eq!((&summary["accepted"], &summary["rejected"]), (&json!(24), &json!(1)));
    let code: String = stage.value("select last_error_code from conversion_queue where status = 'dead_letter'").await;
    assert_eq!(code, "INVALID_CURRENCY_CODE");
    assert_eq!(stage.health().await["status"], "degraded");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_after_acceptance_is_not_hidden(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.queue(1).await;
    let failed = Verdict {
        status: RequestStatus::Failed,
        reason: Some("PROCESSING_ERROR_REASON_INVALID_GCLID".into()),
        record_count: None,
    };
    stage.google.script(Fault::once(Endpoint::Status, FaultKind::Verdict(failed))).unwrap();

    stage.tick().await;

    let row = stage.row("conversion_queue").await;
    assert_eq!(
        (&row["status"], &row["last_error_code"]),
        (&json!("dead_letter"), &json!("PROCESSING_ERROR_REASON_INVALID_GCLID"))
    );
    assert!(row["confirmed_at"].is_null());
}

#[sqlx::test(migrations = "../migrations")]
async fn answers_that_say_nothing_settle_nothing(pool: PgPool) {
    for spoilt in
        [FaultKind::Html {}, FaultKind::Empty {}, FaultKind::Truncated {}, FaultKind::ReplyLost {}, FaultKind::Drop {}]
    {
        let stage = Stage::new(pool.clone()).await;
        sqlx::query("truncate leads cascade").execute(&stage.pool).await.unwrap();
        stage.queue(1).await;
        stage.google.script(Fault::once(Endpoint::Ingest, spoilt.clone())).unwrap();

        stage.tick().await;

        let row = stage.row("conversion_queue").await;
        assert_eq!((&row["status"], &row["retry_count"]), (&json!("pending"), &json!(0)), "{spoilt:?}");
        sqlx::query("update conversion_queue set next_retry_at = now()").execute(&stage.pool).await.unwrap();
        stage.tick().await;
        assert_eq!(stage.row("conversion_queue").await["status"], "uploaded", "{spoilt:?}");
        assert_eq!(stage.google.events().len(), 1, "{spoilt:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn revoked_credentials_are_tried_once_a_run_also_for_verdicts(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.queue(30).await;
    stage.tick().await;
    sqlx::query("update conversion_queue set confirmed_at = null, next_status_check_at = now()")
        .execute(&stage.pool)
        .await
        .unwrap();
    let revoked = FaultKind::Http { status: 401, retry_after: None, reason: None, body: None };
    stage.google.script(Fault::once(Endpoint::Status, revoked).times(100)).unwrap();
    let before = stage.google.requests().status;

    let summary = stage.tick().await;

    assert_eq!(summary["paused"], json!(["google_ads"]));
    assert!(stage.google.requests().status - before <= 2, "it went on asking");
    assert_eq!(stage.health().await["platforms"][0]["state"], "paused");
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where status = 'uploaded'").await, 30);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_invalid_lead_of_the_site_does_not_stop_other_uploads(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.queue(1).await;
    let odd = json!({
        "email": "jane@example.com", "email_hash": Hash::of("jane@example.com"), "gclid": "a b", "gbraid": "",
    });
    Row::of("leads", &odd).store(&stage.pool).await;

    let answer = stage.deal(&report("jane@example.com")).await;
    let summary = stage.tick().await;

    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::OK, &json!("queued")));
    assert_eq!(summary["accepted"], 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_address_the_crm_corrects_finds_its_lead(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.post("/api/leads", &[], &json!({"email": "jane@example.com"})).await;

    assert_eq!(stage.deal(&report("jnae@example.com")).await.body["status"], "awaiting_lead");
    assert_eq!(stage.deal(&report("jane@example.com")).await.body["status"], "queued");
    assert_eq!(stage.deal(&report("jnae@example.com")).await.body["status"], "duplicate");
}
