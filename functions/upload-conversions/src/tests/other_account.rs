//! Clicks of another Google Ads account than the one that is set.

use google_sandbox::Click;
use shared::health::{self, Health, Status};

use super::*;

const RIGHT: &str = "2222222222";

impl Uploader {
    /// Lets Google know that the nth click belongs to [`RIGHT`].
    fn clicks_belong_elsewhere(&self, numbers: std::ops::Range<u32>) {
        for n in numbers {
            let click = Click { at: start() - TimeDelta::days(2), customer_id: RIGHT.to_owned() };
            self.google.add_click(format!("Click-{n}"), click);
        }
    }

    async fn give_email(&self, numbers: std::ops::Range<u32>) {
        let hash = "a1b2c3d4".repeat(8);
        for n in numbers {
            let email = format!(
                "update public.conversions set email_hash = '{hash}', email_hash_google = '{hash}'
                where transaction_id = 'adtrail-{n}'"
            );
            execute(&self.pool, &email).await;
        }
    }

    async fn health(&self) -> Health {
        let Config { intake, policy, .. } = &self.app.config;
        let now = self.app.clock.now();
        let health: Result<_, DbError> = self
            .app
            .db
            .tx(async |tx| health::check(tx, &intake.destinations, &[], policy.unknown_consent, now).await)
            .await;
        health.unwrap()
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn clicks_of_another_account_wait_for_days_say_so_and_go_out_once_the_account_is_right(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        execute(&pool, "delete from public.leads; delete from public.platform_state").await;
        let changed = |_: &str| vec![("GOOGLE_ADS_TRANSPORT", transport.to_owned())];
        let wrong = Uploader::with(pool.clone(), GoogleAccount::dev(), changed).await;
        wrong.add_due(0..6).await;
        wrong.clicks_belong_elsewhere(0..5);
        for _ in 0..60 {
            wrong.run_after(TimeDelta::minutes(30)).await;
        }
        let states = "jsonb_build_array(count(confirmed_at), count(*) filter (where status = 'pending'),
                      count(dead_lettered_at), sum(retry_count))";
        // Those whose verdict is due were accepted meanwhile.
        let open = "count(*) filter (where status in ('pending', 'uploaded') and confirmed_at is null)";
        assert_eq!(wrong.value(open).await, 5, "{transport}");
        assert_eq!(wrong.value("sum(retry_count)").await, 0, "{transport}");
        while wrong.value("count(*) filter (where status = 'pending')").await != 5 {
            wrong.run_after(TimeDelta::minutes(5)).await;
        }
        let health = wrong.health().await;
        assert_eq!(health.status, Status::Degraded, "{transport}");
        let [reason] = health.queue.reasons.as_slice() else { panic!("{:?}", health.queue.reasons) };
        assert_eq!(reason.rows, 5, "{transport}");
        let says = |text: &str| reason.message.contains(text);
        assert!(says("does not belong to account 1234567890") && says("GOOGLE_ADS_CUSTOMER_ID"), "{reason:?}");

        let account = GoogleAccount { customer_id: RIGHT.into(), ..GoogleAccount::dev() };
        let settings = |_: &str| {
            vec![("GOOGLE_ADS_TRANSPORT", transport.to_owned()), ("GOOGLE_ADS_CUSTOMER_ID", RIGHT.to_owned())]
        };
        let right = Uploader::with(pool.clone(), account, settings).await;
        right.clicks_belong_elsewhere(0..5);
        right.app.clock.advance(wrong.app.clock.now() - start());
        for _ in 0..4 {
            right.run_after(TimeDelta::minutes(31)).await;
        }
        assert_eq!(right.value(states).await, json!([6, 0, 0, 0]), "{transport}");
    }
}

/// Lets the first few be confirmed, so that the account is known to be the right one.
async fn proven(pool: PgPool, transport: &str) -> Uploader {
    let changed = |_: &str| vec![("GOOGLE_ADS_TRANSPORT", transport.to_owned())];
    let uploader = Uploader::with(pool, GoogleAccount::dev(), changed).await;
    uploader.add_due(0..4).await;
    uploader.run().await;
    uploader.run_after(TimeDelta::minutes(30)).await;
    assert_eq!(uploader.value("count(confirmed_at)").await, 4);
    uploader
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_single_click_of_another_account_goes_by_e_mail_to_an_account_that_confirms_the_others(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        execute(&pool, "delete from public.leads; delete from public.platform_state").await;
        let uploader = proven(pool.clone(), transport).await;
        uploader.add_due(4..6).await;
        // The other has nothing to go by.
        uploader.give_email(4..5).await;
        uploader.clicks_belong_elsewhere(4..6);
        for _ in 0..4 {
            uploader.run_after(TimeDelta::minutes(31)).await;
        }
        let states = "jsonb_build_array(count(confirmed_at), count(*) filter (where omit_click_id),
            count(confirmed_at) filter (where omit_click_id), count(dead_lettered_at))";
        assert_eq!(uploader.value(states).await, json!([5, 1, 1, 0]), "{transport}");
        assert_eq!(uploader.value("sum(retry_count)").await, 0, "{transport}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_google_says_of_a_click_that_was_not_sent_is_not_asked_about_again(pool: PgPool) {
    let uploader = proven(pool, "data_manager").await;
    uploader.add_due(4..5).await;
    uploader.give_email(4..5).await;
    uploader.google.decide("adtrail-4", "PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK");
    for _ in 0..8 {
        uploader.run_after(TimeDelta::minutes(31)).await;
    }
    let left = "jsonb_agg(jsonb_build_array(status, last_error_code)) filter (where confirmed_at is null)";
    let code = "PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK";
    assert_eq!(uploader.value(left).await, json!([["uploaded", code]]), "a doubt, and no refusal");
    assert_eq!(uploader.ingest_calls(), 6, "with its click id, and once without");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_account_that_declines_most_clicks_may_be_the_wrong_one_so_they_wait_for_a_while(pool: PgPool) {
    let uploader = Uploader::new(pool).await;
    uploader.add_due(0..8).await;
    uploader.give_email(0..8).await;
    uploader.clicks_belong_elsewhere(0..8);
    for _ in 0..20 {
        uploader.run_after(TimeDelta::minutes(31)).await;
    }
    let omitted = "count(*) filter (where omit_click_id)";
    let few = uploader.value(omitted).await.as_u64().unwrap();
    assert!(few <= 3, "{few}");
    for _ in 0..160 {
        uploader.run_after(TimeDelta::minutes(31)).await;
    }
    let states = "jsonb_build_array(count(confirmed_at), count(*) filter (where omit_click_id), sum(retry_count))";
    assert_eq!(uploader.value(states).await, json!([8, 8, 0]));
}
