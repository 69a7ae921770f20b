//! Behind a pooler in transaction mode nobody gets anybody else's answer.

use std::str::FromStr;

use google_sandbox::GoogleAccount;
use serde_json::json;
use services::pgbouncer::PgBouncer;
use shared::db::{Db, DbError};
use shared::settings::Values;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, PgPool};
use testing::scaled;

use crate::stage::{Stage, all, database_url};

const CLIENTS: i32 = 12;

/// Every client has a statement text of its own; a torn statement shows as another client's number.
fn statement(client: i32) -> String {
    format!("select {client} * 100000 + $1::integer")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    right: i32,
    wrong: i32,
    errors: i32,
}

impl Tally {
    fn count<E>(&mut self, client: i32, n: i32, answer: &Result<i32, E>) {
        match answer {
            Ok(answer) if *answer == client * 100_000 + n => self.right += 1,
            Ok(_) => self.wrong += 1,
            Err(_) => self.errors += 1,
        }
    }

    fn sum(tallies: Vec<Self>) -> Self {
        tallies.into_iter().fold(Self::default(), |sum, it| Self {
            right: sum.right + it.right,
            wrong: sum.wrong + it.wrong,
            errors: sum.errors + it.errors,
        })
    }
}

async fn pooled(pool: &PgPool, servers: u16) -> (PgBouncer, PgConnectOptions) {
    let pooler = PgBouncer::start(&database_url(pool), servers).await.unwrap();
    let database = pool.connect_options().get_database().unwrap().to_owned();
    let options = PgConnectOptions::from_str(&pooler.url(&database)).unwrap();
    (pooler, options)
}

#[sqlx::test(migrations = false)]
async fn every_statement_through_tx_gets_its_own_answer(pool: PgPool) {
    let statements = scaled(1_500, 150);
    let (_pooler, options) = pooled(&pool, 3).await;

    let tallies = all((0..CLIENTS).map(|client| {
        let db = Db::new(options.clone(), 1);
        async move {
            let mut tally = Tally::default();
            let sql = statement(client);
            for n in 0..statements {
                let answer =
                    db.tx(async |tx| Ok::<i32, DbError>(sqlx::query_scalar(&sql).bind(n).fetch_one(tx).await?)).await;
                tally.count(client, n, &answer);
            }
            tally
        }
    }))
    .await;

    assert_eq!(Tally::sum(tallies), Tally { right: CLIENTS * statements, wrong: 0, errors: 0 });
}

#[sqlx::test(migrations = false)]
async fn statements_outside_tx_get_wrong_answers(pool: PgPool) {
    let statements = scaled(1_500, 150);
    let (_pooler, options) = pooled(&pool, 3).await;

    let tallies = all((0..CLIENTS).map(|client| {
        let options = options.clone().extra_float_digits(None).statement_cache_capacity(0).disable_statement_logging();
        async move {
            let mut connection = PgConnection::connect_with(&options).await.unwrap();
            let mut tally = Tally::default();
            let sql = statement(client);
            for n in 0..statements {
                let answer = sqlx::query_scalar(&sql).bind(n).persistent(false).fetch_one(&mut connection).await;
                tally.count(client, n, &answer);
            }
            tally
        }
    }))
    .await;

    let sum = Tally::sum(tallies);
    assert!(sum.wrong > 0, "if this is right, the test beside it proves nothing: {sum:?}");
}

/// Whatever a client leaves behind on the one server connection, the next one steps into.
#[sqlx::test(migrations = "../migrations")]
async fn everything_works_for_two_clients_of_one_server_connection(pool: PgPool) {
    let (_pooler, options) = pooled(&pool, 1).await;
    let through_the_pooler = |values: &mut Values| {
        values.insert("DATABASE_URL".into(), options.to_url_lossy().to_string().into());
    };
    let one = Stage::with_account(pool.clone(), GoogleAccount::dev(), through_the_pooler).await;
    let other = Stage::with_account(pool.clone(), GoogleAccount::dev(), through_the_pooler).await;

    for n in 0..6 {
        for (name, stage) in [("one", &one), ("other", &other)] {
            let person = format!("{name}{n}@example.com");
            let visit =
                stage.post("/api/track/visit", &[], &json!({"url": "https://www.example.com/?gclid=One"})).await;
            let event = stage.post("/api/track/event", &[], &json!({"event_name": "sign_up"})).await;
            let early = json!({"crm_deal_id": format!("early-{person}"), "conversion_type": "closed", "email": person});
            let waits = stage.deal(&early).await;
            let lead = stage.post("/api/leads", &[], &json!({"email": person, "gclid": "One"})).await;
            let late =
                json!({"crm_deal_id": format!("late-{person}"), "conversion_type": "qualified", "email": person});
            let queued = stage.deal(&late).await;
            for answer in [visit, event, waits, lead, queued] {
                assert!(answer.status.is_success(), "{answer:?}");
            }
            stage.tick().await;
            assert_eq!(stage.health().await["status"], "healthy");
        }
    }

    assert_eq!(one.value::<i64>("select count(*) from conversion_queue where status = 'uploaded'").await, 24);
}
