//! Postgres goes away while webhooks arrive, and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use chrono::TimeDelta;
use google_sandbox::GoogleAccount;
use reqwest::StatusCode;
use serde_json::json;
use services::postgres::Postgres;
use services::programs::private_folder;
use services::{migrations, supabase_roles};
use shared::clock::Clock;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use testing::{lead, scaled, store};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::stage::{Answer, Stage, all};

const AT_ONCE: usize = 48;

/// An address that stays the same while the server behind it moves to another port.
pub struct Door {
    pub url: String,
    port: Arc<AtomicU16>,
}

impl Door {
    pub async fn to(postgres: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgresql://postgres@{}/postgres?sslmode=disable", listener.local_addr().unwrap());
        let port = Arc::new(AtomicU16::new(port(postgres)));
        let behind = Arc::clone(&port);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = behind.load(Ordering::SeqCst);
                // Without a server both ends are closed, as by a server that goes.
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { url, port }
    }

    pub fn lead_to(&self, postgres: &Postgres) {
        self.port.store(port(postgres), Ordering::SeqCst);
    }
}

fn port(postgres: &Postgres) -> u16 {
    postgres.url("postgres").parse::<PgConnectOptions>().unwrap().get_port()
}

/// A server's data, gone with the story.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self(private_folder().unwrap().join(format!("story-{}", Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// How a server goes.
#[derive(Clone, Copy)]
enum End {
    /// It cuts its connections and puts everything in order.
    Stop,
    /// It drops everything, and what was committed is only in its log (PostgreSQL documentation, "Shutting Down the
    /// Server": Immediate Shutdown).
    Crash,
}

impl End {
    async fn befall(self, postgres: Postgres, folder: &Path) {
        if let Self::Crash = self {
            let file = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
            let pid = file.lines().next().unwrap();
            assert!(
                Command::new("/bin/sh").args(["-c", &format!("kill -QUIT {pid}")]).status().await.unwrap().success()
            );
        }
        postgres.stop().await.unwrap();
    }
}

struct Webhook {
    source: &'static str,
    deal: String,
    body: String,
}

/// The nth deal, reported by one of four CRMs.
fn webhook(n: usize) -> Webhook {
    let (deal, email) = (format!("D-{n}"), format!("jane{n}@example.com"));
    let templated =
        json!({"crm_deal_id": deal, "conversion_type": "closed", "email": email, "value": n, "currency": "EUR"});
    let (source, body) = match n % 4 {
        0 => ("crm-conversion", templated),
        1 => ("n8n", templated),
        2 => {
            let data = json!({"id": deal, "value": n, "currency": "EUR", "contact": {"email": email}});
            ("standard-webhooks", json!({"type": "deal.won", "data": data}))
        }
        _ => (
            "salesforce-flow",
            json!({"Id": deal, "IsWon": true, "Amount": n, "CurrencyIsoCode": "EUR", "ContactEmail": email}),
        ),
    };
    Webhook { source, deal, body: body.to_string() }
}

async fn send(stage: &Stage, n: usize) -> Answer {
    let Webhook { source, body, .. } = webhook(n);
    stage.webhook(source, body).await
}

