use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use shared::spool::Spool;
use sqlx::PgPool;
use testing::sqs::{DEAD, SPOOL, Sqs};
use testing::{app_with, app_without_database, call, execute, json_request, row, rows, signed};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use super::*;

/// The function over this database, or over none.
async fn drain(pool: Option<&PgPool>, sqs: &Sqs) -> App<Config> {
    let (waiting, dead) = (sqs.url(SPOOL), sqs.url(DEAD));
    let settings = [(spool::QUEUE, waiting.as_str()), (spool::DEAD_LETTERS, dead.as_str())];
    let mut app = match pool {
        Some(pool) => app_with::<Config>(pool, &settings),
        None => app_without_database::<Config>(&settings),
    };
    app.config.queues.aws = OnceCell::new_with(Some(sqs.aws().await));
    app
}

/// Has a form and a deal accepted while there is no database.
async fn accept(sqs: &Sqs, form: &Value) -> String {
    let mut app = app_without_database::<create_lead::Config>(&[]);
    app.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    let answer = call(&app, &create_lead::ENDPOINT, json_request(&create_lead::ENDPOINT, form), create_lead::handle);
    let answer = answer.await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("stored_for_later")), "{:?}", answer.body);
    answer.body["transaction_id"].as_str().unwrap().to_owned()
}

async fn accept_deal(sqs: &Sqs, deal: &Value) {
    let mut app = app_without_database::<crm_conversion::Config>(&[]);
    app.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    let request = signed(json_request(&crm_conversion::ENDPOINT, deal));
    let answer = call(&app, &crm_conversion::ENDPOINT, request, crm_conversion::handle).await;
    assert_eq!((answer.status, &answer.body), (202, &json!({"status": "stored_for_later"})));
}

/// Hands over all that is visible, in batches of ten. Answers how many batches there were.
async fn run(app: &App<Config>, sqs: &Sqs) -> usize {
    let mut batches = 0;
    while let Some(batch) = sqs.batch(10) {
        let deadline = app.clock.now() + TimeDelta::seconds(60);
        let Ok(answer) = handle(app, serde_json::from_value(batch.clone()).unwrap(), deadline).await;
        sqs.settle(&batch, &serde_json::to_value(&answer).unwrap());
        batches += 1;
    }
    batches
}

