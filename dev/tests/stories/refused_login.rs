//! The database refuses our password, and locks an address out after too many logins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use services::pgbouncer::PgBouncer;
use services::postgres::Postgres;
use shared::clock::Clock;
use shared::db::{Db, DbError, Tx};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::stage::all;

const SANDBOXES: usize = 20;
const PASSWORD: &str = "right";

/// A server that asks the role `app` for a password, and counts.
struct Server {
    postgres: Postgres,
    superuser: PgPool,
}

impl Server {
    async fn start() -> Self {
        let postgres = Postgres::throwaway().await.unwrap();
        let superuser = PgPoolOptions::new().max_connections(1).connect(&postgres.url("postgres")).await.unwrap();
        let server = Self { postgres, superuser };
        server.set_password(PASSWORD).await;
        let data: String = server.value("show data_directory").await;
        server
            .execute(&format!(
                "copy (select unnest(array['host all app all scram-sha-256', 'host all postgres all trust']))
                 to '{data}/pg_hba.conf'"
            ))
            .await;
        let loaded = "select pg_conf_load_time()::text";
        let before: String = server.value(loaded).await;
        server.execute("select pg_reload_conf()").await;
        while server.value::<String>(loaded).await == before {}
        server
    }

    async fn set_password(&self, password: &str) {
        let role = format!(
            "do $$ begin create role app login; exception when duplicate_object then end $$;
                            alter role app password '{password}'"
        );
        self.execute(&role).await;
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sql).execute(&self.superuser).await.unwrap();
    }

    async fn value<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql).fetch_one(&self.superuser).await.unwrap()
    }

    /// How often a password was refused, by the server's own log.
    async fn refusals(&self) -> usize {
        let sql = "select pg_read_file(current_setting('data_directory') || '/../log')";
        self.value::<String>(sql).await.matches("password authentication failed").count()
    }

    fn options(&self, password: &str) -> PgConnectOptions {
        let options: PgConnectOptions = self.postgres.url("postgres").parse().unwrap();
        options.username("app").password(password)
    }
}

/// The options that the settings hold.
#[derive(Clone)]
struct Secret(Arc<Mutex<PgConnectOptions>>);

impl Secret {
    fn new(options: PgConnectOptions) -> Self {
        Self(Arc::new(Mutex::new(options)))
    }

    fn rotate(&self, options: PgConnectOptions) {
        *self.0.lock().unwrap() = options;
    }

    /// A sandbox that has read the secret.
    fn sandbox(&self, clock: &Clock) -> Db {
        let now = self.0.lock().unwrap().clone();
        let secret = self.clone();
        Db::new(now, 1).with_clock(clock.clone()).with_rotation(move || {
            let now = secret.0.lock().unwrap().clone();
            async move { Ok::<_, String>(now) }
        })
    }
}

fn clock() -> Clock {
    Clock::fixed(chrono::DateTime::from_timestamp(1_795_176_000, 0).unwrap())
}

async fn ask(db: &Db) -> Result<(), DbError> {
    db.tx(async |tx| {
        sqlx::query("select 1").execute(tx).await?;
        Ok(())
    })
    .await
}

