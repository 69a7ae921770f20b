//! A platform on trial: its sandbox at the other end of a line, and people whose deals close.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::App;
use shared::clock::Clock;
use shared::db::{Db, DbError};
use shared::deals::transaction_id;
use shared::health::{self, Health};
use shared::identity::Hash;
use shared::intake;
use shared::platforms::{Destination, Destinations, Entry, Lane, Operation, Preview};
use shared::queue;
use shared::settings::{ConfigError, FromSettings, Settings};
use shared::spool::Spool;
use sqlx::PgPool;
use testing::{WEBHOOK_SECRET, call, execute, json_request, rows, signed, start};
use upload_conversions::{Config, Summary};
use uuid::Uuid;

use crate::platforms::{Platform, REGISTRY, Received, Sandbox};
use crate::wire::{Sent, Wire};

/// The destination of most trials.
pub const MAIN: &str = "main";
/// Everybody's phone.
pub const PHONE: &str = "+4930901820";

pub struct Trial {
    pub entry: Entry,
    pub sandbox: Box<dyn Sandbox>,
    pub wire: Wire,
    pub clock: Clock,
    pub pool: PgPool,
}

impl Trial {
    /// With an empty database.
    pub async fn of(platform: &Platform, pool: &PgPool) -> Self {
        // Shown with a check that fails.
        println!("on trial: {}", platform.entry.id);
        let truncate = "do $$ begin
            execute (
                select 'truncate ' || string_agg(format('public.%I', table_name), ', ')
                from information_schema.tables
                where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'
            );
        end $$";
        execute(pool, truncate).await;
        Self::begin(platform, pool, Clock::fixed(start())).await
    }

    /// Another platform at the same time.
    pub async fn beside(&self, platform: &Platform) -> Self {
        Self::begin(platform, &self.pool, self.clock.clone()).await
    }

    async fn begin(platform: &Platform, pool: &PgPool, clock: Clock) -> Self {
        let sandbox = (platform.sandbox)(&clock);
        let wire = Wire::to(sandbox.routes()).await;
        Self { entry: platform.entry, sandbox, wire, clock, pool: pool.clone() }
    }

    /// The declaration of a destination for one of the platform's accounts.
    pub fn destination(&self, name: &str, account: usize) -> String {
        let keys = self.sandbox.declaration(account).into_iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("[{name}]\nplatform = {:?}\n{}", self.entry.id, keys.collect::<String>())
    }

    /// Adtrail with the destination [`MAIN`].
    pub fn deployed(&self) -> Deployment {
        self.deployed_with(&self.destination(MAIN, 0))
    }