fn advance(app: &App<Config>, sqs: &Sqs, by: TimeDelta) {
    app.clock.advance(by);
    sqs.advance(by);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_accepted_is_stored_as_of_then_and_once(pool: PgPool) {
    let sqs = Sqs::start().await;
    let key = accept(&sqs, &json!({"email": "jane@example.com", "gclid": "EAIaIQ-1"})).await;
    accept_deal(&sqs, &json!({"crm_deal_id": "D-1", "conversion_type": "closed", "email": "jane@example.com"})).await;
    let app = drain(Some(&pool), &sqs).await;
    let batch = sqs.batch(10).unwrap();
    advance(&app, &sqs, TimeDelta::hours(7));

    // The same batch twice, as after a crash.
    for _ in 0..2 {
        let deadline = app.clock.now() + TimeDelta::seconds(60);
        let Ok(answer) = handle(&app, serde_json::from_value(batch.clone()).unwrap(), deadline).await;
        assert_eq!(serde_json::to_value(&answer).unwrap(), json!({"batchItemFailures": []}));
    }

    let lead = row(&pool, "select transaction_id, created_at, gclid from public.leads").await;
    let expected = json!({"transaction_id": key, "created_at": "2026-11-20T12:00:00+00:00", "gclid": "EAIaIQ-1"});
    assert_eq!(lead, expected);
    let deal = row(&pool, "select state, received_at from public.inbox").await;
    assert_eq!(deal["received_at"], "2026-11-20T12:00:00+00:00", "{deal}");
    let receipt = row(&pool, "select verified_by, verified_with, deliveries from public.inbox_receipts").await;
    assert_eq!(receipt, json!({"verified_by": "hmac", "verified_with": "WEBHOOK_SECRET", "deliveries": 2}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_repeat_after_the_recovery_is_the_same_lead(pool: PgPool) {
    let sqs = Sqs::start().await;
    let key = accept(&sqs, &json!({"email": "jane@example.com"})).await;
    let endpoint = app_with::<create_lead::Config>(&pool, &[]);
    let repeat = json_request(&create_lead::ENDPOINT, &json!({"email": "jane@example.com", "transaction_id": key}));
    assert_eq!(call(&endpoint, &create_lead::ENDPOINT, repeat, create_lead::handle).await.status, 201);

    run(&drain(Some(&pool), &sqs).await, &sqs).await;

    assert_eq!(row(&pool, "select transaction_id from public.leads").await, json!({"transaction_id": key}));
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (0, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn poison_is_dead_with_its_reason_and_holds_up_nothing(pool: PgPool) {
    let sqs = Sqs::start().await;
    sqs.put(SPOOL, "not a message");
    sqs.put(SPOOL, r#"{"version": 2, "kind": "lead"}"#);
    accept_deal(&sqs, &json!({"crm_deal_id": "D-1", "conversion_type": "closed"})).await;
    let gone = sqs.messages(SPOOL)[2].0.replace("crm-conversion", "acme");
    sqs.put(SPOOL, &gone);
    let key = accept(&sqs, &json!({"email": "jane@example.com"})).await;
    accept(&sqs, &json!({"email": "joan@example.com", "transaction_id": key})).await;

    run(&drain(Some(&pool), &sqs).await, &sqs).await;

    assert_eq!(rows(&pool, "select email from public.leads").await, [json!({"email": "jane@example.com"})]);
    assert_eq!(rows(&pool, "select crm_deal_id, state from public.inbox").await.len(), 0, "the deal names nobody");
    assert_eq!(rows(&pool, "select state from public.inbox_events").await, [json!({"state": "rejected"})]);
    assert_eq!(sqs.count(SPOOL), 0);
    let dead = sqs.messages(DEAD);
    let expected = ["it isn't JSON", "It has version 2", "Its source is not declared any more", "transaction_id"];
    assert_eq!(dead.len(), expected.len(), "{dead:?}");
    for ((_, reason), expected) in dead.iter().zip(expected) {
        let reason = reason.as_deref().unwrap();
        assert!(reason.contains(expected) && !reason.contains("joan"), "{reason}");
    }
}

/// Two kinds: one that Postgres refuses with an error of ours, one that never gets through.
#[sqlx::test(migrations = "../../migrations")]
async fn a_message_that_alone_fails_holds_up_no_other(pool: PgPool) {
    execute(
        &pool,
        "alter table public.leads add constraint planted check (name <> 'defect');
         create function public.planted() returns trigger language plpgsql as $$
         begin if new.name = 'stuck' then raise exception using errcode = '57014'; end if; return new; end $$;
         create trigger planted before insert on public.leads for each row execute function public.planted()",
    )
    .await;
    let sqs = Sqs::start().await;
    for name in ["defect", "stuck", "fine"] {
        accept(&sqs, &json!({"email": format!("{name}@example.com"), "name": name})).await;
    }
    let app = drain(Some(&pool), &sqs).await;

    run(&app, &sqs).await;
    assert_eq!(rows(&pool, "select name from public.leads").await, [json!({"name": "fine"})]);
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (2, 0));

    for _ in 0..20 {
        advance(&app, &sqs, TimeDelta::minutes(20));
        run(&app, &sqs).await;
    }
    let reasons: Vec<_> = sqs.messages(DEAD).into_iter().filter_map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["The database refuses a statement (SQLSTATE 23514)."]);
    assert_eq!(sqs.count(SPOOL), 1, "what may pass is never given up early");
}

#[tokio::test]
async fn an_outage_of_days_makes_no_dead_letter_and_asks_the_database_rarely() {
    let sqs = Sqs::start().await;
    let app = drain(None, &sqs).await;
    for n in 0..25 {
        accept(&sqs, &json!({"email": format!("jane{n}@example.com")})).await;
    }
    let (mut batches, tick) = (0, TimeDelta::minutes(10));
    for _ in 0..12 * 24 * 6 {
        batches += run(&app, &sqs).await;
        advance(&app, &sqs, tick);
    }
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (25, 0), "after twelve days");
    assert!(batches < 12 * 24 * 3 * 3 + 30, "{batches} attempts of three batches every 20 minutes");

    // Before SQS forgets them.
    for _ in 0..36 * 6 {
        run(&app, &sqs).await;
        advance(&app, &sqs, tick);
    }
    let dead = sqs.messages(DEAD);
    assert_eq!((sqs.count(SPOOL), dead.len()), (0, 25));
    assert!(dead.iter().all(|(_, reason)| reason.as_deref().unwrap().starts_with("It waited for 13 days")), "{dead:?}");
}

#[tokio::test]
async fn while_the_database_is_away_it_is_asked_once_in_half_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        // Each connection is closed at once.
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let sqs = Sqs::start().await;
    let mut app = drain(None, &sqs).await;
    let url = format!("postgres://nobody@{address}/nothing?sslmode=disable");
    app.db = Arc::new(Db::new(url.parse().unwrap(), 1));
    for n in 0..30 {
        accept(&sqs, &json!({"email": format!("jane{n}@example.com")})).await;
    }
    assert_eq!(run(&app, &sqs).await, 3);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "three batches of ten");
    advance(&app, &sqs, TimeDelta::seconds(30));
    assert_eq!(run(&app, &sqs).await, 3);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn without_time_or_sqs_everything_stays() {
    let sqs = Sqs::start().await;
    let app = drain(None, &sqs).await;
    sqs.put(SPOOL, "not a message");
    accept(&sqs, &json!({"email": "jane@example.com"})).await;
    let batch = sqs.batch(10).unwrap();
    sqs.be_away(true);

    let Ok(answer) = handle(&app, serde_json::from_value(batch).unwrap(), app.clock.now()).await;

    assert_eq!(answer.batch_item_failures.len(), 2, "a dead letter that can't be sent isn't lost");
}