/// What is in the database of each deal from its body to the queue: the body and the conversion. A deal that is there
/// twice is the end of the story.
async fn complete(stage: &Stage) -> BTreeMap<String, (Vec<u8>, String)> {
    let rows: Vec<(String, Vec<u8>, String)> = sqlx::query_as(
        "select i.crm_deal_id, r.body, c.id::text
         from inbox i
         join inbox_events e on e.inbox_id = i.id and e.state = 'taken'
         join inbox_receipts r on r.id = e.receipt_id
         join conversions c on c.id = i.conversion_id
         join conversion_queue q on q.conversion_id = c.id and q.status = 'pending'
         where i.state = 'matched'",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    let count = rows.len();
    let deals: BTreeMap<_, _> = rows.into_iter().map(|(deal, body, id)| (deal, (body, id))).collect();
    assert_eq!(deals.len(), count);
    deals
}

async fn outlast(end: End) {
    let webhooks = scaled(1_000, 200);
    let folder = Folder::new();
    let mut postgres = Postgres::kept(&folder.0).await.unwrap();
    let door = Door::to(&postgres).await;
    supabase_roles::create_supabase_roles(&door.url).await.unwrap();
    migrations::run(&door.url).await.unwrap();
    let pool = PgPoolOptions::new().connect(&door.url).await.unwrap();
    let stage = Arc::new(Stage::with_account(pool, GoogleAccount::dev(), |_| {}).await);
    let now = Clock::system().now();
    let times = json!({"click_at": now - TimeDelta::days(1), "created_at": now - TimeDelta::hours(1)});
    let leads = (0..webhooks).map(|n| lead(&format!("jane{n}@example.com")).with(&times));
    store(&stage.pool, leads.collect()).await;

    let (turns, at_once) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(AT_ONCE)));
    let answered = Arc::new(watch::Sender::new(0));
    let requests = (0..webhooks).map(|n| {
        let (stage, turns, at_once) = (Arc::clone(&stage), Arc::clone(&turns), Arc::clone(&at_once));
        let answered = Arc::clone(&answered);
        async move {
            turns.acquire().await.unwrap().forget();
            let _one_of_them = at_once.acquire().await.unwrap();
            let answer = send(&stage, n).await;
            answered.send_modify(|answered| *answered += 1);
            answer
        }
    });
    let sending = tokio::spawn(all(requests.collect::<Vec<_>>().into_iter()));
    let mut seen = answered.subscribe();
    // It goes with requests before and behind it, and comes back with others on their way.
    turns.add_permits(webhooks * 7 / 10);
    seen.wait_for(|answered| *answered >= webhooks * 3 / 10).await.unwrap();
    end.befall(postgres, &folder.0).await;
    seen.wait_for(|answered| *answered >= webhooks / 2).await.unwrap();
    postgres = Postgres::kept(&folder.0).await.unwrap();
    door.lead_to(&postgres);
    turns.add_permits(webhooks * 3 / 10);
    let answers = sending.await.unwrap();

    let there = complete(&stage).await;
    let (mut taken, mut refused) = (0, BTreeSet::new());
    for (n, answer) in answers.iter().enumerate() {
        if answer.status.is_success() {
            let Webhook { deal, body, .. } = webhook(n);
            assert_eq!(answer.body["status"], "queued", "{answer:?}");
            let id = answer.body["conversion_id"].as_str().unwrap().to_owned();
            assert_eq!(there.get(&deal), Some(&(body.into_bytes(), id)), "{deal} was answered with 2xx");
            taken += 1;
        } else {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
            assert!(answer.retry_after.is_some(), "{answer:?}");
            refused.insert(n);
        }
    }
    println!("{taken} taken, {} refused, {} of which were stored after all", refused.len(), there.len() - taken);
    assert!(taken.min(refused.len()) >= webhooks / 10, "{taken} taken, {} refused", refused.len());

    for n in refused {
        let answer = send(&stage, n).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let known = there.contains_key(&webhook(n).deal);
        assert_eq!(answer.body["status"], if known { "duplicate" } else { "queued" }, "{answer:?}");
    }
    assert_eq!(complete(&stage).await.len(), webhooks);
    for table in ["inbox_receipts", "inbox_events", "inbox", "conversions", "conversion_queue"] {
        let count: i64 = stage.value(&format!("select count(*) from {table}")).await;
        assert_eq!(usize::try_from(count).unwrap(), webhooks, "{table}");
    }
    let worth = webhooks * (webhooks - 1) / 2;
    let each_its_own = format!("select sum(value) = {worth} from conversions");
    assert!(stage.value::<bool>(&each_its_own).await, "every deal with its own value");
    stage.pool.close().await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_stops_and_every_accepted_webhook_is_stored() {
    outlast(End::Stop).await;
}

#[tokio::test]
async fn postgres_crashes_and_every_accepted_webhook_is_stored() {
    outlast(End::Crash).await;
}
