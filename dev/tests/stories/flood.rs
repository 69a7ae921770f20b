//! One address floods the website's endpoints, and the others notice nothing of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use google_sandbox::GoogleAccount;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::identity::Hash;
use shared::settings::Values;
use sqlx::PgPool;
use testing::{scaled, start};

use crate::stage::{Stage, all};

const AT_ONCE: u32 = 32;
const CLIENTS: usize = AT_ONCE as usize;
const PATHS: [&str; 3] = ["/api/track/event", "/api/track/visit", "/api/leads"];
/// Of one address in an hour: events, visits, and ten times the leads that aren't suspicious.
const SMALL: [(&str, u32); 3] = [("EVENTS_PER_HOUR", 100), ("VISITS_PER_HOUR", 100), ("LEADS_PER_HOUR", 10)];
const DEFAULT: [(&str, u32); 3] = [("EVENTS_PER_HOUR", 6_000), ("VISITS_PER_HOUR", 3_000), ("LEADS_PER_HOUR", 300)];
/// More than the largest row takes with its indexes.
const LARGEST_ROW: i64 = 24 * 1024;

/// Text that Postgres can't compress.
fn noise(seed: usize, length: usize) -> String {
    let mut text: String =
        (0..length.div_ceil(64)).map(|n| Hash::of(format!("{seed}/{n}")).as_str().to_owned()).collect();
    text.truncate(length);
    text
}

/// The largest bodies that are accepted, more or less.
fn largest(path: &str, number: usize) -> Value {
    match path {
        "/api/track/event" => {
            json!({"event_name": "scroll", "event_id": format!("flood-{number}"), "params": {"text": noise(number, 15_000)}})
        }
        "/api/track/visit" => {
            let url = format!("https://www.example.com/?gclid=Click{number}&utm_source={}", noise(number, 7_000));
            json!({"url": url, "referrer": url})
        }
        _ => json!({"email": format!("flood{number}@example.com"), "message": noise(number, 5_000)}),
    }
}

fn client(address: &str) -> reqwest::Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().local_address(address.parse::<IpAddr>().unwrap()).build().unwrap()
}

async fn post(http: &reqwest::Client, stage: &Stage, path: &str, body: &Value) -> StatusCode {
    http.post(format!("{}{path}", stage.base)).body(body.to_string()).send().await.unwrap().status()
}

/// Somebody else's calls, in at most so many rounds, until the flood is over: how long each answer took,
/// sorted. None of them may be an error.
async fn somebody_else(
    stage: Arc<Stage>,
    http: reqwest::Client,
    rounds: usize,
    over: Arc<AtomicBool>,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.len() < rounds * PATHS.len() && !over.load(Ordering::Relaxed) {
        for path in PATHS {
            let body = match path {
                "/api/track/event" => json!({"event_name": "scroll"}),
                "/api/track/visit" => json!({"url": "https://www.example.com/"}),
                _ => json!({"email": format!("jane{}@example.com", took.len())}),
            };
            let started = Instant::now();
            let status = post(&http, &stage, path, &body).await;
            assert!(status.is_success(), "{path}: {status}");
            took.push(started.elapsed());
        }
    }
    took.sort();
    took
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() * 99 / 100).min(sorted.len() - 1)]
}

#[sqlx::test(migrations = "../migrations")]
async fn a_flood_from_one_address_is_bounded_and_harms_nobody_else(pool: PgPool) {
    let limits = scaled(DEFAULT, SMALL);
    // So long, and at least so many calls of each client.
    let (lasts, calls) = (Duration::from_secs(scaled(60, 0)), scaled(1_000, 15));
    let limited = |values: &mut Values| {
        values.extend(limits.map(|(name, calls)| (name.to_owned(), calls.to_string().into())));
    };
    // The hour that calls are counted for must not end meanwhile.
    let stage = Arc::new(Stage::with_clock(pool, GoogleAccount::dev(), Clock::fixed(start()), limited).await);
    let stored = "select pg_total_relation_size('tracking_events') + pg_total_relation_size('visitors')
                  + pg_total_relation_size('leads')";
    let (flooding, ordinary) = (client("127.0.0.1"), client("127.0.0.2"));
    let over = Arc::new(AtomicBool::new(false));
    let alone = somebody_else(Arc::clone(&stage), ordinary.clone(), scaled(100, 10), Arc::clone(&over)).await;
    let before: i64 = stage.value(stored).await;

    let until = Instant::now() + lasts;
    let other = tokio::spawn(somebody_else(Arc::clone(&stage), ordinary, scaled(1_000, 80), Arc::clone(&over)));
    let flood = all((0..CLIENTS).map(|of| {
        let (stage, http) = (Arc::clone(&stage), flooding.clone());
        async move {
            let (mut number, mut answers) = (of, [[0_u32; 2]; 3]);
            while Instant::now() < until || number < calls * CLIENTS {
                let kind = number / CLIENTS % PATHS.len();
                let status = post(&http, &stage, PATHS[kind], &largest(PATHS[kind], number)).await;
                assert!(status.is_success() || status == StatusCode::TOO_MANY_REQUESTS, "{status}");
                answers[kind][usize::from(!status.is_success())] += 1;
                number += CLIENTS;
            }
            answers
        }
    }))
    .await;
    over.store(true, Ordering::Relaxed);
    let harmed = other.await.unwrap();

    let sum = |kind: usize, refused: usize| flood.iter().map(|answers| answers[kind][refused]).sum::<u32>();
    let grown = stage.value::<i64>(stored).await - before;
    println!(
        "stored {}, {} and {} events, visits and leads in {grown} bytes, refused {}, {} and {}; others' p99 {:?} before \
         and {:?} meanwhile",
        sum(0, 0),
        sum(1, 0),
        sum(2, 0),
        sum(0, 1),
        sum(1, 1),
        sum(2, 1),
        p99(&alone),
        p99(&harmed),
    );
    let most = [limits[0].1, limits[1].1, limits[2].1 * 10];
    for (kind, most) in most.into_iter().enumerate() {
        // Calls at the same moment don't see each other.
        assert!(sum(kind, 0) <= most + AT_ONCE, "{}", PATHS[kind]);
        assert!(sum(kind, 1) > 0, "{} wasn't flooded", PATHS[kind]);
    }
    assert!(grown <= i64::from(most.iter().sum::<u32>()) * LARGEST_ROW, "grew by {grown} bytes");
    let suspicious = "select count(*) from leads where is_suspicious and email like 'flood%'";
    let suspicious: i64 = stage.value(suspicious).await;
    assert!(suspicious >= i64::from(sum(2, 0) - limits[2].1 - AT_ONCE), "{suspicious}");
    assert!(p99(&harmed) < Duration::from_secs(3), "{:?}", p99(&harmed));
}
