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

    async fn health(&self) -> Health {
        let Config { intake, policy, .. } = &self.app.config;
        let now = self.app.clock.now();
        let health: Result<_, DbError> =
            self.app.db.tx(async |tx| health::check(tx, &intake.destinations, policy.unknown_consent, now).await).await;
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
