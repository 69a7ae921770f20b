//! Access to the database. [`Db::tx`] is the only way to run a statement.
//!
//! A pooler in transaction mode (Supabase's port 6543, PgBouncer) may give every transaction another server connection.
//! sqlx parses a statement in one round trip and runs it in the next; outside a transaction the pooler may switch
//! servers between the two, and the second round trip then silently runs another client's statement. A statement that
//! is unnamed *and* inside an explicit transaction stays on one server. [`Tx`] enforces both.

pub(crate) mod authority;
pub mod inspection;
mod login;
pub mod migrations;
mod unreachable;

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgQueryResult, PgRow, PgSslMode, PgStatement, PgTypeInfo, Postgres,
};
use sqlx::{ConnectOptions, Describe, Either, Execute, Executor};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::Clock;
use login::Login;
pub use login::{LoginProblem, try_login};

/// One round trip. The server gives up before the client does, so that a stuck statement frees its server connection.
/// Compiling a statement takes Postgres seconds where running it takes milliseconds.
const BEGIN: &str = "begin; set local statement_timeout = '8s'; set local lock_timeout = '5s'; \
                     set local idle_in_transaction_session_timeout = '10s'; set local jit = off";

/// Postgres answers the COMMIT of a failed transaction with a ROLLBACK and no error. The empty SELECT before it fails.
const COMMIT: &str = "select; commit";

/// A socket that broke while the sandbox was frozen may swallow the request without an error.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(2);
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// `undefined_table`, `undefined_column`, `undefined_function` and `invalid_schema_name`: every statement was checked
/// against the schema that belongs to it.
const UNDEFINED: [&str; 4] = ["42P01", "42703", "42883", "3F000"];

/// `read_only_sql_transaction`: the database takes nothing, such as Supabase's whose disk is full.
const READ_ONLY: &str = "25006";

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It can't be reached, is shutting down or overloaded. Whether the commit happened may be unknown: retry.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// It refused a value that passed our own checks (SQLSTATE 22xxx or 54xxx).
    #[error("the database refused a value (SQLSTATE {0})")]
    Value(String),
    /// A table, column or function of ours isn't there (SQLSTATE). Nothing was stored: retry once it is migrated.
    #[error("the schema is older than this version of Adtrail (SQLSTATE {0}): run adtrail migrate")]
    OldSchema(String),
    /// A bug in our code.
    #[error("{0}")]
    Defect(sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let Some(sqlstate) = error.as_database_error().and_then(|e| e.code().map(String::from)) else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolClosed => {
                    Self::Unavailable(error.to_string())
                }
                other => Self::Defect(other),
            };
        };
        if UNDEFINED.contains(&sqlstate.as_str()) {
            return Self::OldSchema(sqlstate);
        }
        if sqlstate == READ_ONLY {
            return Self::Unavailable(format!("SQLSTATE {sqlstate}: it only reads"));
        }
        match sqlstate.get(..2) {
            Some("22" | "54") => Self::Value(sqlstate),
            // Connection, login, resources, operator intervention, and what a retry resolves: serialisation failure,
            // deadlock, lock timeout. PgBouncer's own errors are 08xxx.
            Some("08" | "28" | "3D" | "40" | "53" | "55" | "57" | "58") => {
                Self::Unavailable(format!("SQLSTATE {sqlstate}"))
            }
            _ => Self::Defect(error),
        }
    }
}

/// A handful of connections to one Postgres; in a Lambda sandbox, one.
///
/// Not sqlx's pool: that one pings a connection when it comes back, from a background task. Here a connection is idle
/// only after COMMIT or ROLLBACK was answered, so a frozen sandbox never holds a transaction, and one that broke in the
/// meantime is replaced once, on first use.
pub struct Db {
    login: Login,
    idle: Mutex<Vec<PgConnection>>,
    free: Semaphore,
}

