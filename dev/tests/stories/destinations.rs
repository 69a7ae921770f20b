//! What `adtrail destinations test` foretells is what the platform then receives.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use dev::settings;
use google_sandbox::{AdsAccount, GoogleAccount, GoogleSandbox};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::App;
use shared::clock::Clock;
use shared::deals::transaction_id;
use shared::identity::Hash;
use shared::settings::Values;
use sqlx::PgPool;
use testing::{Chance, lead, scaled, waiting_deal};
use tokio::net::TcpListener;

use crate::stage::database_url;

const DESTINATIONS: &str = r#"
[everything]
platform = "google-ads"
customer_id = "123-456-7890"
[everything.actions]
closed = 987654321
demo_booked = 987654323

[france]
platform = "google-ads"
customer_id = "222-333-4444"
when = { site = "www.example.fr" }
transport = "google_ads"
[france.actions]
closed = 111

[clicks_only]
platform = "google-ads"
customer_id = "222-333-4444"
user_data = "omit"
when = { utm_source = "newsletter" }
[clicks_only.actions]
closed = 112
"#;
const STAGES: [&str; 3] = ["closed", "qualified", "demo_booked"];

/// A deal and its lead, each as likely with as without what there may be.
async fn store_random(pool: &PgPool, chance: &mut Chance, deal: &str, now: DateTime<Utc>) -> String {
    let ago = |chance: &mut Chance, hours: u64| TimeDelta::minutes(i64::try_from(chance.below(hours * 60)).unwrap());
    let created_at = now - ago(chance, 70 * 24);
    let click_at = created_at - ago(chance, 40 * 24);
    let email = format!("{deal}@example.com");
    let google = chance.happens(60).then(|| {
        let mut click = json!({"at": click_at.to_rfc3339()});
        for parameter in ["gclid", "wbraid", "gbraid"] {
            if chance.happens(50) {
                click[parameter] = json!(format!("{parameter}-{}_{deal}", chance.below(1_000_000)));
            }
        }
        click
    });
    let meta = chance.happens(30).then(|| json!({"fbclid": format!("fb-{deal}"), "at": click_at.to_rfc3339()}));
    let clicks: serde_json::Map<_, _> =
        [("google", google), ("meta", meta)].into_iter().filter_map(|(id, it)| Some((id.to_owned(), it?))).collect();
    let known = |chance: &mut Chance, text: &str| chance.happens(70).then(|| Hash::of(text));
    lead(&email)
        .with(&json!({
            "gclid": null, "click_at": null, "clicks": clicks, "created_at": created_at,
            "email_hash_google": known(chance, &email), "phone_hash": known(chance, &format!("+49{deal}")),
            "session_attributes": chance.happens(30).then_some("CAIQ.x_y-z"),
            "ad_user_data": chance.pick(&["granted", "denied", "unknown"]),
            "ad_personalization": chance.pick(&["granted", "denied", "unknown"]),
            "site": chance.pick(&[Some("www.example.fr"), Some("www.example.com"), None]),
            "utm_source": chance.pick(&[Some("newsletter"), Some("google"), None]),
        }))
        .store(pool)
        .await;
    let occurred_at = (created_at + ago(chance, 20 * 24)).min(now - TimeDelta::seconds(1));
    let cents = chance.below(10_000_000);
    let value = chance.happens(80).then(|| f64::from(u32::try_from(cents).unwrap()) / 100.0);
    let stage = chance.pick(&STAGES);
    waiting_deal(deal, &email)
        .with(&json!({
            "conversion_type": stage, "value": value, "currency": value.map(|_| chance.pick(&["EUR", "USD", "JPY"])),
            "occurred_at": occurred_at, "received_at": now,
        }))
        .store(pool)
        .await;
    transaction_id(&format!("{deal}:{stage}"))
}

async fn foretold(values: &Values, deal: &str) -> Value {
    let arguments = ["adtrail", "--json", "destinations", "test", deal].map(str::to_owned);
    let mut out = Vec::new();
    let ended = cli::run(arguments, std::future::ready(Ok(values.clone())), &mut out).await;
    ended.unwrap_or_else(|failure| panic!("{deal}: {failure}"));
    serde_json::from_slice(&out).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_foretold_of_a_deal_is_received_byte_for_byte(pool: PgPool) {
    let google = GoogleSandbox::new(GoogleAccount::dev());
    google.add_account(AdsAccount::second_dev());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = google.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut values = settings::values(&database_url(&pool), &base);
    for (name, value) in [
        ("GOOGLE_ADS_CUSTOMER_ID", ""),
        ("CLICK_HOLD_SECONDS", "21600"),
        ("DESTINATIONS", DESTINATIONS),
        ("STAGES", "demo_booked"),
    ] {
        values.insert(name.into(), SecretString::from(value));
    }

    let mut chance = Chance::new(11);
    let now = Clock::system().now();
    let mut expected: BTreeMap<String, Option<(String, String)>> = BTreeMap::new();
    let count = scaled(1_000, 80);
    for nth in 0..count {
        let deal = format!("D-{nth}");
        let id = store_random(&pool, &mut chance, &deal, now).await;
        let foretold = foretold(&values, &deal).await;
        let destinations = foretold["deals"][0]["destinations"].as_array().unwrap();
        let is_due = |it: &Value| it["due_at"].as_str().is_none_or(|at| at.parse::<DateTime<Utc>>().unwrap() <= now);
        let gets: Vec<_> = destinations.iter().filter(|it| it["gets"] == true && is_due(it)).collect();
        assert!(gets.len() <= 1, "{foretold}");
        let one = gets.first().map(|it| {
            let text = |pointer: &str| it.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            (text("/destination"), text("/request/body"))
        });
        expected.insert(id, one);
    }

    let app: App<upload_conversions::Config> =
        App::new(&values, &[], Clock::system(), 1).unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..3 {
        upload_conversions::handle(&app, Clock::system().now() + TimeDelta::seconds(600)).await.unwrap();
    }
    let received: BTreeMap<_, _> = google.conversions().into_iter().map(|it| (it.id.clone(), it)).collect();
    let mut sent: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, foretold) in &expected {
        let received = received.get(id);
        let Some((destination, body)) = foretold else {
            assert!(received.is_none(), "{id} was received: {received:?}");
            continue;
        };
        let received = received.unwrap_or_else(|| panic!("{id} was not received: {body}"));
        let arrived = received.body.as_ref().unwrap().as_str();
        // The Google Ads API gets many in one request; each is the one that was foretold.
        match body.strip_prefix("{\"conversions\":[").and_then(|it| it.strip_suffix("],\"partialFailure\":true}")) {
            Some(row) => assert!(arrived.contains(row), "{id}: {row} isn't in {arrived}"),
            None => assert_eq!(arrived, body, "{id}"),
        }
        let account = if destination == "everything" { "1234567890" } else { "2223334444" };
        assert_eq!((received.customer_id.as_str(), received.received), (account, 1));
        *sent.entry(destination).or_default() += 1;
    }
    println!("{count} deals, received {sent:?}");
    assert_eq!(received.len(), usize::try_from(sent.values().sum::<u32>()).unwrap());
    assert!(sent.len() == 3 && sent.values().all(|count| *count >= 3), "{sent:?}");
}
