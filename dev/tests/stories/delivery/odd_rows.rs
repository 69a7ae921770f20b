//! One odd row, or an odd answer, must not stop the others, and no pause is for ever.

use chrono::TimeDelta;
use google_sandbox::{Endpoint, EventPoison, Fault, FaultKind, FieldStyle, Poison, RowPoison};
use sqlx::PgPool;

use super::{Delivery, counts};

const TICK: TimeDelta = TimeDelta::minutes(15);

impl Delivery {
    async fn ticks(&self, count: usize) {
        for _ in 0..count {
            self.tick_after(TICK).await;
        }
    }

    async fn is_paused(&self) -> bool {
        self.number("select count(*) from public.platform_state where state = 'paused'").await > 0
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_that_google_blames_the_account_for_waits_alone(pool: PgPool) {
    let terms: [(&str, Poison); 2] = [
        ("data_manager", EventPoison::new("DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED").into()),
        ("google_ads", RowPoison::new("conversionUploadError", "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS").into()),
    ];
    for (transport, poison) in terms {
        let delivery = Delivery::new(&pool, &[("GOOGLE_ADS_TRANSPORT", transport)]).await;
        delivery.execute("delete from public.leads; delete from public.platform_state").await;
        delivery.add_due(0..60).await;
        // The first of all, and so the first to be tried.
        delivery.google.poison("adtrail-0", poison);
        delivery.ticks(8).await;
        assert_eq!(delivery.statuses().await, counts(&[("uploaded", 59), ("pending", 1)]), "{transport}");
        delivery.google.unpoison("adtrail-0");
        delivery.ticks(8).await;
        assert_eq!(delivery.statuses().await, counts(&[("uploaded", 60)]), "{transport}");
        assert_eq!(delivery.attempts_used().await, 0);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_refused_late_for_the_account_does_not_stop_those_that_come_after(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..20).await;
    delivery.google.decide("adtrail-0", "PROCESSING_ERROR_REASON_NO_CONSENT");
    delivery.ticks(8).await;
    delivery.add_due(20..40).await;
    delivery.ticks(16).await;
    let confirmed = "select count(*) from public.conversion_queue where confirmed_at is not null";
    assert_eq!(delivery.number(confirmed).await, 39, "{:?}", delivery.statuses().await);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_rest_of_a_batch_is_not_blamed_for_it(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(0..1_100).await;
    delivery.google.decide("adtrail-7", "PROCESSING_ERROR_REASON_INVALID_EVENT");
    delivery.tick().await;
    delivery
        .execute(
            "delete from public.leads l using public.conversions c
             where c.lead_id = l.id and c.transaction_id <> 'adtrail-8'",
        )
        .await;
    delivery.tick_after(TimeDelta::minutes(31)).await;
    delivery.ticks(4).await;
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 1)]));
}

#[sqlx::test(migrations = "../migrations")]
async fn if_google_refuses_everything_without_a_reason_no_row_becomes_a_dead_letter(pool: PgPool) {
    for rows in [9, 60, 1_100] {
        let delivery = Delivery::new(&pool, &[]).await;
        delivery.google.keep_bodies(false);
        delivery
            .execute("delete from public.leads; delete from public.platform_state; delete from public.upload_attempts")
            .await;
        delivery.add_due(0..rows).await;
        let unnamed: Poison = EventPoison::new("INVALID_ARGUMENT").styled(FieldStyle::None).into();
        (0..rows).for_each(|id| delivery.google.poison(format!("adtrail-{id}"), unnamed.clone()));
        delivery.tick().await;
        assert_eq!(delivery.statuses().await, counts(&[("pending", rows.into())]));
        assert_eq!(delivery.attempts_used().await, 0);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_batch_that_is_too_large_goes_in_parts_and_what_is_too_large_alone_says_so(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        let delivery = Delivery::new(&pool, &[("GOOGLE_ADS_TRANSPORT", transport)]).await;
        delivery.execute("delete from public.leads; delete from public.upload_attempts").await;
        delivery.add_due(0..1).await;
        delivery.tick().await;
        let requests = delivery.google.requests();
        let one = requests.ingest.iter().chain(&requests.click_conversions).map(String::len).max().unwrap();

        delivery.add_due(1..1_101).await;
        delivery.google.limit_bodies(Some(one * 500));
        assert_eq!(delivery.tick().await.accepted, 1_100, "{transport}");
        let requests = delivery.google.requests();
        let calls = requests.ingest_calls + requests.click_conversion_calls;
        assert!((4..10).contains(&calls), "{transport}: {calls}");

        delivery.add_due(1_101..1_111).await;
        let long = "update public.conversions set gclid = repeat('B', 400) where transaction_id = 'adtrail-1105'";
        delivery.execute(long).await;
        delivery.google.limit_bodies(Some(one + 200));
        delivery.tick_after(TICK).await;
        assert_eq!(delivery.statuses().await, counts(&[("uploaded", 1_110), ("dead_letter", 1)]), "{transport}");
        let row = delivery.row("adtrail-1105", "google_ads").await;
        assert_eq!(row["last_error_code"], "too_large", "{transport}");
        assert_eq!(delivery.attempts_used().await, 0);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_google_calls_temporary_costs_no_attempt_however_often_it_comes(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[("GOOGLE_ADS_TRANSPORT", "google_ads")]).await;
    delivery.add_due(0..20).await;
    let busy = [
        ("adtrail-3", "databaseError", "CONCURRENT_MODIFICATION"),
        ("adtrail-4", "internalError", "TRANSIENT_ERROR"),
        ("adtrail-5", "internalError", "DEADLINE_EXCEEDED"),
    ];
    for (id, error, name) in busy {
        delivery.google.poison(id, RowPoison::new(error, name));
    }
    delivery.ticks(40).await;
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 17), ("pending", 3)]));
    assert_eq!(delivery.attempts_used().await, 0);
    for (id, _, name) in busy {
        assert_eq!(delivery.row(id, "google_ads").await["last_error_code"], name);
        delivery.google.unpoison(id);
    }
    delivery.ticks(5).await;
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 20)]));
}

