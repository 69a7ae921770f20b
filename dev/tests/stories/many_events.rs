//! Bodies with many events: they are done in time when the database is far, and don't block each other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use dev::bench::counting_proxy::CountingProxy;
use dev::settings;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use google_sandbox::GoogleAccount;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::crm::authentication::Signed;
use sqlx::PgPool;
use testing::{Chance, execute, scaled};

use crate::stage::{Stage, database_url};

/// Bodies at once: as many as a stage has connections. More would only wait for one.
const BODIES_AT_ONCE: usize = 16;
/// Mixed requests at once. A body holds the locks it has while it waits for the next; on a busy machine, more requests
/// would make somebody wait for longer than the five seconds that a transaction waits for a lock.
const REQUESTS_AT_ONCE: usize = 4;

/// A source whose bodies are arrays of what `crm-conversion` takes.
const LIST: &str = "[list]\npreset = \"crm-conversion\"\nitems = \"\"";

async fn stage_with_list(pool: &PgPool, database_url: String) -> Stage {
    let change = |values: &mut shared::settings::Values| {
        let sources = format!("{LIST}\n[hubspot-app]\npreset = \"hubspot-app\"");
        values.insert("CRM_SOURCES".into(), SecretString::from(sources));
        values.insert("DATABASE_URL".into(), SecretString::from(database_url));
        // Most people aren't asked for consent, so the uploader matches and sends little.
        values.insert("CONSENT_UNKNOWN".into(), SecretString::from("hold"));
    };
    Stage::with_account(pool.clone(), GoogleAccount::dev(), change).await
}

impl Stage {
    /// Several reports in one body.
    async fn list(&self, reports: &[Value]) -> crate::stage::Answer {
        let body = json!(reports).to_string();
        let signed = settings::sign("crm-conversion", &self.base, body.as_bytes(), self.clock.now());
        self.signed(&Signed { url: format!("{}/api/webhooks/list", self.base), ..signed }, body).await
    }

    /// What HubSpot sends of deals that were lost.
    async fn lost_in_hubspot(&self, events: impl Iterator<Item = (u64, u64)>) -> crate::stage::Answer {
        let at = self.clock.now().timestamp_millis();
        let events: Vec<_> = events
            .map(|(event, deal)| {
                json!({
                    "eventId": event, "subscriptionType": "deal.propertyChange", "objectId": deal, "occurredAt": at,
                    "propertyName": "dealstage", "propertyValue": "closedlost",
                })
            })
            .collect();
        self.webhook("hubspot-app", json!(events).to_string()).await
    }

    async fn deadlocks(&self) -> i64 {
        self.value("select deadlocks from pg_stat_database where datname = current_database()").await
    }
}

fn closed(deal: u64, email: &str) -> Value {
    json!({
        "crm_deal_id": deal.to_string(), "conversion_type": "closed", "email": email, "value": 100, "currency": "EUR",
        "occurred_at": "2025-01-01T08:00:00Z",
    })
}

/// How often each status was answered.
fn tally(statuses: impl IntoIterator<Item = StatusCode>) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for status in statuses {
        *tally.entry(status.as_u16()).or_default() += 1;
    }
    tally
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hundred_events_take_less_than_a_second_when_the_database_is_ten_milliseconds_away(pool: PgPool) {
    const EVENTS: u64 = 100;
    let proxy = CountingProxy::start(&database_url(&pool), Duration::from_millis(10)).await.unwrap();
    let stage = stage_with_list(&pool, proxy.url(pool.connect_options().get_database().unwrap())).await;
    let email = |deal: u64| format!("p{deal}@example.com");
    // Half of the leads come before their deals, half have another deal by then.
    for deal in (0..EVENTS).step_by(2) {
        testing::lead(&email(deal)).store(&pool).await;
    }
    let reports: Vec<_> = (0..EVENTS).map(|deal| closed(deal, &email(deal))).collect();
    let changed: Vec<_> = (0..EVENTS)
        .map(|deal| closed(deal, &email(deal)))
        .map(|mut report| {
            report["value"] = json!(200);
            report
        })
        .collect();
    let losses = || stage.lost_in_hubspot((0..EVENTS).map(|deal| (deal, deal))).boxed_local();
    // The login isn't counted.
    stage.list(&[closed(1_000, "somebody@example.com")]).await;
    let sent = "update public.conversion_queue set status = 'uploaded', uploaded_at = now(), claims = 1";
    for (name, answer) in [
        ("stages", stage.list(&reports).boxed_local()),
        ("stages again", stage.list(&reports).boxed_local()),
        ("other values", stage.list(&changed).boxed_local()),
        ("losses", losses()),
        ("losses again", losses()),
    ] {
        let (before, began) = (proxy.counts(), Instant::now());
        let answer = answer.await;
        let (took, counts) = (began.elapsed(), proxy.counts() - before);
        println!("{EVENTS} {name}: {} round trips, {took:?}", counts.round_trips);
        assert_eq!(answer.status, StatusCode::OK, "{name}: {answer:?}");
        assert_eq!(answer.body["results"].as_array().unwrap().len(), 100, "{name}");
        assert!(took < Duration::from_secs(1), "{name}: {took:?}");
        execute(&pool, sent).await;
    }
    let retracted = "select count(*) from conversion_queue where platform = 'google_ads_retractions'";
    assert_eq!(stage.value::<i64>(retracted).await, 50);
}

