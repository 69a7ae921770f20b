//! The numbers for metrics.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::App;
use shared::consent::UnknownConsent;
use shared::db::DbError;
use shared::inbox::gauges::{InboxGauges, Unused, UnusedCount};
use shared::platforms::{Destinations, Operation};
use shared::queue::Policy;
use shared::queue::gauges::{DeadLetters, Delivered, LaneGauges};
use shared::visitors::gauges::WebsiteGauges;
use shared::{inbox, queue, visitors};
use sqlx::PgPool;
use testing::{Row, due, store, waiting_deal};
use testing::{app, execute, route, start};
use uuid::Uuid;

fn ago(time: TimeDelta) -> DateTime<Utc> {
    start() - time
}

const fn hours(n: i64) -> TimeDelta {
    TimeDelta::hours(n)
}

/// A row of the queue that was due so many hours ago, with more about it.
async fn waiting(pool: &PgPool, due_hours_ago: i64, queue: Value, conversion: Value) -> Uuid {
    let due = due().queue(&json!({"created_at": ago(hours(due_hours_ago))})).queue(&queue).conversion(&conversion);
    due.store(pool).await
}

/// The only lane, where unknown consent is held.
async fn lane(pool: &PgPool) -> LaneGauges {
    let app: App<Policy> = app(pool);
    let policy = Policy { unknown_consent: UnknownConsent::Hold, ..app.config };
    let transports = queue::gauges::transports(&[&route(Operation::Upload)]);
    let lanes: Result<_, DbError> = app
        .db
        .tx(async |tx| queue::gauges::lanes(tx, &policy, &Destinations::default(), &transports, start()).await)
        .await;
    let mut lanes = lanes.unwrap();
    assert_eq!(lanes.len(), 1, "{lanes:?}");
    lanes.remove(0)
}

async fn attempt(pool: &PgPool, queue_id: Uuid, hours_ago: i64, outcome: &str) {
    let route = route(Operation::Upload);
    Row::of(
        "upload_attempts",
        &json!({
            "platform": route.lane, "operation": "upload", "transport": route.transport, "queue_ids": [queue_id],
            "attempted_at": ago(hours(hours_ago)), "duration_ms": 1, "outcome": outcome,
        }),
    )
    .store(pool)
    .await;
}

