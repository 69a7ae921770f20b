//! Postgres goes away, and webhooks and forms are accepted all the same: by the real binaries, with an SQS stand-in.

mod deployment;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use services::postgres::Postgres;
use services::{migrations, supabase_roles};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testing::scaled;
use testing::sqs::{DEAD, SPOOL};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::outage::{Door, Folder};
use crate::stage::database_url;
use deployment::{DRAIN, Deployment, Sandbox};

fn form(n: usize) -> Value {
    json!({"email": format!("jane{n}@example.com"), "name": "Jane", "gclid": format!("EAIaIQ-{n}")})
}

fn deal(n: usize) -> Value {
    json!({
        "crm_deal_id": format!("D-{n}"), "conversion_type": "closed", "email": format!("jane{n}@example.com"),
        "value": n, "currency": "EUR",
    })
}

async fn count(pool: &PgPool, table: &str) -> usize {
    let count: i64 = sqlx::query_scalar(&format!("select count(*) from {table}")).fetch_one(pool).await.unwrap();
    usize::try_from(count).unwrap()
}

/// Has stored more than this many requests.
async fn more_than(pool: &PgPool, stored: usize) {
    while count(pool, "leads").await + count(pool, "inbox_receipts").await <= stored {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_accepted_while_postgres_is_away_is_stored_once_whoever_is_killed_meanwhile() {
    let size = scaled(1_000, 60);
    let folder = Folder::new();
    let mut postgres = Postgres::kept(&folder.0).await.unwrap();
    let door = Door::to(&postgres).await;
    supabase_roles::create_supabase_roles(&door.url).await.unwrap();
    migrations::run(&door.url).await.unwrap();
    let deployment = Deployment::new(&door.url).await;
    let forms = deployment.start("create-lead").await;
    let webhooks = deployment.start("crm-conversion").await;
    postgres.stop().await.unwrap();

    let mut keys = BTreeSet::new();
    for n in 0..size {
        let (status, answer) = forms.form(&form(n)).await;
        assert_eq!((status, &answer["status"]), (202, &json!("stored_for_later")), "{answer}");
        keys.insert(answer["transaction_id"].as_str().unwrap().to_owned());
        let (status, answer) = webhooks.deal(&deal(n)).await;
        assert_eq!((status, &answer), (202, &json!({"status": "stored_for_later"})));
    }
    assert_eq!((keys.len(), deployment.counts()), (size, (2 * size, 0)));
    deployment.drain().await;
    assert_eq!(deployment.counts(), (2 * size, 0), "Postgres is still away");

    postgres = Postgres::kept(&folder.0).await.unwrap();
    door.lead_to(&postgres);
    let pool = PgPoolOptions::new().connect(&door.url).await.unwrap();
    deployment.sqs.advance(TimeDelta::minutes(20));
    // The first time nothing is deleted from the queue, and each third run is killed in the midst of it.
    let (mut drain, mut batches) = (deployment.start(DRAIN).await, 0);
    while let Some(batch) = deployment.sqs.batch(10) {
        batches += 1;
        if batches % 3 == 0 {
            let before = count(&pool, "leads").await + count(&pool, "inbox_receipts").await;
            drain.killed_at(batch, more_than(&pool, before)).await;
            drain = deployment.start(DRAIN).await;
        } else {
            assert_eq!(drain.invoke(batch).await, json!({"batchItemFailures": []}));
        }
    }
    assert_eq!(deployment.counts(), (2 * size, 0));
    deployment.sqs.advance(TimeDelta::minutes(20));
    deployment.drain().await;
    assert_eq!(deployment.counts(), (0, 0));

    let stored: Vec<String> = sqlx::query_scalar("select transaction_id from leads").fetch_all(&pool).await.unwrap();
    assert_eq!((stored.len(), stored.into_iter().collect::<BTreeSet<_>>()), (size, keys));
    for table in ["inbox", "inbox_receipts", "inbox_events"] {
        assert_eq!(count(&pool, table).await, size, "{table}");
    }
    // A deal that came before its lead waits for the uploader.
    deployment.start("upload-conversions").await.invoke(json!({})).await;
    assert_eq!(count(&pool, "conversions").await, size);
    let worth: i64 = sqlx::query_scalar("select sum(value)::int8 from conversions").fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(worth).unwrap(), size * (size - 1) / 2, "every deal with its own value");
    // Each function called what its role allows, and nothing else.
    let calls = ["create-lead", "crm-conversion", DRAIN].map(|function| deployment.sqs.calls_of(function));
    assert_eq!(calls, [vec!["SendMessage"], vec!["SendMessage"], vec!["ChangeMessageVisibilityBatch"]]);
    pool.close().await;
    postgres.stop().await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn poison_is_dead_with_its_reason_and_holds_up_nobody(pool: PgPool) {
    let deployment = Deployment::new(&database_url(&pool)).await;
    let nowhere = deployment.through("postgres://nobody@127.0.0.1:9/nothing");
    let (forms, webhooks) =
        (Sandbox::start("create-lead", &nowhere).await, Sandbox::start("crm-conversion", &nowhere).await);
    deployment.sqs.put(SPOOL, "garbage");
    for n in 0..6 {
        assert_eq!(forms.form(&form(n)).await.0, 202);
        assert_eq!(webhooks.deal(&deal(n)).await.0, 202);
    }
    let later = deployment.sqs.messages(SPOOL)[1].0.replace("\"version\":1", "\"version\":2");
    deployment.sqs.put(SPOOL, &later);

    deployment.drain().await;

    assert_eq!((count(&pool, "leads").await, count(&pool, "inbox").await), (6, 6));
    assert_eq!(deployment.counts(), (0, 2));
    let reasons: Vec<_> = deployment.sqs.messages(DEAD).into_iter().filter_map(|(_, reason)| reason).collect();
    assert!(reasons[0].contains("it isn't JSON") && reasons[1].contains("It has version 2"), "{reasons:?}");
    assert_eq!(deployment.sqs.calls_of(DRAIN), ["SendMessage"]);
}

#[tokio::test]
async fn without_sqs_too_it_is_a_503() {
    let deployment = Deployment::new("postgres://nobody@127.0.0.1:9/nothing").await;
    deployment.sqs.be_away(true);
    let (forms, webhooks) = (deployment.start("create-lead").await, deployment.start("crm-conversion").await);
    for (status, answer) in [forms.form(&form(1)).await, webhooks.deal(&deal(1)).await] {
        assert_eq!((status, &answer["type"]), (503, &json!("/problems/unavailable")));
    }
    assert_eq!(deployment.counts(), (0, 0));
}

/// A way to this database that is cut when it has answered a COMMIT, before the answer arrives.
async fn losing_the_answer(pool: &PgPool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url = Url::parse(&database_url(pool)).unwrap();
    let port = pool.connect_options().get_port();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    url.query_pairs_mut().append_pair("sslmode", "disable");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move {
                let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        read = client.read(&mut sent) => {
                            let bytes = &sent[..read?];
                            server.write_all(bytes).await?;
                            let commits = bytes.windows(6).any(|it| it == b"commit");
                            if commits || bytes.is_empty() {
                                let mut committed = !commits;
                                while !committed {
                                    let read = server.read(&mut answered).await?;
                                    committed = read == 0 || answered[..read].windows(6).any(|it| it == b"COMMIT");
                                }
                                return Ok::<_, std::io::Error>(());
                            }
                        }
                        read = server.read(&mut answered) => client.write_all(&answered[..read?]).await?,
                    }
                }
            });
        }
    });
    url.into()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_commit_whose_answer_was_lost_and_a_repeat_count_once(pool: PgPool) {
    let deployment = Deployment::new(&database_url(&pool)).await;
    let unlucky = deployment.through(&losing_the_answer(&pool).await);
    let (forms, webhooks) =
        (Sandbox::start("create-lead", &unlucky).await, Sandbox::start("crm-conversion", &unlucky).await);
    let (status, answer) = forms.form(&form(1)).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(webhooks.deal(&deal(1)).await.0, 202);
    let stored = async || (count(&pool, "leads").await, count(&pool, "conversions").await);
    assert_eq!((stored().await, deployment.counts()), ((1, 1), (2, 0)), "in both");

    let mut again = form(1);
    again["transaction_id"] = answer["transaction_id"].clone();
    let (status, repeated) = deployment.start("create-lead").await.form(&again).await;
    assert_eq!((status, &repeated["status"]), (200, &json!("duplicate")), "{repeated}");
    let (status, repeated) = deployment.start("crm-conversion").await.deal(&deal(1)).await;
    assert_eq!((status, &repeated["status"]), (200, &json!("duplicate")), "{repeated}");
    deployment.drain().await;

    assert_eq!((stored().await, deployment.counts()), ((1, 1), (0, 0)));
    let deliveries: i64 =
        sqlx::query_scalar("select sum(deliveries)::int8 from inbox_receipts").fetch_one(&pool).await.unwrap();
    assert_eq!(deliveries, 3, "committed, repeated, drained");
}