#[sqlx::test(migrations = "../migrations")]
async fn bodies_about_the_same_people_do_not_block_each_other(pool: PgPool) {
    const PEOPLE: u64 = 6;
    const DEALS: u64 = 900;
    const EVENTS: u64 = 20;
    let bodies = scaled(600, 100);
    let stage = stage_with_list(&pool, database_url(&pool)).await;
    for person in 0..PEOPLE {
        testing::lead(&format!("p{person}@example.com")).store(&pool).await;
    }
    let reports: Vec<_> = (0..DEALS).map(|deal| closed(deal, &format!("p{}@example.com", deal % PEOPLE))).collect();
    for reports in reports.chunks(100) {
        assert_eq!(stage.list(reports).await.status, StatusCode::OK);
    }
    let before = stage.deadlocks().await;
    let mut chance = Chance::new(1);
    let bodies = (0..bodies).map(|body| {
        let events: Vec<_> = (0..EVENTS).map(|event| (body * EVENTS + event, chance.below(DEALS))).collect();
        let stage = &stage;
        async move {
            let began = Instant::now();
            (stage.lost_in_hubspot(events.into_iter()).await.status, began.elapsed())
        }
    });
    let answers: Vec<_> = stream::iter(bodies).buffer_unordered(BODIES_AT_ONCE).collect().await;
    let mut took: Vec<_> = answers.iter().map(|(_, took)| *took).collect();
    took.sort();
    let statuses = tally(answers.into_iter().map(|(status, _)| status));
    let deadlocks = stage.deadlocks().await - before;
    println!("{statuses:?}, {deadlocks} deadlocks, p99 {:?}", took[took.len() * 99 / 100]);
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200], "{statuses:?}");
    assert_eq!(deadlocks, 0);
    let kept = "select count(*) from conversions join lost_deals using (crm_deal_id) where retracted_at is null";
    assert_eq!(stage.value::<i64>(kept).await, 0);
    let misjudged = "select count(*) from leads l
                     where (conversion_status = 'lost') = exists (
                         select from conversions c where c.lead_id = l.id and c.retracted_at is null
                     )";
    assert_eq!(stage.value::<i64>(misjudged).await, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn forms_deals_lists_losses_and_the_schedule_do_not_block_each_other(pool: PgPool) {
    let requests = scaled(12_000, 800);
    let stage = stage_with_list(&pool, database_url(&pool)).await;
    let before = stage.deadlocks().await;
    let mut chance = Chance::new(1);
    let requests = (0..requests).map(|nth| request(&stage, &mut chance, nth)).collect::<Vec<_>>();
    let statuses = tally(stream::iter(requests).buffer_unordered(REQUESTS_AT_ONCE).collect::<Vec<_>>().await);
    let deadlocks = stage.deadlocks().await - before;
    println!("{statuses:?}, {deadlocks} deadlocks");
    assert!(statuses.keys().all(|status| *status < 300), "{statuses:?}");
    assert_eq!(deadlocks, 0);

    stage.tick().await;
    let missed = "select count(*) from inbox i
                  where state = 'awaiting_lead' and exists (
                      select from lead_emails e where e.email_hash = i.email_hash
                  )";
    assert_eq!(stage.value::<i64>(missed).await, 0);
}

/// One request of any kind about few people and deals.
fn request<'a>(stage: &'a Stage, chance: &mut Chance, nth: u64) -> BoxFuture<'a, StatusCode> {
    let post = |path: &'static str, body: Value| async move { stage.post(path, &[], &body).await.status }.boxed();
    if nth % 500 == 499 {
        // A run of the schedule may take longer than any request.
        return async move {
            let deadline = stage.clock.now() + TimeDelta::minutes(5);
            upload_conversions::handle(&stage.functions.upload_conversions, deadline).await.unwrap();
            StatusCode::OK
        }
        .boxed();
    }
    match chance.below(100) {
        0..25 => {
            let person = chance.below(60);
            let mut form = json!({"email": format!("p{person}@example.com"), "gclid": format!("click{nth}")});
            if chance.happens(30) {
                form["phone"] = json!(format!("+49 30 231251{person:02}"));
            }
            if chance.happens(10) {
                form["consent"] = json!({"ad_user_data": "granted"});
            }
            post("/api/leads", form)
        }
        25..50 => {
            let report = report(stage, chance);
            async move { stage.deal(&report).await.status }.boxed()
        }
        50..75 => {
            let reports: Vec<_> = (0..2 + chance.below(19)).map(|_| report(stage, chance)).collect();
            async move { stage.list(&reports).await.status }.boxed()
        }
        _ => {
            let events: Vec<_> = (0..=chance.below(20)).map(|event| (nth * 20 + event, chance.below(80))).collect();
            async move { stage.lost_in_hubspot(events.into_iter()).await.status }.boxed()
        }
    }
}

/// Any report on one of 80 deals, by the person it mostly belongs to.
fn report(stage: &Stage, chance: &mut Chance) -> Value {
    let deal = chance.below(80);
    let person = if chance.happens(10) { chance.below(60) } else { deal % 60 };
    let at = stage.clock.now() - TimeDelta::minutes(i64::try_from(chance.below(600)).unwrap());
    let kind = chance.pick(&["qualified", "closed", "closed", "lost"]);
    let mut report = json!({
        "crm_deal_id": deal.to_string(), "conversion_type": kind, "occurred_at": at,
        "email": format!("p{person}@example.com"), "value": chance.below(1_000), "currency": "EUR",
    });
    if chance.happens(30) {
        report["phone"] = json!(format!("+49 30 231251{person:02}"));
    }
    report
}