    /// Adtrail with these destinations.
    pub fn deployed_with(&self, declarations: &str) -> Deployment {
        self.deploy(declarations, &self.settings()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The settings that its destinations share.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        self.sandbox.settings(&self.wire.url())
    }

    /// Adtrail with these destinations, if it starts with these settings.
    pub fn deploy(&self, declarations: &str, settings: &[(&'static str, String)]) -> Result<Deployment, ConfigError> {
        let mut values = vec![
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/nothing"),
            ("WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("CONSENT_UNKNOWN", "send"),
            ("DESTINATIONS", declarations),
        ];
        values.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect();
        let App { config, clock, .. } = App::<Configs>::new(&values, &[], self.clock.clone(), 1)?;
        let db = Arc::new(Db::new((*self.pool.connect_options()).clone(), 4));
        Ok(Deployment {
            uploader: App { config: config.uploader, db: Arc::clone(&db), clock: clock.clone() },
            crm: App { config: config.crm, db, clock },
        })
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Somebody who came by a click of the platform's network two days ago, filled in the form some hours later and
    /// consented; or with other columns.
    pub async fn lead(&self, name: &str, columns: &Value) -> Uuid {
        let email = Hash::of(email_of(name));
        let defaults = json!({
            "email_hash_google": email, "phone_hash": Hash::of(PHONE), "phone_hash_digits": Hash::of(&PHONE[1..]),
            "gclid": null, "click_at": null, "clicks": self.clicks(name, self.now() - TimeDelta::days(2)),
            "created_at": self.now() - TimeDelta::hours(40), "site": "www.example.com",
        });
        testing::lead(&email_of(name)).with(&defaults).with(columns).store(&self.pool).await
    }

    /// The click of somebody at this time, on an ad of the platform's network.
    pub fn clicks(&self, name: &str, at: DateTime<Utc>) -> Value {
        let mut click = self.sandbox.click(&click_of(name));
        click["at"] = json!(at);
        json!({ self.entry.network: click })
    }

    /// Such a person, whose deal closed an hour ago.
    pub async fn closed(&self, deployment: &Deployment, name: &str) {
        self.lead(name, &json!({})).await;
        let answer = deployment.report(name, &json!({})).await;
        assert_eq!(answer["status"], "queued", "{answer}");
    }

    /// The conversions as the platform counts them, in the order of their ids.
    pub fn received(&self) -> Vec<Received> {
        let mut received = self.sandbox.received();
        received.sort();
        received
    }

    /// Asserts that the platform got the closed deals of these people, each once, and nothing else.
    pub fn assert_received_once(&self, names: &[&str]) {
        let mut expected: Vec<_> = names.iter().map(|name| (id_of(name), 1)).collect();
        expected.sort();
        let received = self.received().into_iter().map(|it| (it.transaction_id, it.times));
        assert_eq!(received.collect::<Vec<_>>(), expected);
    }

    /// The requests of which the body names the closed deal of somebody.
    pub fn requests_about(&self, name: &str) -> Vec<Sent> {
        self.wire.sent().into_iter().filter(|it| it.body.contains(&id_of(name))).collect()
    }

    /// The rows of the queue, in the order of their deals and lanes.
    pub async fn queue(&self) -> Vec<Value> {
        let query = "select q.*, c.crm_deal_id from public.conversion_queue q
                     join public.conversions c on c.id = q.conversion_id order by c.crm_deal_id, q.platform";
        rows(&self.pool, query).await
    }

    /// Columns of these rows.
    pub async fn columns(&self, names: &[&str]) -> Vec<Value> {
        let rows = self.queue().await;
        rows.iter().map(|row| names.iter().map(|name| row[*name].clone()).collect()).collect()
    }

    /// Why the deal of somebody isn't sent.
    pub async fn skip_reason(&self, name: &str) -> Value {
        let query = format!("select skip_reason from public.conversions where crm_deal_id = '{name}'");
        testing::row(&self.pool, &query).await["skip_reason"].clone()
    }
}

/// What a function reads from its settings, with the platforms under test.
struct Configs {
    uploader: Config,
    crm: crm_conversion::Config,
}

impl FromSettings for Configs {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        let destinations = Destinations::from_settings(&REGISTRY, settings);
        let intake = intake::Config::with(destinations, settings);
        let crm = crm_conversion::Config { intake, spool: Spool::from_settings(settings, clock) };
        Self { uploader: Config::of(&REGISTRY, settings, clock), crm }
    }
}

/// The functions of Adtrail that know the platforms.
pub struct Deployment {
    pub uploader: App<Config>,
    crm: App<crm_conversion::Config>,
}

impl Deployment {
    /// The CRM reports a deal of this name, closed an hour ago, or with other fields.
    pub async fn report(&self, name: &str, fields: &Value) -> Value {
        let mut deal = json!({
            "crm_deal_id": name, "conversion_type": "closed", "email": email_of(name), "value": 100, "currency": "EUR",
            "occurred_at": self.crm.clock.now() - TimeDelta::hours(1),
        });
        deal.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let request = signed(json_request(&crm_conversion::ENDPOINT, &deal));
        let answer = call(&self.crm, &crm_conversion::ENDPOINT, request, crm_conversion::handle).await;
        assert!(answer.status < 300, "{:?}", answer.body);
        answer.body
    }

    /// One run of the schedule.
    pub async fn run(&self) -> Summary {
        upload_conversions::handle(&self.uploader, self.uploader.clock.now() + TimeDelta::seconds(120)).await.unwrap()
    }

    pub async fn run_after(&self, time: TimeDelta) -> Summary {
        self.uploader.clock.advance(time);
        self.run().await
    }

    /// A run each hour. Returns how many conversions a platform accepted.
    pub async fn run_for_hours(&self, hours: u32) -> u64 {
        let mut accepted = 0;
        for _ in 0..hours {
            accepted += self.run_after(TimeDelta::hours(1)).await.accepted;
        }
        accepted
    }

    pub fn destinations(&self) -> &Destinations {
        &self.uploader.config.intake.destinations
    }

    /// The destination [`MAIN`].
    pub fn main(&self) -> &Destination {
        self.destinations().get(MAIN).unwrap()
    }

    /// The corrections that [`MAIN`] accepts.
    pub fn corrects(&self, operation: Operation) -> bool {
        self.main().entry.corrections.iter().any(|it| it.operation == operation)
    }

    /// A lane of [`MAIN`].
    pub fn lane(&self, operation: Operation) -> &dyn Lane {
        let mut lanes = self.uploader.config.lanes.iter();
        lanes.find(|it| it.route().lane == operation.lane_of(MAIN)).unwrap().as_ref()
    }

    /// The request that [`MAIN`] would send now for the only conversion that is due.
    pub async fn preview(&self, operation: Operation) -> Preview {
        let App { config, db, clock } = &self.uploader;
        let (lane, now) = (self.lane(operation), clock.now());
        let claim = db.rolled_back(async |tx| queue::claim(tx, &config.policy, lane.route(), 2, now).await).await;
        let claim = claim.unwrap();
        let [conversion] = claim.conversions.as_slice() else { panic!("{} are due", claim.conversions.len()) };
        self.main().platform.preview(conversion, operation, now).unwrap()
    }

    pub async fn health(&self) -> Health {
        let (consent, now) = (self.uploader.config.policy.unknown_consent, self.uploader.clock.now());
        let checked: Result<_, DbError> =
            self.uploader.db.tx(async |tx| health::check(tx, self.destinations(), &[], consent, now).await).await;
        checked.unwrap()
    }
}

pub fn email_of(name: &str) -> String {
    format!("{name}@example.com")
}

/// The id of the click that somebody came by.
pub fn click_of(name: &str) -> String {
    format!("Click-of-{name}")
}

/// What platforms know the closed deal of somebody by.
pub fn id_of(name: &str) -> String {
    transaction_id(&format!("{name}:closed"))
}