impl Db {
    /// Opens no connection yet. At most `connections` are open at once.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections: usize) -> Self {
        Self { login: Login::new(options), idle: Mutex::default(), free: Semaphore::new(connections) }
    }

    /// The same, with another clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.login.clock = clock;
        self
    }

    /// The same, reading the options again after a refused login: the password may have been rotated.
    #[must_use]
    pub fn with_rotation<F, E>(mut self, read: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<PgConnectOptions, E>> + Send + 'static,
        E: Display,
    {
        self.login.read_again_with(read);
        self
    }

    /// Connects ahead of the first request.
    ///
    /// # Errors
    /// When Postgres can't be reached. The next [`Db::tx`] tries again.
    pub async fn warm(&self) -> Result<(), DbError> {
        let connection = self.login.connect().await?;
        self.idle().push(connection);
        Ok(())
    }

    /// Closes what is open. The next [`Db::tx`] connects.
    pub fn disconnect(&self) {
        self.idle().clear();
    }

    /// Runs `work` in one transaction. COMMIT, or ROLLBACK when `work` fails, has been answered when this returns, so
    /// `Ok` means committed. If a statement failed, the transaction fails, even if `work` returned `Ok`.
    ///
    /// # Errors
    /// What `work` returns, or the [`DbError`] of beginning and committing.
    pub async fn tx<T, E>(&self, work: impl AsyncFnOnce(&mut Tx) -> Result<T, E>) -> Result<T, E>
    where
        E: From<DbError>,
    {
        let _permit = timeout(TRANSACTION_TIMEOUT, self.free.acquire())
            .await
            .map_err(|_| DbError::Unavailable("every connection is in use".into()))?
            .map_err(|_| DbError::Unavailable("closed".into()))?;
        let mut tx = self.begin().await?;
        // Dropping the connection on a timeout closes the socket; Postgres rolls back.
        let done = timeout(TRANSACTION_TIMEOUT, async {
            let outcome = work(&mut tx).await;
            let end = if outcome.is_ok() { COMMIT } else { "rollback" };
            (outcome, tx.connection.execute(end).await)
        })
        .await
        .map_err(|_| DbError::Unavailable("the transaction took too long".into()))?;
        match done {
            (Ok(value), Ok(_)) => {
                self.idle().push(tx.connection);
                Ok(value)
            }
            (Ok(_), Err(error)) => Err(DbError::from(error).into()),
            (Err(error), ended) => {
                if ended.is_ok() {
                    self.idle().push(tx.connection);
                }
                Err(error)
            }
        }
    }

    /// The same, but nothing stays: the transaction is always rolled back.
    ///
    /// # Errors
    /// As [`Db::tx`].
    pub async fn rolled_back<T>(&self, work: impl AsyncFnOnce(&mut Tx) -> Result<T, DbError>) -> Result<T, DbError> {
        enum End<T> {
            Done(T),
            Failed(DbError),
        }
        impl<T> From<DbError> for End<T> {
            fn from(error: DbError) -> Self {
                Self::Failed(error)
            }
        }
        let end = self
            .tx(async |tx| -> Result<Infallible, End<T>> { Err(work(tx).await.map_or_else(End::Failed, End::Done)) });
        match end.await {
            Err(End::Done(value)) => Ok(value),
            Err(End::Failed(error)) => Err(error),
            Ok(never) => match never {},
        }
    }

    async fn begin(&self) -> Result<Tx, DbError> {
        let idle = self.idle().pop();
        if let Some(mut connection) = idle
            && let Ok(Ok(_)) = timeout(BEGIN_TIMEOUT, connection.execute(BEGIN)).await
        {
            return Ok(Tx { connection });
        }
        let mut connection = self.login.connect().await?;
        timeout(BEGIN_TIMEOUT, connection.execute(BEGIN))
            .await
            .map_err(|_| DbError::Unavailable("no answer to BEGIN".into()))??;
        Ok(Tx { connection })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is the server on this machine, reached through a socket or over loopback?
#[must_use]
pub fn is_on_this_machine(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some()
        || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]")
        || options.get_host().starts_with('/')
}

/// The options that every connection needs.
fn prepared(options: PgConnectOptions) -> PgConnectOptions {
    let options = options
        // PgBouncer refuses this start-up parameter.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .application_name("adtrail")
        // Statements must not leak into the log.
        .disable_statement_logging();
    verified(options)
}

/// Beyond this machine the server's certificate is verified. sqlx's default silently falls back to plain text.
fn verified(options: PgConnectOptions) -> PgConnectOptions {
    if is_on_this_machine(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) }
}

/// An open transaction. Give `&mut *tx` to a query.
#[derive(Debug)]
pub struct Tx {
    connection: PgConnection,
}

/// Runs a query as an unnamed statement.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(&self) -> &'q str {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement<'q>> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut Tx {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.connection.fetch_many(Unnamed(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.connection.fetch_optional(Unnamed(query))
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.prepare_with(sql, parameters)
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.describe(sql)
    }
}

/// Makes an enum that encodes itself as text be `text` in SQL, and several of them `text[]`. sqlx's derive knows a type
/// by its name only and queries the server for it, with a named statement that bypasses [`Tx`]: the next client of that
/// server connection would fail on it.
macro_rules! text_in_sql {
    ($name:ty) => {
        impl sqlx::Type<sqlx::Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                <str as sqlx::Type<sqlx::Postgres>>::type_info()
            }

            fn compatible(info: &sqlx::postgres::PgTypeInfo) -> bool {
                <str as sqlx::Type<sqlx::Postgres>>::compatible(info)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                <&str as sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }
    };
}
pub(crate) use text_in_sql;
