//! Several destinations in one run.

use google_sandbox::AdsAccount;

use super::*;

const SECOND: &str = "2223334444";

/// A second account, with credentials of its own if they are named.
fn second(credentials: &str) -> String {
    format!(
        "[second]\nplatform = \"google-ads\"\ncustomer_id = \"{SECOND}\"\nactions = {{ closed = 111 }}\n\
         when = {{ site = \"www.example.fr\" }}\n{credentials}"
    )
}

const OWN: &str =
    "credentials = { client_id = \"OWN_ID\", client_secret = \"OWN_SECRET\", refresh_token = \"OWN_TOKEN\" }";

impl Uploader {
    async fn with_second(pool: PgPool, credentials: &str) -> Self {
        let account = GoogleAccount::dev();
        let token = account.refresh_token.clone();
        let settings = vec![
            ("DESTINATIONS", second(credentials)),
            ("OWN_ID", token.client_id),
            ("OWN_SECRET", token.client_secret),
            ("OWN_TOKEN", token.refresh_token),
        ];
        let uploader = Self::with(pool, account, |_| settings).await;
        uploader.google.add_account(AdsAccount::new(SECOND, ["111"]));
        uploader
    }

    async fn add_due_of_both(&self) {
        for lane in ["google_ads", "second"] {
            let click = json!({"gclid": "Click", "click_at": start() - TimeDelta::days(2)});
            due_at(self.app.clock.now()).conversion(&click).queue(&json!({"platform": lane})).store(&self.pool).await;
        }
    }

    async fn accepted(&self) -> Vec<Value> {
        testing::rows(&self.pool, "select platform from public.conversion_queue where status = 'uploaded' order by 1")
            .await
    }
}

/// As many requests as the Data Manager API takes in a day.
const A_DAY: &str = "insert into public.upload_attempts (
        exchange_id, platform, operation, transport, rows_in_request, queue_ids, attempted_at, duration_ms, outcome
    )
    select gen_random_uuid(), 'google_ads', 'upload', 'data_manager', 1, array[gen_random_uuid()], $NOW, 1, 'accepted'
    from generate_series(1, 99000)";

#[sqlx::test(migrations = "../../migrations")]
async fn destinations_share_the_limits_of_their_credentials_and_no_others(pool: PgPool) {
    let at = format!("'{}'", (start() - TimeDelta::hours(3)).to_rfc3339());
    execute(&pool, &A_DAY.replace("$NOW", &at)).await;
    let uploader = Uploader::with_second(pool.clone(), "").await;
    uploader.add_due_of_both().await;
    uploader.run().await;
    assert_eq!(uploader.accepted().await, Vec::<Value>::new(), "Google counts by the project of the credentials");
    let uploader = Uploader::with_second(pool, OWN).await;
    uploader.run().await;
    assert_eq!(uploader.accepted().await, [json!({"platform": "second"})]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_destination_that_is_paused_stops_no_other(pool: PgPool) {
    let uploader = Uploader::with_second(pool, OWN).await;
    execute(
        &uploader.pool,
        "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
         values ('google_ads', 'paused', 'why', '2026-11-20T11:00:00Z', '2026-11-20T13:00:00Z')",
    )
    .await;
    uploader.add_due_of_both().await;
    let run = uploader.run().await;
    assert_eq!((run.accepted, run.paused), (1, vec!["google_ads".to_owned()]));
    assert_eq!(uploader.accepted().await, [json!({"platform": "second"})]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_long_queue_of_one_destination_leaves_time_for_the_others(pool: PgPool) {
    let uploader = Uploader::with_second(pool, "").await;
    // More than a run can send: 280 requests a minute.
    uploader.add_due(0..900).await;
    uploader.add_due_of_both().await;
    uploader.run().await;
    let of_second = uploader.accepted().await.into_iter().filter(|it| it["platform"] == "second").count();
    assert_eq!(of_second, 1);
}
