//! Delivery to Google, at its worst: the uploader and the sandbox by one clock, which only the story moves.

mod accounts;
mod attempts;
mod click_clock;
mod corrections;
mod late_set_up;
mod lost_replies;
mod odd_rows;
mod outages;
mod poison;
mod stages;
mod verdicts;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use dev::settings;
use google_sandbox::{GoogleAccount, GoogleSandbox};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::App;
use shared::clock::Clock;
use shared::identity::Hash;
use shared::settings::Values;
use sqlx::PgPool;
use testing::{due_at, store_due};
use tokio::net::TcpListener;
use upload_conversions::Summary;

use crate::stage::database_url;

/// The uploader, its database and its Google.
pub struct Delivery {
    pub app: App<upload_conversions::Config>,
    /// Where the CRM reports, by the same clock.
    pub crm: App<crm_conversion::Config>,
    pub google: GoogleSandbox,
    google_clock: Clock,
    pub pool: PgPool,
    values: Values,
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
        Self::with_values(pool, values, clock, google, google_clock)
    }

    fn with_values(pool: &PgPool, values: Values, clock: Clock, google: GoogleSandbox, google_clock: Clock) -> Self {
        let app = App::new(&values, &[], clock.clone(), 4).unwrap_or_else(|error| panic!("{error}"));
        let crm = App::new(&values, &[], clock, 4).unwrap_or_else(|error| panic!("{error}"));
        Self { app, crm, google, google_clock, pool: pool.clone(), values }
    }

    /// The same, deployed again with another setting.
    pub fn with_setting(&self, name: &str, value: &str) -> Self {
        let mut values = self.values.clone();
        values.insert(name.into(), SecretString::from(value));
        let (clock, google) = (self.app.clock.clone(), self.google.clone());
        Self::with_values(&self.pool, values, clock, google, self.google_clock.clone())
    }

    /// Closed deals, due now: the nth of them is `adtrail-n`, worth 1000 + n, from a click two days ago.
    pub async fn add_due(&self, numbers: std::ops::Range<i32>) {
        let due = numbers.map(|n| {
            let email_hash = Hash::of(n.to_string());
            due_at(start())
                .lead(&json!({
                    "email_hash": email_hash, "email_hash_google": email_hash, "ad_user_data": "granted",
                    "created_at": start() - TimeDelta::hours(40),
                }))
                .deal(&format!("D-{n}"))
                .conversion(&json!({
                    "transaction_id": format!("adtrail-{n}"), "value": 1000 + n, "currency": "EUR",
                    "gclid": format!("Click-{n}"), "click_at": start() - TimeDelta::days(2),
                    "email_hash_google": email_hash, "ad_personalization": "denied",
                    "occurred_at": start() - TimeDelta::days(1), "created_at": start(),
                }))
                .queue(&json!({
                    "expires_at": start() + TimeDelta::days(88) + TimeDelta::seconds(n.into()), "created_at": start(),
                }))
        });
        store_due(&self.pool, due).await;
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