/// INIT, and then a request each second of a minute.
async fn hammer(sandboxes: &[Arc<Db>], clock: &Clock) {
    let each = |db: Arc<Db>| async move { db.warm().await };
    for outcome in all(sandboxes.iter().cloned().map(each)).await {
        assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    }
    for _ in 0..59 {
        clock.advance(TimeDelta::seconds(1));
        for outcome in all(sandboxes.iter().cloned().map(|db| async move { ask(&db).await })).await {
            assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_a_minute_by_each_sandbox() {
    let (server, clock) = (Server::start().await, clock());
    let secret = Secret::new(server.options("wrong"));
    let sandboxes: Vec<_> = (0..SANDBOXES).map(|_| Arc::new(secret.sandbox(&clock))).collect();

    for minute in 1..=3 {
        hammer(&sandboxes, &clock).await;
        assert_eq!(server.refusals().await, minute * SANDBOXES, "minute {minute}");
        clock.advance(TimeDelta::seconds(1));
    }
}

#[tokio::test]
async fn a_password_that_was_rotated_wrongly_is_tried_too_and_no_more() {
    let (server, clock) = (Server::start().await, clock());
    let secret = Secret::new(server.options("wrong"));
    let sandboxes: Vec<_> = (0..SANDBOXES).map(|_| Arc::new(secret.sandbox(&clock))).collect();
    secret.rotate(server.options("wrong again"));

    hammer(&sandboxes, &clock).await;
    assert_eq!(server.refusals().await, 2 * SANDBOXES);
}

#[tokio::test]
async fn a_sandbox_takes_a_rotated_password_without_an_error() {
    let (server, clock) = (Server::start().await, clock());
    let secret = Secret::new(server.options(PASSWORD));
    let sandbox = secret.sandbox(&clock);
    server.set_password("rotated").await;
    secret.rotate(server.options("rotated"));

    ask(&sandbox).await.unwrap();
    assert_eq!(server.refusals().await, 1);
}

#[tokio::test]
async fn it_recovers_a_minute_after_the_password_is_put_right() {
    let (server, clock) = (Server::start().await, clock());
    let secret = Secret::new(server.options("wrong"));
    let sandbox = secret.sandbox(&clock);

    let error = ask(&sandbox).await.unwrap_err().to_string();
    assert!(error.contains("28P01") && error.contains("DATABASE_URL") && !error.contains("wrong"), "{error}");
    secret.rotate(server.options(PASSWORD));
    clock.advance(TimeDelta::seconds(59));
    let error = ask(&sandbox).await.unwrap_err().to_string();
    assert!(error.contains("the next attempt is at 12:01:00 UTC"), "{error}");
    clock.advance(TimeDelta::seconds(1));
    ask(&sandbox).await.unwrap();
}

#[tokio::test]
async fn an_open_connection_serves_on_while_logins_are_refused() {
    let server = Server::start().await;
    let db = Db::new(server.options(PASSWORD), 2).with_clock(clock());
    db.warm().await.unwrap();
    server.set_password("another").await;

    let another_is_needed = async |_: &mut Tx| Ok::<_, DbError>(ask(&db).await);
    assert!(db.tx(another_is_needed).await.unwrap().is_err());
    ask(&db).await.unwrap();
    assert_eq!(server.refusals().await, 1);
}

#[tokio::test]
async fn requests_at_once_are_refused_by_one_login() {
    let server = Server::start().await;
    let db = Arc::new(Db::new(server.options("wrong"), SANDBOXES).with_clock(clock()));
    let requests = (0..SANDBOXES).map(|_| Arc::clone(&db)).map(|db| async move { ask(&db).await });
    assert!(all(requests).await.iter().all(Result::is_err));
    assert_eq!(server.refusals().await, 1);
}

#[tokio::test]
async fn a_poolers_refusal_counts_as_a_refused_login() {
    let (server, clock) = (Server::start().await, clock());
    for auth_type in ["scram-sha-256", "md5"] {
        let (values, files) = ([("auth_type", auth_type)], [("auth_file", "\"postgres\" \"right\"")]);
        let pooler = PgBouncer::start_with(&server.postgres.url("postgres"), 3, &values, &files).await.unwrap();
        let options: PgConnectOptions = pooler.url("postgres").parse().unwrap();
        Db::new(options.clone().password(PASSWORD), 1).warm().await.unwrap();

        for (user, password) in [("postgres", "wrong"), ("nobody", PASSWORD)] {
            let db = Db::new(options.clone().username(user).password(password), 1).with_clock(clock.clone());
            let first = db.warm().await.unwrap_err().to_string();
            assert!(first.contains("the login was refused"), "{auth_type}: {first}");
            let second = db.warm().await.unwrap_err().to_string();
            assert!(second.contains("the next attempt is at"), "{auth_type}: {second}");
        }
    }
}

/// Answers every connection with this error; the second is how many there were.
pub async fn supabases_pooler(message: &'static str) -> (PgConnectOptions, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = PgConnectOptions::new().host("127.0.0.1").port(listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let fields = format!("SFATAL\0VFATAL\0CXX000\0M{message}\0\0");
            let length = u32::try_from(fields.len() + 4).unwrap();
            let answer = [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat();
            let startup_message = client.read_u32().await.unwrap() as usize - size_of::<u32>();
            client.read_exact(&mut vec![0; startup_message]).await.unwrap();
            client.write_all(&answer).await.unwrap();
        }
    });
    (options.ssl_mode(PgSslMode::Disable), connections)
}

#[tokio::test]
async fn supabases_refusals_count_as_refused_logins_and_its_other_errors_do_not() {
    for (message, attempts) in [
        ("(ECIRCUITBREAKER) Too many authentication errors", 1),
        ("(EAUTHQUERY) user not found in the database", 1),
        ("(EMAXCONN) max client connections reached", 3),
    ] {
        let (options, connections) = supabases_pooler(message).await;
        let db = Db::new(options, 1).with_clock(clock());
        for _ in 0..3 {
            assert!(matches!(ask(&db).await, Err(DbError::Unavailable(_))));
        }
        assert_eq!(connections.load(Ordering::SeqCst), attempts, "{message}");
    }
}
