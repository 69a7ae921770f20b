//! Days without Google.

use chrono::TimeDelta;
use google_sandbox::{Endpoint, Fault, FaultKind};
use sqlx::PgPool;
use testing::scaled;

use super::{Delivery, counts};

const TICK: TimeDelta = TimeDelta::minutes(15);

fn http(status: u16) -> FaultKind {
    FaultKind::Http { status, retry_after: None, reason: None, body: None }
}

/// Many due rows, days of this, and then two runs.
async fn outlast(pool: &PgPool, transport: &str, faults: &[(Endpoint, FaultKind)]) {
    let (rows, ticks) = (scaled(10_000, 1_200), scaled(3, 1) * 24 * 4);
    let delivery = Delivery::new(pool, &[("GOOGLE_ADS_TRANSPORT", transport)]).await;
    delivery.google.keep_bodies(false);
    delivery.add_due(0..rows).await;
    for (on, kind) in faults {
        delivery.google.script(Fault::once(*on, kind.clone()).times(u32::MAX)).unwrap();
    }
    for tick in 0..ticks {
        let summary = delivery.tick_after(TICK).await;
        assert_eq!((summary.accepted, summary.rejected), (0, 0), "tick {tick}");
        assert!(summary.paused.iter().any(|lane| lane == "google_ads"), "tick {tick}: {summary:?}");
    }
    let requests = delivery.google.requests();
    let calls = requests.ingest_calls + requests.click_conversion_calls + requests.token;
    assert!(i32::try_from(calls).unwrap() <= 3 * ticks, "{calls} calls to an unavailable Google");
    assert_eq!(delivery.statuses().await, counts(&[("pending", rows.into())]));
    assert_eq!(delivery.attempts_used().await, 0);

    delivery.google.clear_faults();
    delivery.tick_after(TICK).await;
    delivery.tick_after(TICK).await;
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", rows.into())]));
    assert_eq!(delivery.attempts_used().await, 0);
    assert_eq!(i32::try_from(delivery.google.conversions().len()).unwrap(), rows);
}

#[sqlx::test(migrations = "../migrations")]
async fn google_answers_503(pool: PgPool) {
    outlast(&pool, "data_manager", &[(Endpoint::Ingest, http(503))]).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_grant_is_gone_until_somebody_renews_it(pool: PgPool) {
    let gone = FaultKind::OAuth { error: "invalid_grant".into(), description: "Token has been revoked.".into() };
    outlast(&pool, "data_manager", &[(Endpoint::Token, gone)]).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn no_connection_can_be_opened(pool: PgPool) {
    outlast(&pool, "data_manager", &[(Endpoint::Token, FaultKind::Drop {}), (Endpoint::Ingest, FaultKind::Drop {})])
        .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_quota_is_used_up(pool: PgPool) {
    outlast(&pool, "data_manager", &[(Endpoint::Ingest, http(429))]).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_google_ads_api_answers_503(pool: PgPool) {
    outlast(&pool, "google_ads", &[(Endpoint::ClickConversions, http(503))]).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_that_does_not_resolve_pauses_and_says_so(pool: PgPool) {
    // The top-level domain that never resolves (RFC 6761).
    let delivery = Delivery::new(&pool, &[("GOOGLE_TOKEN_URL", "https://oauth2.google.invalid/token")]).await;
    delivery.add_due(0..20).await;
    for _ in 0..4 {
        let summary = delivery.tick_after(TICK).await;
        assert_eq!(summary.paused, ["google_ads"]);
    }
    assert_eq!(delivery.statuses().await, counts(&[("pending", 20)]));
    let untouched = "select count(*) from public.conversion_queue where claims = 0 and next_retry_at is null";
    assert_eq!(delivery.number(untouched).await, 20);
    let reason: String = sqlx::query_scalar("select reason from public.platform_state").fetch_one(&pool).await.unwrap();
    assert!(reason.contains("can't be reached"), "{reason}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_version_that_google_never_had_pauses_and_says_so(pool: PgPool) {
    let changed = [("GOOGLE_ADS_TRANSPORT", "google_ads"), ("GOOGLE_ADS_API_VERSION", "v99")];
    let wrong = Delivery::new(&pool, &changed).await;
    wrong.add_due(0..20).await;
    for _ in 0..8 {
        wrong.tick_after(TICK).await;
        assert_eq!(wrong.number("select count(*) from public.platform_state where state = 'paused'").await, 1);
    }
    assert_eq!(wrong.statuses().await, counts(&[("pending", 20)]));
    assert_eq!(wrong.attempts_used().await, 0);
    let reason: String = sqlx::query_scalar("select reason from public.platform_state").fetch_one(&pool).await.unwrap();
    let path = "/v99/customers/1234567890:uploadClickConversions";
    assert!(reason.contains(path) && reason.contains("GOOGLE_ADS_API_VERSION"), "{reason}");

    let right = Delivery::new(&pool, &[("GOOGLE_ADS_TRANSPORT", "google_ads")]).await;
    right.app.clock.advance(wrong.now() - right.now());
    right.tick_after(TICK).await;
    right.tick_after(TICK).await;
    assert_eq!(right.statuses().await, counts(&[("uploaded", 20)]));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wait_that_google_asks_for_is_kept(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..20).await;
    let busy = FaultKind::Http { status: 429, retry_after: Some(3_600), reason: None, body: None };
    delivery.google.script(Fault::once(Endpoint::Ingest, busy).times(10)).unwrap();
    delivery.tick().await;
    for _ in 0..3 {
        let summary = delivery.tick_after(TICK).await;
        assert_eq!((summary.claimed, summary.paused.as_slice()), (0, ["google_ads".to_owned()].as_slice()));
    }
    assert_eq!(delivery.tick_after(TICK).await.accepted, 20, "an hour later, all of them");
}
