use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::App;
use shared::db::DbError;
use shared::platforms::{Delivery, Destinations, Exchange, Operation, Outcome, Reason, Request, Route, Verdict};
use shared::queue::breaker::{self, Pause, State};
use shared::queue::receipts::{self, Receipt};
use shared::queue::{self, Claim, Policy};
use sqlx::PgPool;
use testing::{app, app_with, due, execute, route, row, rows, start, store_due};
use uuid::Uuid;

const PLATFORM: &str = "google_ads";

fn uploads() -> Route {
    route(Operation::Upload)
}

async fn claim(app: &App<Policy>, limit: usize) -> Claim {
    let now = app.clock.now();
    let claimed: Result<_, DbError> =
        app.db.tx(async |tx| queue::claim(tx, &app.config, &uploads(), limit, now).await).await;
    claimed.unwrap()
}

/// How many rows are due for the uploader.
async fn count_due(app: &App<Policy>) -> usize {
    let now = app.clock.now();
    let work: Result<_, DbError> = app.db.tx(async |tx| queue::work(tx, &app.config, &[&uploads()], now).await).await;
    work.unwrap()[0].due
}

/// The rows of a claim.
fn ids(claim: &Claim) -> BTreeSet<Uuid> {
    claim.conversions.iter().map(|conversion| conversion.queue_id).collect()
}

/// Writes the same outcome for every row of the claim; answers how many were still ours.
async fn settle(app: &App<Policy>, claim: &Claim, outcome: &Outcome) -> u64 {
    let exchange =
        Exchange { http_status: Some(418), duration: std::time::Duration::from_millis(7), ..Exchange::default() };
    let rows: Vec<usize> = (0..claim.conversions.len()).collect();
    let delivery = Delivery {
        outcomes: vec![outcome.clone(); rows.len()],
        requests: vec![Request { exchange, conversions: rows.clone(), settled: rows }],
    };
    settle_as(app, claim, &delivery).await
}

async fn settle_as(app: &App<Policy>, claim: &Claim, delivery: &Delivery) -> u64 {
    let now = app.clock.now();
    let settled: Result<_, DbError> = app
        .db
        .tx(async |tx| queue::settle(tx, &app.config, &Destinations::default(), &uploads(), claim, delivery, now).await)
        .await;
    settled.unwrap()
}

async fn receipts(app: &App<Policy>) -> Vec<Receipt> {
    let now = app.clock.now();
    let due: Result<_, DbError> = app.db.tx(async |tx| receipts::unconfirmed(tx, &uploads(), 100, now).await).await;
    due.unwrap()
}

async fn conclude(app: &App<Policy>, receipt: &Receipt, verdict: Verdict) {
    let now = app.clock.now();
    let answers = [(receipt.clone(), vec![verdict; receipt.conversions.len()], Exchange::default())];
    let done: Result<_, DbError> =
        app.db.tx(async |tx| receipts::conclude(tx, &app.config, &uploads(), &answers, now).await).await;
    done.unwrap();
}