async fn accepted_before(pool: &PgPool, hours_ago: i64) {
    let at = ago(hours(hours_ago)).to_rfc3339();
    execute(
        pool,
        &format!(
            "insert into public.platform_state (platform, last_accepted_at) values ('google_ads', '{at}')
             on conflict (platform) do update set last_accepted_at = excluded.last_accepted_at"
        ),
    )
    .await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lane_is_idle_since_its_rows_wait_or_since_it_accepted_something(pool: PgPool) {
    waiting(&pool, 30, json!({}), json!({})).await;
    let idle = async |pool: &PgPool| lane(pool).await.idle_since.map(|at| (start() - at).num_hours());
    assert_eq!(idle(&pool).await, Some(30), "nothing was ever accepted");

    accepted_before(&pool, 26).await;
    assert_eq!(idle(&pool).await, Some(26));

    accepted_before(&pool, 40).await;
    assert_eq!(idle(&pool).await, Some(30), "for ten hours there was nothing to accept");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_that_is_tried_again_and_again_waits_since_the_first_attempt_after_the_last_success(pool: PgPool) {
    let next = json!({"transport_failures": 9, "next_retry_at": start() + TimeDelta::minutes(40)});
    let id = waiting(&pool, 200, next, json!({})).await;
    for hours_ago in [31, 30, 29, 1] {
        attempt(&pool, id, hours_ago, "unavailable").await;
    }
    accepted_before(&pool, 30).await;

    let LaneGauges { idle_since, due_since, retrying, .. } = lane(&pool).await;
    assert_eq!(idle_since, Some(ago(hours(29))));
    assert_eq!((due_since, retrying), (None, 1), "it isn't due now");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_not_tried_for_long_is_idle_for_long(pool: PgPool) {
    let tried = json!({"transport_failures": 1, "next_retry_at": start() + TimeDelta::minutes(1)});
    let id = waiting(&pool, 900, tried, json!({})).await;
    attempt(&pool, id, 800, "unavailable").await;
    assert_eq!(lane(&pool).await.idle_since, Some(ago(TimeDelta::days(8))));
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_held_for_consent_or_for_a_young_click_wait_for_nobody(pool: PgPool) {
    waiting(&pool, 2_000, json!({}), json!({"ad_user_data": "unknown"})).await;
    waiting(&pool, 5, json!({"next_retry_at": start() + hours(1)}), json!({})).await;

    let expected = LaneGauges {
        lane: "google_ads".into(),
        open: 2,
        held: 1,
        retrying: 0,
        unconfirmed: 0,
        due_since: None,
        idle_since: None,
        is_paused: false,
    };
    assert_eq!(lane(&pool).await, expected);
    accepted_before(&pool, 500).await;
    assert_eq!(lane(&pool).await, expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn dead_letters_of_the_last_day_are_counted_if_somebody_should_look(pool: PgPool) {
    let dead = async |code: &str, hours_ago: i64, consent: &str| {
        let queue = json!({
            "status": "dead_letter", "dead_lettered_at": ago(hours(hours_ago)), "last_error_code": code, "last_error": "why",
        });
        waiting(&pool, 1, queue, json!({"ad_user_data": consent})).await;
    };
    dead("INVALID_EVENT", 1, "granted").await;
    dead("INVALID_EVENT", 23, "granted").await;
    dead("INVALID_EVENT", 25, "granted").await;
    dead("expired", 1, "granted").await;
    dead("expired", 1, "unknown").await;
    for moot in ["deal_lost", "original_refused", "consent_withdrawn"] {
        dead(moot, 1, "granted").await;
    }

    let app: App<Policy> = app(&pool);
    let policy = Policy { unknown_consent: UnknownConsent::Hold, ..app.config };
    let counted: Result<_, DbError> =
        app.db.tx(async |tx| queue::gauges::dead_letters(tx, &policy, &Destinations::default(), start()).await).await;
    let of = |code: &str, rows| DeadLetters { lane: "google_ads".into(), code: code.into(), rows };
    assert_eq!(counted.unwrap(), [of("INVALID_EVENT", 2), of("expired", 1)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_accepted_and_confirmed_is_counted_for_a_day(pool: PgPool) {
    let id = waiting(&pool, 1, json!({}), json!({})).await;
    for (hours_ago, outcome) in
        [(25, "accepted"), (3, "accepted"), (2, "already_done"), (1, "confirmed"), (1, "rejected"), (1, "processing")]
    {
        attempt(&pool, id, hours_ago, outcome).await;
    }
    let app: App<Policy> = app(&pool);
    let route = route(Operation::Upload);
    let counted: Result<_, DbError> =
        app.db.tx(async |tx| queue::gauges::delivered(tx, &[&route], start()).await).await;
    assert_eq!(counted.unwrap(), Delivered { accepted: 2, confirmed: 2 });
}

async fn inbox_of(pool: &PgPool, sources: &[&str]) -> InboxGauges {
    let app: App<Policy> = app(pool);
    let sources: Vec<_> = sources.iter().map(|it| (*it).to_owned()).collect();
    let read: Result<_, DbError> = app.db.tx(async |tx| inbox::gauges::read(tx, &sources, start()).await).await;
    read.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_source_is_silent_after_deals_in_each_of_four_weeks(pool: PgPool) {
    let days_of = [
        ("weekly", &[8, 15, 22, 29][..]),
        ("edges", &[7, 14, 21, 28]),
        ("alive", &[1, 8, 15, 22, 29]),
        ("rare", &[8, 15, 29]),
        ("bursts", &[8, 9, 10, 11]),
        ("removed", &[8, 15, 22, 29]),
    ];
    let mut deals = Vec::new();
    for (source, days) in days_of {
        deals.extend(days.iter().map(|day| {
            let received_at = ago(TimeDelta::days(*day));
            let columns = json!({"source": source, "received_at": received_at});
            waiting_deal(&format!("{source}-{day}"), "jane@example.com").with(&columns)
        }));
    }
    let count = i64::try_from(deals.len()).unwrap();
    store(&pool, deals).await;

    let read = inbox_of(&pool, &["weekly", "edges", "alive", "rare", "bursts", "crm-conversion"]).await;
    let silent = ["edges", "weekly"].map(str::to_owned).into();
    assert_eq!(read, InboxGauges { awaiting_lead: count, deals: 0, silent, refused: Vec::new() });
}

#[sqlx::test(migrations = "../migrations")]
async fn a_source_is_refused_until_a_webhook_of_it_is_accepted(pool: PgPool) {
    for (source, refusals, hours_ago) in
        [("broken", 3, 2), ("guessed", 3, 2), ("once", 2, 2), ("mended", 9, 26), ("unknown", 9, 1)]
    {
        let at = ago(hours(hours_ago)).to_rfc3339();
        execute(
            &pool,
            &format!(
                "insert into public.webhook_refusals (source, reason, hour, refusals, last_at)
                 values ('{source}', 'signature_wrong', date_trunc('hour', '{at}'::timestamptz, 'UTC'), {refusals},
                     '{at}')"
            ),
        )
        .await;
    }
    for (source, hours_ago) in [("broken", 3), ("guessed", 1)] {
        let columns = json!({
            "source": source, "payload_hash": "0".repeat(64), "body": "\\x00", "verified_by": "hmac",
            "verified_with": "S", "last_received_at": ago(hours(hours_ago)),
        });
        Row::of("inbox_receipts", &columns).store(&pool).await;
    }
    assert_eq!(inbox_of(&pool, &["broken", "guessed", "once", "mended"]).await.refused, ["broken"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn unused_webhooks_are_counted_by_kinds_of_reasons(pool: PgPool) {
    let receipt = Row::of(
        "inbox_receipts",
        &json!({"source": "s", "payload_hash": "0".repeat(64), "verified_by": "hmac", "verified_with": "S"}),
    );
    let receipt = receipt.store(&pool).await;
    let events = [
        ("ignored", "no rule matches: stage = new", 1),
        ("ignored", "no rule matches: stage = old", 2),
        ("ignored", "rule 2 ignores it: stage = new", 1),
        ("ignored", "only = sales: pipeline is other", 1),
        ("rejected", "value must be a number", 1),
        ("rejected", "value must be a number", 25),
    ];
    for (n, (state, reason, hours_ago)) in events.into_iter().enumerate() {
        let columns = json!({
            "receipt_id": receipt, "source": "s", "source_event_id": format!("{n}"), "state": state, "reason": reason,
            "received_at": ago(hours(hours_ago)),
        });
        Row::of("inbox_events", &columns).store(&pool).await;
    }
    let app: App<Policy> = app(&pool);
    let counted: Result<_, DbError> = app.db.tx(async |tx| inbox::gauges::unused(tx, start()).await).await;
    let of = |unused, reason: &str, count| UnusedCount { source: "s".into(), unused, reason: reason.into(), count };
    let expected = [
        of(Unused::Ignored, "no_rule", 2),
        of(Unused::Ignored, "only", 1),
        of(Unused::Ignored, "rule", 1),
        of(Unused::Rejected, "invalid", 1),
    ];
    assert_eq!(counted.unwrap(), expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn visitors_of_the_last_day_are_counted_with_their_clicks_and_gpc(pool: PgPool) {
    let visitors = [
        ("click", json!({"meta": {"fbclid": "x", "at": "2026-11-01T10:00:00Z"}}), "granted", 1),
        ("gpc", json!({}), "denied", 1),
        ("banner", json!({}), "denied", 1),
        ("old", json!({"meta": {"fbclid": "x", "at": "2026-11-01T10:00:00Z"}}), "granted", 25),
    ];
    for (id, clicks, consent, hours_ago) in visitors {
        let columns = json!({
            "visitor_id": id, "clicks": clicks, "ad_user_data": consent, "first_seen_at": ago(hours(99)),
            "last_seen_at": ago(hours(hours_ago)),
        });
        Row::of("visitors", &columns).store(&pool).await;
    }
    for (id, source) in [("gpc", "gpc"), ("banner", "banner")] {
        execute(
            &pool,
            &format!(
                "insert into public.consent_statements (visitor_id, purpose, value, source, stated_at)
                 values ('{id}', 'ad_user_data', 'denied', '{source}', now())"
            ),
        )
        .await;
    }
    testing::lead("jane@example.com").with(&json!({"created_at": ago(hours(2))})).store(&pool).await;
    testing::lead("joe@example.com").with(&json!({"created_at": ago(hours(30))})).store(&pool).await;

    let app: App<Policy> = app(&pool);
    let read: Result<_, DbError> = app.db.tx(async |tx| visitors::gauges::read(tx, start()).await).await;
    assert_eq!(read.unwrap(), WebsiteGauges { visitors: 3, with_click: 1, with_gpc: 1, leads: 1 });
}
