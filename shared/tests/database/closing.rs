//! Which open rows are closed because nobody is to send them any more.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::db::DbError;
use shared::{App, intake, queue};
use sqlx::PgPool;
use testing::{app, due, execute, row, start};

async fn close(app: &App<intake::Config>) {
    let closed: Result<(), DbError> =
        app.db.tx(async |tx| queue::close_moot(tx, &app.config.destinations, app.clock.now()).await).await;
    closed.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_held_for_consent_is_closed_when_its_click_and_its_person_have_expired(pool: PgPool) {
    let app = app(&pool);
    let before = |days, seconds| start() - TimeDelta::days(days) - TimeDelta::seconds(seconds);
    // When the click was, if there was one, and the form; what the consent is; is it closed?
    let cases = [
        (Some(before(90, 1)), before(63, 1), "unknown", true),
        (Some(before(90, 0)), before(63, 1), "unknown", false),
        (Some(before(90, 1)), before(63, 0), "unknown", false),
        (None, before(63, 1), "unknown", true),
        (None, before(63, 0), "unknown", false),
        // A claim closes these.
        (Some(before(90, 1)), before(63, 1), "granted", false),
    ];
    for case in cases {
        let (click_at, lead_at, consent, expected) = case;
        let conversion = json!({"ad_user_data": consent, "click_at": click_at, "gclid": click_at.map(|_| "Cj0KCQ")});
        let counts_until = click_at.map(|at| at + TimeDelta::days(90)).max(Some(lead_at + TimeDelta::days(63)));
        let row = due().lead(&json!({"created_at": lead_at})).conversion(&conversion);
        let id = row.queue(&json!({"expires_at": counts_until})).store(&pool).await;
        close(&app).await;
        let stored = testing::row(&pool, &format!("select * from public.conversion_queue where id = '{id}'")).await;
        let closed = (json!("dead_letter"), json!("expired"));
        let open = (json!("pending"), Value::Null);
        let is = (stored["status"].clone(), stored["last_error_code"].clone());
        assert_eq!(is, if expected { closed } else { open }, "{case:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_pause_that_nothing_waits_for_ends_with_the_last_row_that_is_closed(pool: PgPool) {
    let app = app(&pool);
    due().conversion(&json!({"retracted_at": start(), "skip_reason": "deal_lost"})).store(&pool).await;
    execute(
        &pool,
        "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
         values ('google_ads', 'paused', 'why', '2026-11-20T11:00:00Z', '2026-11-20T11:30:00Z')",
    )
    .await;
    close(&app).await;
    let stored = row(&pool, "select q.status, q.last_error_code from public.conversion_queue q").await;
    assert_eq!(stored, json!({"status": "dead_letter", "last_error_code": "deal_lost"}));
    assert_eq!(row(&pool, "select state from public.platform_state").await, json!({"state": "active"}));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_of_a_destination_that_is_gone_waits_until_it_has_expired(pool: PgPool) {
    let app = app(&pool);
    for (lane, expires_at) in [("former", start()), ("former", start() + TimeDelta::days(1)), ("google_ads", start())] {
        due().queue(&json!({"platform": lane, "expires_at": expires_at})).store(&pool).await;
    }
    app.clock.advance(TimeDelta::seconds(1));
    close(&app).await;
    let sql = "select platform, status, last_error_code from public.conversion_queue order by 1, 2";
    let expected = json!([
        {"platform": "former", "status": "dead_letter", "last_error_code": "expired"},
        {"platform": "former", "status": "pending", "last_error_code": "undeclared"},
        // A claim closes it.
        {"platform": "google_ads", "status": "pending", "last_error_code": null},
    ]);
    assert_eq!(Value::from(testing::rows(&pool, sql).await), expected);
}