async fn stored(pool: &PgPool, id: Uuid) -> Value {
    row(pool, &format!("select * from public.conversion_queue where id = '{id}'")).await
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn reason() -> Reason {
    Reason::new("CODE", "what happened and what to do")
}

fn within_a_tenth(delay: TimeDelta, of: TimeDelta) -> bool {
    (delay - of).abs() <= of / 10
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rejected_row_is_retried_with_growing_delays_until_the_fifth_rejection(pool: PgPool) {
    let app = app(&pool);
    let id = due().store(&pool).await;
    for (nth, delay) in
        [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::hours(4), TimeDelta::hours(16)].into_iter().enumerate()
    {
        assert_eq!(settle(&app, &claim(&app, 9).await, &Outcome::Retry(reason())).await, 1);
        let row = stored(&pool, id).await;
        assert_eq!((&row["status"], &row["retry_count"]), (&json!("failed"), &json!(nth + 1)));
        assert_eq!(
            (&row["last_error_code"], &row["last_error"]),
            (&json!("CODE"), &json!("what happened and what to do"))
        );
        let wait = time(&row["next_retry_at"]) - app.clock.now();
        assert!(within_a_tenth(wait, delay), "{wait} after refusal {}", nth + 1);
        app.clock.advance(wait - TimeDelta::microseconds(1));
        assert!(ids(&claim(&app, 9).await).is_empty(), "not yet");
        app.clock.advance(TimeDelta::microseconds(1));
    }
    assert_eq!(settle(&app, &claim(&app, 9).await, &Outcome::Retry(reason())).await, 1);
    let row = stored(&pool, id).await;
    assert_eq!((&row["status"], &row["retry_count"]), (&json!("dead_letter"), &json!(5)));
    assert_eq!(time(&row["dead_lettered_at"]), app.clock.now());
    app.clock.advance(TimeDelta::days(30));
    assert!(ids(&claim(&app, 9).await).is_empty(), "given up");
    let attempts =
        rows(&pool, "select outcome, http_status, duration_ms, reason_code, queue_ids from public.upload_attempts")
            .await;
    assert_eq!(attempts.len(), 5);
    assert_eq!(
        attempts[0],
        json!({"outcome": "retry", "http_status": 418, "duration_ms": 7, "reason_code": "CODE", "queue_ids": [id]})
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_refused_together_do_not_come_back_together(pool: PgPool) {
    let app = app(&pool);
    store_due(&pool, (0..20).map(|_| due())).await;
    settle(&app, &claim(&app, 100).await, &Outcome::Retry(reason())).await;
    let due = rows(&pool, "select next_retry_at from public.conversion_queue order by 1").await;
    let due: Vec<_> = due.iter().map(|row| time(&row["next_retry_at"]) - start()).collect();
    assert!(due.iter().all(|wait| within_a_tenth(*wait, TimeDelta::minutes(15))), "{due:?}");
    assert!(due[19] - due[0] > TimeDelta::minutes(1), "{due:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_may_have_fewer_attempts(pool: PgPool) {
    let app = app(&pool);
    let id = due().queue(&json!({"max_retries": 2})).store(&pool).await;
    for status in ["failed", "dead_letter"] {
        settle(&app, &claim(&app, 9).await, &Outcome::Retry(reason())).await;
        assert_eq!(stored(&pool, id).await["status"], status);
        app.clock.advance(TimeDelta::hours(1));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_failed_request_costs_no_attempt_however_often(pool: PgPool) {
    let app = app(&pool);
    let fresh = due().store(&pool).await;
    let refused = due().queue(&json!({"status": "failed", "retry_count": 4})).store(&pool).await;
    let hour = TimeDelta::hours(1);
    let ladder = [TimeDelta::minutes(15), TimeDelta::minutes(30), hour].into_iter().chain(std::iter::repeat(hour));
    for (nth, delay) in ladder.take(30).enumerate() {
        assert_eq!(settle(&app, &claim(&app, 9).await, &Outcome::Unavailable(reason(), None)).await, 2);
        let mut longest = TimeDelta::zero();
        for (id, status, retries) in [(fresh, "pending", 0), (refused, "failed", 4)] {
            let row = stored(&pool, id).await;
            assert_eq!((&row["status"], &row["retry_count"]), (&json!(status), &json!(retries)), "failure {}", nth + 1);
            assert_eq!(row["transport_failures"], nth + 1);
            let wait = time(&row["next_retry_at"]) - app.clock.now();
            assert!(within_a_tenth(wait, delay), "{wait} after failure {}", nth + 1);
            longest = longest.max(wait);
        }
        app.clock.advance(longest);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wait_that_the_platform_asks_for_is_kept(pool: PgPool) {
    let app = app(&pool);
    let id = due().store(&pool).await;
    for wait in [TimeDelta::seconds(7), TimeDelta::hours(3), TimeDelta::zero()] {
        settle(&app, &claim(&app, 9).await, &Outcome::Unavailable(reason(), Some(wait))).await;
        assert_eq!(time(&stored(&pool, id).await["next_retry_at"]), app.clock.now() + wait);
        app.clock.advance(wait);
    }
    let later = app.clock.now() + TimeDelta::hours(6);
    settle(&app, &claim(&app, 9).await, &Outcome::Later(later, reason())).await;
    let row = stored(&pool, id).await;
    assert_eq!((time(&row["next_retry_at"]), &row["retry_count"]), (later, &json!(0)));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_settled_row_has_the_state_of_its_outcome(pool: PgPool) {
    let app = app(&pool);
    // The outcome; then status, receipt, confirmed, error, logged as; and may it be claimed again at once?
    let cases = [
        (Outcome::Accepted { request_id: "r".into() }, json!(["uploaded", "r", false, null, "accepted"]), false),
        (Outcome::AlreadyDone(reason()), json!(["uploaded", null, true, null, "already_done"]), false),
        (Outcome::AlreadyThere(reason()), json!(["uploaded", null, false, "CODE", "already_there"]), false),
        (Outcome::SecondLater(reason()), json!(["pending", null, false, "CODE", "second_later"]), true),
        (Outcome::Rejected(reason()), json!(["dead_letter", null, false, "CODE", "rejected"]), false),
        (Outcome::Recorded, json!(["uploaded", null, true, null, "recorded"]), false),
        (Outcome::Paused(reason()), json!(["pending", null, false, "CODE", "paused"]), false),
        (Outcome::SendAlone(reason()), json!(["pending", null, false, "CODE", "send_alone"]), true),
        (Outcome::Unsent, json!(["pending", null, false, null, "unsent"]), true),
    ];
    for (outcome, expected, open) in cases {
        let id = due().store(&pool).await;
        assert_eq!(settle(&app, &claim(&app, 9).await, &outcome).await, 1);
        let row = stored(&pool, id).await;
        let logged =
            rows(&pool, &format!("select outcome from public.upload_attempts where queue_ids @> array['{id}'::uuid]"))
                .await;
        let outcome_logged = logged.first().map(|it| it["outcome"].clone());
        let stored = json!([
            row["status"],
            row["request_id"],
            !row["confirmed_at"].is_null(),
            row["last_error_code"],
            outcome_logged
        ]);
        assert_eq!(stored, expected, "{outcome:?}");
        assert_eq!((&row["retry_count"], &row["lock_token"]), (&json!(0), &Value::Null));
        let again = claim(&app, 9).await;
        assert_eq!(ids(&again).contains(&id), open, "{outcome:?}");
        if open {
            assert_eq!(again.conversions[0].facts.send_alone, matches!(outcome, Outcome::SendAlone(_)));
        }
        execute(&pool, "delete from public.conversion_queue").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_acceptance_ends_a_pause(pool: PgPool) {
    let app = app(&pool);
    due().store(&pool).await;
    due().store(&pool).await;
    let state =
        async || -> State { app.db.tx(async |tx| breaker::state(tx, PLATFORM, app.clock.now()).await).await.unwrap() };
    let reason = reason();
    let pause = async |until_confirmed| {
        let pause = Pause { reason: &reason, next_probe_at: start() + TimeDelta::minutes(30), until_confirmed };
        let paused: Result<_, DbError> =
            app.db.tx(async |tx| breaker::pause(tx, PLATFORM, pause, app.clock.now()).await).await;
        paused.unwrap();
    };
    pause(false).await;
    settle(&app, &claim(&app, 1).await, &Outcome::Unavailable(reason.clone(), None)).await;
    assert_eq!(state().await, State::Paused, "nothing was accepted");
    settle(&app, &claim(&app, 1).await, &Outcome::Accepted { request_id: "r".into() }).await;
    assert_eq!(state().await, State::Active);
    let row = row(&pool, "select state, reason, paused_at, last_accepted_at from public.platform_state").await;
    assert_eq!(
        row,
        json!({"state": "active", "reason": null, "paused_at": null, "last_accepted_at": "2026-11-20T12:00:00+00:00"})
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_lease_cannot_write(pool: PgPool) {
    let app = app(&pool);
    let id = due().store(&pool).await;
    let frozen = claim(&app, 9).await;
    // Leases go by Postgres' clock: the app's may stand where it likes.
    app.clock.advance(TimeDelta::days(1));
    assert!(ids(&claim(&app, 9).await).is_empty(), "leased");
    execute(&pool, "update public.conversion_queue set locked_until = now()").await;
    let next = claim(&app, 9).await;
    assert_eq!(ids(&next), BTreeSet::from([id]));

    let before = stored(&pool, id).await;
    for outcome in [Outcome::Rejected(reason()), Outcome::Accepted { request_id: "old".into() }] {
        assert_eq!(settle(&app, &frozen, &outcome).await, 0);
        assert_eq!(stored(&pool, id).await, before);
    }
    assert_eq!(rows(&pool, "select 1 from public.platform_state").await.len(), 0, "nor does it count as accepted");
    assert_eq!(settle(&app, &next, &Outcome::Accepted { request_id: "new".into() }).await, 1);
    assert_eq!(settle(&app, &next, &Outcome::Rejected(reason())).await, 0, "a claim is settled once");
    let row = stored(&pool, id).await;
    assert_eq!((&row["status"], &row["request_id"], &row["claims"]), (&json!("uploaded"), &json!("new"), &json!(2)));
}

#[sqlx::test(migrations = "../migrations")]
async fn no_row_is_claimed_twice(pool: PgPool) {
    let app = app(&pool);
    store_due(&pool, (0..20).map(|_| due())).await;
    // One inside the other: the first hasn't committed when the second looks.
    let (first, second) = app
        .db
        .tx(async |tx| {
            let first = queue::claim(tx, &app.config, &uploads(), 8, start()).await?;
            Ok::<_, DbError>((first, claim(&app, 8).await))
        })
        .await
        .unwrap();
    let side_by_side = tokio::join!(claim(&app, 3), claim(&app, 3), claim(&app, 3));
    let claims = [first, second, side_by_side.0, side_by_side.1, side_by_side.2, claim(&app, 9).await];
    let claimed: usize = claims.iter().map(|claim| claim.conversions.len()).sum();
    let distinct: BTreeSet<Uuid> = claims.iter().flat_map(ids).collect();
    assert_eq!((claims[0].conversions.len(), claims[1].conversions.len()), (8, 8));
    assert_eq!((claimed, distinct.len()), (20, 20));
    assert!(ids(&claim(&app, 9).await).is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_is_claimed_when_it_is_due_and_consent_allows(pool: PgPool) {
    let send = app(&pool);
    let hold = app_with(&pool, &[("CONSENT_UNKNOWN", "hold")]);
    let due_at_noon = json!({"next_retry_at": "2026-11-20T12:00:00Z"});
    let a_moment_later = json!({"next_retry_at": "2026-11-20T12:00:00.000001Z"});
    // Row, consent; then is it claimed where unknown means send, and where it means hold?
    let cases = [
        (json!({}), "granted", true, true),
        (json!({}), "unknown", true, false),
        (json!({}), "denied", false, false),
        (due_at_noon, "granted", true, true),
        (a_moment_later, "granted", false, false),
        (json!({"status": "failed", "retry_count": 1}), "granted", true, true),
        (json!({"status": "uploaded", "uploaded_at": "2026-11-20T11:00:00Z"}), "granted", false, false),
        (json!({"status": "dead_letter", "last_error": "why"}), "granted", false, false),
        (json!({"platform": "another"}), "granted", false, false),
    ];
    for (columns, consent, sent, held) in cases {
        for (app, expected) in [(&send, sent), (&hold, held)] {
            let skip_reason = (consent == "denied").then_some("consent_denied");
            let conversion = json!({"ad_user_data": consent, "skip_reason": skip_reason});
            due().queue(&columns).conversion(&conversion).store(&pool).await;
            assert_eq!(count_due(app).await, usize::from(expected), "{columns} {consent}");
            assert_eq!(ids(&claim(app, 9).await).len(), usize::from(expected), "{columns} {consent}");
            execute(&pool, "delete from public.conversion_queue").await;
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_correction_is_due_when_what_it_corrects_was_sent_or_given_up(pool: PgPool) {
    let app = app(&pool);
    for (original, expected) in [
        (json!({"status": "pending", "next_retry_at": "2026-11-21T00:00:00Z"}), 0),
        (json!({"status": "failed", "retry_count": 1, "next_retry_at": "2026-11-21T00:00:00Z"}), 0),
        (json!({"status": "uploaded", "uploaded_at": "2026-11-20T11:00:00Z"}), 1),
        (json!({"status": "dead_letter", "last_error": "why"}), 1),
    ] {
        let adjusts = due().queue(&json!({"platform": "another"})).queue(&original).store(&pool).await;
        execute(
            &pool,
            &format!(
                "insert into public.conversion_queue (conversion_id, platform, adjusts)
                 select conversion_id, 'google_ads', id from public.conversion_queue where id = '{adjusts}'"
            ),
        )
        .await;
        assert_eq!(count_due(&app).await, expected, "{original}");
        assert_eq!(ids(&claim(&app, 9).await).len(), expected, "{original}");
        execute(&pool, "delete from public.conversion_queue").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_that_expire_first_are_claimed_first(pool: PgPool) {
    let app = app(&pool);
    let mut expected = Vec::new();
    for (nth, columns) in [
        (3, json!({"expires_at": "2026-12-01T00:00:00Z", "created_at": "2026-11-20T09:00:00Z"})),
        (0, json!({"expires_at": "2026-11-21T00:00:00Z", "created_at": "2026-11-20T11:00:00Z"})),
        (4, json!({"expires_at": null, "created_at": "2026-11-20T08:00:00Z"})),
        (2, json!({"expires_at": "2026-11-22T00:00:00Z", "created_at": "2026-11-20T11:00:00Z"})),
        (1, json!({"expires_at": "2026-11-22T00:00:00Z", "created_at": "2026-11-20T10:00:00Z"})),
    ] {
        expected.push((nth, due().queue(&columns).store(&pool).await));
    }
    expected.sort_unstable();
    for (nth, id) in expected {
        assert_eq!(ids(&claim(&app, 1).await), BTreeSet::from([id]), "{nth}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_claimed_conversion_is_what_was_recorded(pool: PgPool) {
    let app = app(&pool);
    let conversion = json!({
        "value": 6000.5, "currency": "EUR", "gclid": "click", "click_at": "2026-11-20T10:00:00Z",
        "email_hash_google": "a".repeat(64), "phone_hash": "b".repeat(64), "ad_personalization": "denied",
    });
    due().conversion(&conversion).store(&pool).await;
    let claimed = claim(&app, 1).await.conversions.remove(0);
    let money = claimed.money.as_ref().unwrap();
    assert_eq!((money.value().to_string().as_str(), money.currency()), ("6000.5", "EUR"));
    assert_eq!(claimed.click("google").and_then(|click| click.get("gclid")), Some("click"));
    assert_eq!(claimed.facts.click_at, Some(start() - TimeDelta::hours(2)));
    assert_eq!(claimed.occurred_at, start() - TimeDelta::hours(1));
    assert_eq!(json!([claimed.email_hash_google, claimed.phone_hash]), json!(["a".repeat(64), "b".repeat(64)]));
    assert_eq!(json!([claimed.ad_user_data, claimed.ad_personalization]), json!(["granted", "denied"]));
    assert!(claimed.transaction_id.starts_with("adtrail-"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_verdict_is_asked_for_ever_later_until_it_comes(pool: PgPool) {
    let app = app(&pool);
    let ids = [due().store(&pool).await, due().store(&pool).await];
    settle(&app, &claim(&app, 9).await, &Outcome::Accepted { request_id: "r".into() }).await;
    for minutes in [30, 30, 60, 120, 240, 480, 720, 720] {
        app.clock.advance(TimeDelta::minutes(minutes) - TimeDelta::microseconds(1));
        assert!(receipts(&app).await.is_empty(), "not yet after {minutes} min");
        app.clock.advance(TimeDelta::microseconds(1));
        let due = receipts(&app).await;
        assert_eq!((due.len(), due[0].request_id.as_str()), (1, "r"), "one question for both rows");
        let verdict = if minutes == 60 { Verdict::Unanswered(reason()) } else { Verdict::Processing };
        conclude(&app, &due[0], verdict).await;
    }
    app.clock.advance(TimeDelta::hours(12));
    conclude(&app, &receipts(&app).await[0], Verdict::Confirmed).await;
    for id in ids {
        let row = stored(&pool, id).await;
        assert_eq!((&row["status"], time(&row["confirmed_at"])), (&json!("uploaded"), app.clock.now()));
        assert_eq!(row["last_error"], Value::Null);
    }
    app.clock.advance(TimeDelta::days(9));
    assert!(receipts(&app).await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_rejected_by_its_verdict_is_retried_or_becomes_a_dead_letter(pool: PgPool) {
    let app = app(&pool);
    let soon = start() + TimeDelta::hours(7);
    // Refusals before, the verdict; then status, refusals, and the wait.
    let cases = [
        (0, Outcome::Retry(reason()), "failed", 1, Some(TimeDelta::minutes(15))),
        (3, Outcome::Retry(reason()), "failed", 4, Some(TimeDelta::hours(16))),
        (4, Outcome::Retry(reason()), "dead_letter", 5, None),
        (2, Outcome::Rejected(reason()), "dead_letter", 2, None),
        (0, Outcome::Later(soon, reason()), "pending", 0, Some(soon - start())),
        (0, Outcome::Held(reason()), "pending", 0, Some(TimeDelta::hours(1))),
        (1, Outcome::Paused(reason()), "failed", 1, Some(TimeDelta::minutes(20))),
        (0, Outcome::SendAlone(reason()), "pending", 0, None),
    ];
    for (before, outcome, status, refusals, wait) in cases {
        let id = due().queue(&json!({"retry_count": before})).store(&pool).await;
        settle(&app, &claim(&app, 9).await, &Outcome::Accepted { request_id: "r".into() }).await;
        // The next question is due at once, so that the clock needn't move.
        execute(&pool, "update public.conversion_queue set next_status_check_at = '2026-11-20T12:00:00Z'").await;
        let due = receipts(&app).await;
        conclude(&app, &due[0], Verdict::Refused(outcome.clone())).await;
        let row = stored(&pool, id).await;
        assert_eq!((&row["status"], &row["retry_count"]), (&json!(status), &json!(refusals)), "{outcome:?}");
        assert_eq!(row["last_error_code"], "CODE", "{outcome:?}");
        assert_eq!(row["dead_lettered_at"].is_null(), status != "dead_letter", "{outcome:?}");
        if let Some(wait) = wait {
            let waits = time(&row["next_retry_at"]) - app.clock.now();
            assert!((waits - wait).abs() <= wait / 10, "{outcome:?} waits {waits}");
        }
        assert!(receipts(&app).await.is_empty(), "{outcome:?}");
        // The same receipt again, by another uploader, changes nothing.
        conclude(&app, &due[0], Verdict::Confirmed).await;
        assert_eq!(stored(&pool, id).await, row, "{outcome:?}");
        execute(&pool, "delete from public.conversion_queue").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_pause_for_late_refusals_ends_with_a_confirmation(pool: PgPool) {
    let app = app(&pool);
    due().store(&pool).await;
    due().store(&pool).await;
    let reason = reason();
    let pause = Pause { reason: &reason, next_probe_at: start(), until_confirmed: true };
    let paused: Result<_, DbError> = app.db.tx(async |tx| breaker::pause(tx, PLATFORM, pause, start()).await).await;
    paused.unwrap();
    settle(&app, &claim(&app, 1).await, &Outcome::Accepted { request_id: "r".into() }).await;
    let state =
        async || -> State { app.db.tx(async |tx| breaker::state(tx, PLATFORM, app.clock.now()).await).await.unwrap() };
    assert_eq!(state().await, State::ProbeUntilConfirmed, "it accepts everything");
    app.clock.advance(TimeDelta::minutes(30));
    conclude(&app, &receipts(&app).await[0], Verdict::Refused(Outcome::Paused(reason.clone()))).await;
    let refused = rows(&pool, "select status, retry_count from public.conversion_queue where request_id = 'r'").await;
    assert_eq!(refused, [json!({"status": "pending", "retry_count": 0})], "the account's fault costs no attempt");
    assert_eq!(state().await, State::ProbeUntilConfirmed);

    execute(&pool, "update public.conversion_queue set request_id = null").await;
    settle(&app, &claim(&app, 1).await, &Outcome::Accepted { request_id: "s".into() }).await;
    app.clock.advance(TimeDelta::minutes(30));
    conclude(&app, &receipts(&app).await[0], Verdict::Confirmed).await;
    assert_eq!(state().await, State::Active);
}

#[sqlx::test(migrations = "../migrations")]
async fn without_a_verdict_for_seven_days_it_stays_unconfirmed(pool: PgPool) {
    let app = app(&pool);
    let id = due().store(&pool).await;
    settle(&app, &claim(&app, 9).await, &Outcome::Accepted { request_id: "r".into() }).await;
    app.clock.advance(TimeDelta::days(7));
    conclude(&app, &receipts(&app).await[0], Verdict::Processing).await;
    let row = stored(&pool, id).await;
    assert_eq!(
        json!([row["status"], row["confirmed_at"], row["last_error_code"]]),
        json!(["uploaded", null, "unconfirmed"])
    );
    app.clock.advance(TimeDelta::days(30));
    assert!(receipts(&app).await.is_empty(), "nobody asks any more");
}

#[sqlx::test(migrations = "../migrations")]
async fn every_request_is_logged_with_its_result(pool: PgPool) {
    let app = app(&pool);
    for minute in 0..4 {
        let created = format!("2026-11-20T11:0{minute}:00Z");
        due().queue(&json!({"created_at": created})).store(&pool).await;
    }
    let claim = claim(&app, 9).await;
    let id = |at: usize| claim.conversions[at].queue_id.to_string();
    let request = |status, conversions: &[usize], settled: &[usize]| Request {
        exchange: Exchange { http_status: Some(status), request_id: Some(format!("q{status}")), ..Exchange::default() },
        conversions: conversions.to_vec(),
        settled: settled.to_vec(),
    };
    // The first never went out; the second was to blame for a refusal; the others then went through.
    let accepted = Outcome::Accepted { request_id: "r".into() };
    let delivery = Delivery {
        outcomes: vec![
            Outcome::Rejected(Reason::new("expired", "too old")),
            Outcome::Rejected(reason()),
            accepted.clone(),
            accepted,
        ],
        requests: vec![request(422, &[1, 2, 3], &[]), request(400, &[1, 2], &[1]), request(200, &[2, 3], &[2, 3])],
    };
    assert_eq!(settle_as(&app, &claim, &delivery).await, 4);
    let logged = rows(
        &pool,
        "select http_status, request_id, transport, rows_in_request, operation, outcome, reason_code, queue_ids
         from public.upload_attempts order by http_status desc, outcome desc",
    )
    .await;
    let line = |status: Option<u16>, size: Option<usize>, outcome: &str, code: Option<&str>, rows: &[usize]| {
        json!({
            "http_status": status, "request_id": status.map(|it| format!("q{it}")), "rows_in_request": size,
            "transport": status.map(|_| "data_manager"), "operation": "upload", "outcome": outcome,
            "reason_code": code, "queue_ids": rows.iter().map(|at| id(*at)).collect::<Vec<_>>(),
        })
    };
    assert_eq!(
        logged,
        [
            line(None, None, "rejected", Some("expired"), &[0]),
            line(Some(422), Some(3), "narrowed_down", None, &[1]),
            line(Some(400), Some(2), "rejected", Some("CODE"), &[1]),
            line(Some(200), Some(2), "accepted", None, &[2, 3]),
        ]
    );
    let spent: Result<_, DbError> =
        app.db.tx(async |tx| queue::requests(tx, "data_manager", &[PLATFORM.to_owned()], app.clock.now()).await).await;
    assert_eq!(spent.unwrap(), (3, 3), "requests, not lines");
}
