use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::App;
use shared::db::DbError;
use shared::platforms::Reason;
use shared::queue::breaker::{self, Pause, State};
use sqlx::PgPool;
use testing::{app, row};

async fn state(app: &App<()>) -> State {
    app.db.tx(async |tx| breaker::state(tx, "google_ads", app.clock.now()).await).await.unwrap()
}

async fn pause(app: &App<()>, code: &str) {
    pause_until(app, code, false).await;
}

async fn pause_until(app: &App<()>, code: &str, until_confirmed: bool) {
    let reason = Reason::new(code, "Add the account.");
    let next_probe_at = app.clock.now() + TimeDelta::minutes(30);
    let pause = Pause { reason: &reason, next_probe_at, until_confirmed };
    let paused: Result<_, DbError> =
        app.db.tx(async |tx| breaker::pause(tx, "google_ads", pause, app.clock.now()).await).await;
    paused.unwrap();
}

async fn stored(pool: &PgPool) -> Value {
    row(pool, "select state, reason, paused_at, next_probe_at from public.platform_state").await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_paused_platform_is_probed_when_the_probe_is_due(pool: PgPool) {
    let app = app(&pool);
    assert_eq!(state(&app).await, State::Active, "nobody has used it yet");
    pause(&app, "PERMISSION_DENIED").await;
    assert_eq!(state(&app).await, State::Paused);
    app.clock.advance(TimeDelta::seconds(30 * 60 - 1));
    assert_eq!(state(&app).await, State::Paused);
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(state(&app).await, State::Probe);

    // The probe failed, too: it has been paused since the first time, and says the latest reason.
    pause(&app, "INVALID_DESTINATION").await;
    assert_eq!(state(&app).await, State::Paused);
    let expected = json!({
        "state": "paused", "reason": "INVALID_DESTINATION: Add the account.",
        "paused_at": "2026-11-20T12:00:00+00:00", "next_probe_at": "2026-11-20T13:00:00+00:00",
    });
    assert_eq!(stored(&pool).await, expected);
    pause_until(&app, "NO_CONSENT", true).await;
    app.clock.advance(TimeDelta::minutes(30));
    assert_eq!(state(&app).await, State::ProbeUntilConfirmed);
    let later = app.clock.now() + TimeDelta::hours(1);
    let postponed: Result<_, DbError> =
        app.db.tx(async |tx| breaker::postpone_probe(tx, "google_ads", later).await).await;
    postponed.unwrap();
    assert_eq!(state(&app).await, State::PausedUntilConfirmed);
    let other = app.db.tx(async |tx| breaker::state(tx, "another", app.clock.now()).await).await;
    assert_eq!(other.map_err(|error: DbError| error.to_string()), Ok(State::Active));
}