#[sqlx::test(migrations = "../migrations")]
async fn no_pause_is_for_ever(pool: PgPool) {
    let http = |status, retry_after| FaultKind::Http { status, retry_after, reason: None, body: None };
    let delivery = Delivery::new(&pool, &[]).await;

    // An absurd wait is ignored.
    delivery.add_due(0..1).await;
    delivery.google.script(Fault::once(Endpoint::Ingest, http(503, Some(4_000_000_000)))).unwrap();
    delivery.tick().await;
    assert!(delivery.is_paused().await);
    delivery.tick_after(TimeDelta::hours(25)).await;
    assert_eq!(delivery.statuses().await, counts(&[("uploaded", 1)]));

    // A question that was refused, and answered later, when there is nothing to send.
    delivery.google.script(Fault::once(Endpoint::Status, http(401, None)).times(2)).unwrap();
    delivery.tick_after(TimeDelta::minutes(31)).await;
    assert!(delivery.is_paused().await);
    delivery.ticks(60).await;
    assert!(!delivery.is_paused().await);
    assert!(!delivery.row("adtrail-0", "google_ads").await["confirmed_at"].is_null());

    // The row that found Google away was erased.
    delivery.add_due(1..2).await;
    delivery.google.script(Fault::once(Endpoint::Ingest, http(503, None))).unwrap();
    delivery.tick().await;
    assert!(delivery.is_paused().await);
    delivery.execute("delete from public.leads").await;
    delivery.ticks(1).await;
    assert!(!delivery.is_paused().await);
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_held_for_consent_expire(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[("CONSENT_UNKNOWN", "hold")]).await;
    delivery.add_due(0..1).await;
    let unasked = "delete from public.consent_statements; update public.conversions set ad_user_data = 'unknown'";
    delivery.execute(unasked).await;
    delivery.tick_after(TimeDelta::days(60)).await;
    assert_eq!(delivery.statuses().await, counts(&[("pending", 1)]));
    delivery.tick_after(TimeDelta::days(60)).await;
    let row = delivery.row("adtrail-0", "google_ads").await;
    assert_eq!((&row["status"], &row["last_error_code"]), (&"dead_letter".into(), &"expired".into()));
}

#[sqlx::test(migrations = "../migrations")]
async fn googles_reason_stays_when_nothing_is_left_without_the_click_id(pool: PgPool) {
    let changed = [("GOOGLE_ADS_TRANSPORT", "google_ads"), ("GOOGLE_ADS_USER_DATA", "omit")];
    let delivery = Delivery::new(&pool, &changed).await;
    delivery.add_due(0..1).await;
    delivery.google.poison("adtrail-0", RowPoison::new("conversionUploadError", "UNPARSEABLE_GCLID"));
    delivery.tick().await;
    let row = delivery.row("adtrail-0", "google_ads").await;
    assert_eq!((&row["status"], &row["last_error_code"]), (&"dead_letter".into(), &"UNPARSEABLE_GCLID".into()));
}
