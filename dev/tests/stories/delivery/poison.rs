//! A few conversions that Google refuses, among many that it doesn't.

use chrono::TimeDelta;
use google_sandbox::{EventPoison, FieldStyle, Poison, RowPoison};
use serde_json::Value;
use sqlx::PgPool;
use testing::scaled;

use super::{Delivery, counts};

/// ⌈log₂⌉ of 2,000, and of 1,200.
const LOG2: usize = 11;

/// More than are sent singly.
fn rows() -> usize {
    scaled(2_000, 1_200)
}

fn numbers_of_bad() -> &'static [usize] {
    scaled(&[1, 2, 5, 20], &[5])
}

/// Poisons k of the rows, spread over all of them, and runs the uploader once.
async fn one_run(delivery: &Delivery, k: usize, poison: &Poison, code: &str) -> usize {
    let rows = rows();
    delivery.execute("delete from public.leads; delete from public.upload_attempts").await;
    delivery.google.clear();
    // Another minute, with a quota of its own.
    delivery.app.clock.advance(TimeDelta::minutes(2));
    delivery.add_due(0..i32::try_from(rows).unwrap()).await;
    let bad: Vec<String> = (0..k).map(|nth| format!("adtrail-{}", (nth * 1_013) % rows)).collect();
    for id in &bad {
        delivery.google.poison(id, poison.clone());
    }

    let summary = delivery.tick().await;

    assert_eq!((summary.accepted, summary.rejected), ((rows - k) as u64, k as u64), "{poison:?}");
    let expected =
        [("uploaded", rows - k), ("dead_letter", k)].map(|(status, count)| (status, i64::try_from(count).unwrap()));
    assert_eq!(delivery.statuses().await, counts(&expected));
    assert_eq!(delivery.attempts_used().await, 0);
    for id in &bad {
        let row: Value = delivery.row(id, "google_ads").await;
        assert_eq!((&row["status"], &row["last_error_code"]), (&"dead_letter".into(), &code.into()), "{poison:?}");
        delivery.google.unpoison(id);
    }
    let counted = delivery.google.conversions();
    assert_eq!(counted.iter().filter(|it| !bad.contains(&it.id)).count(), rows - k);
    let requests = delivery.google.requests();
    requests.ingest_calls + requests.click_conversion_calls
}

#[sqlx::test(migrations = "../migrations")]
async fn at_data_manager_the_others_go_out_in_the_same_run(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.google.keep_bodies(false);
    for &k in numbers_of_bad() {
        for style in [FieldStyle::EventsEvents, FieldStyle::Events] {
            let all: Poison = EventPoison::new("INVALID_EVENT").styled(style).into();
            assert_eq!(one_run(&delivery, k, &all, "INVALID_EVENT").await, 2, "all named at once");
            let first: Poison = EventPoison::new("INVALID_HEX_ENCODING").styled(style).first_only().into();
            assert_eq!(one_run(&delivery, k, &first, "INVALID_HEX_ENCODING").await, 1 + k, "one named each time");
        }
        let unnamed: Poison = EventPoison::new("INVALID_ARGUMENT").styled(FieldStyle::None).into();
        let requests = one_run(&delivery, k, &unnamed, "INVALID_ARGUMENT").await;
        assert!(requests <= 1 + k * (LOG2 + 1), "{requests} requests to find {k}");
        assert!(delivery.google.requests().busiest_minute <= 300);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn at_the_google_ads_api_each_row_has_its_own_answer(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[("GOOGLE_ADS_TRANSPORT", "google_ads")]).await;
    let code = "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY";
    delivery.google.keep_bodies(false);
    for &k in numbers_of_bad() {
        let row = RowPoison::new("conversionUploadError", code);
        assert_eq!(one_run(&delivery, k, &row.clone().into(), code).await, 1);
        let requests = one_run(&delivery, k, &row.without_index().into(), code).await;
        assert!(requests <= 1 + k * (LOG2 + 1), "{requests} requests to find {k}");
    }
    let used = delivery
        .number("select count(*) from public.conversion_queue where confirmed_at is null and status = 'uploaded'");
    assert_eq!(used.await, 0, "this API says at once what became of them");
}
