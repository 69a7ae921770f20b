//! Delivery to Google, at its worst: the uploader and the sandbox by one clock, which only the story moves.

mod attempts;
mod click_clock;
mod corrections;
mod lost_replies;
mod odd_rows;
mod outages;
mod poison;
mod verdicts;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use dev::settings;
use google_sandbox::{GoogleAccount, GoogleSandbox};
use secrecy::SecretString;
use serde_json::Value;
use shared::App;
use shared::clock::Clock;
use shared::config::Config;
use sqlx::PgPool;
use tokio::net::TcpListener;
use upload_conversions::Summary;

use crate::stage::database_url;

/// The uploader, its database and its Google.
pub struct Delivery {
    pub app: App,
    pub google: GoogleSandbox,
    google_clock: Clock,
    pub pool: PgPool,
}

impl Delivery {
    pub async fn new(pool: &PgPool, changed: &[(&str, &str)]) -> Self {
        let clock = Clock::fixed(start());
        Self::with_clocks(pool, clock.clone(), clock, changed).await
    }

    /// Where Google's clock is behind by so much. [`Delivery::tick_after`] moves both.
    pub async fn with_google_behind(pool: &PgPool, by: TimeDelta) -> Self {
        Self::with_clocks(pool, Clock::fixed(start()), Clock::fixed(start() - by), &[]).await
    }

    async fn with_clocks(pool: &PgPool, clock: Clock, google_clock: Clock, changed: &[(&str, &str)]) -> Self {
        let google = GoogleSandbox::with_clock(GoogleAccount::dev(), google_clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = google.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut values = settings::values(&database_url(pool), &base);
        // Six hours, as with the real Google.
        values.remove("CLICK_HOLD_SECONDS");
        values.insert("WEBHOOK_SECRET".into(), SecretString::from(testing::WEBHOOK_SECRET));
        for (name, value) in changed {
            values.insert((*name).into(), SecretString::from(*value));
        }
        let config = Config::from_values(&values, &[]).unwrap_or_else(|error| panic!("{error}"));
        let app = App::new(config, clock, 4).unwrap_or_else(|error| panic!("{error}"));
        Self { app, google, google_clock, pool: pool.clone() }
    }

    /// Closed deals, due now: the nth of them is `adtrail-n`, worth 1000 + n, from a click two days ago.
    pub async fn add_due(&self, numbers: std::ops::Range<i32>) {
        self.execute(&format!(
            "with number as (select n, md5('lead' || n)::uuid as lead_id, md5('conversion' || n)::uuid as id
                             from generate_series({}, {}) n),
             lead as (
                insert into public.leads (id, email_hash, email_hash_google, ad_user_data, created_at)
                select lead_id, encode(sha256(n::text::bytea), 'hex'), encode(sha256(n::text::bytea), 'hex'), 'granted',
                    '{start}'::timestamptz - interval '40 hours'
                from number
             ),
             conversion as (
                insert into public.conversions (
                    id, lead_id, conversion_type, crm_deal_id, idempotency_key, occurred_at, transaction_id, value, currency,
                    gclid, click_at, email_hash_google, ad_user_data, ad_personalization, created_at
                )
                select id, lead_id, 'closed', 'D-' || n, 'D-' || n || ':closed', '{start}'::timestamptz - interval '1 day',
                    'adtrail-' || n, 1000 + n, 'EUR', 'Click-' || n, '{start}'::timestamptz - interval '2 days',
                    encode(sha256(n::text::bytea), 'hex'), 'granted', 'denied', '{start}'::timestamptz
                from number
             )
             insert into public.conversion_queue (conversion_id, platform, expires_at, created_at)
             select id, 'google_ads', '{start}'::timestamptz + interval '88 days' + n * interval '1 second', '{start}'
             from number",
            numbers.start,
            numbers.end - 1,
            start = start().to_rfc3339(),
        ))
        .await;
    }

    /// One run of the schedule.
    pub async fn tick(&self) -> Summary {
        let deadline = self.app.clock.now() + TimeDelta::seconds(120);
        upload_conversions::handle(&self.app, deadline).await.unwrap()
    }

    /// The next run of the schedule, so much later.
    pub async fn tick_after(&self, time: TimeDelta) -> Summary {
        self.app.clock.advance(time);
        let behind = self.app.clock.now() - self.google_clock.now();
        // One clock moves once.
        if behind > TimeDelta::zero() {
            self.google_clock.advance(time);
        }
        self.tick().await
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }

    /// Rows of the queue by status, uploads only.
    pub async fn statuses(&self) -> BTreeMap<String, i64> {
        let sql = "select status, count(*) from public.conversion_queue where adjusts is null group by 1";
        sqlx::query_as(sql).fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    pub async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// The queue row of a conversion at a platform, whole.
    pub async fn row(&self, transaction_id: &str, platform: &str) -> Value {
        let sql = "select to_jsonb(q) from public.conversion_queue q
                   join public.conversions c on c.id = q.conversion_id where c.transaction_id = $1 and q.platform = $2";
        sqlx::query_scalar(sql).bind(transaction_id).bind(platform).fetch_one(&self.pool).await.unwrap()
    }

    /// How many attempts were used up, by all rows together.
    pub async fn attempts_used(&self) -> i64 {
        self.number("select coalesce(sum(retry_count), 0) from public.conversion_queue").await
    }
}

/// When every story begins.
pub fn start() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// How many rows have each status.
pub fn counts(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect()
}
