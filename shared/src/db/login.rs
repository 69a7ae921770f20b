//! Logging in to Postgres, without repeating a login that was refused.
//!
//! Supabase's pooler counts refused logins by project and address. After ten within a few minutes it locks the address
//! out, for every login, also with the right password. So a refused login is followed by at most one more, and only if
//! the password has been rotated in the settings meanwhile; then nothing connects for a minute.

use std::fmt::Display;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use rustls::CertificateError;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{DbError, prepared, unreachable};
use crate::clock::Clock;

/// For a connection attempt, and for reading the settings again.
const TIMEOUT: Duration = Duration::from_secs(5);
const NO_ANSWER: &str = "no answer to the connection attempt";
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// How poolers report a refused login without SQLSTATE class 28: PgBouncer (08P01) and Supabase's (XX000).
const REFUSALS_OF_POOLERS: [&str; 4] =
    ["password authentication failed", "SASL authentication failed", "(ECIRCUITBREAKER)", "(EAUTHQUERY)"];

type ReadOptions = Box<dyn Fn() -> BoxFuture<'static, Result<PgConnectOptions, String>> + Send + Sync>;

pub(super) struct Login {
    pub(super) clock: Clock,
    read_again: Option<ReadOptions>,
    state: Mutex<State>,
}

struct State {
    options: PgConnectOptions,
    refused_at: Option<DateTime<Utc>>,
}

impl Login {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let state = State { options: prepared(options), refused_at: None };
        Self { clock: Clock::system(), read_again: None, state: Mutex::new(state) }
    }

    pub(super) fn read_again_with<F, E>(&mut self, read: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<PgConnectOptions, E>> + Send + 'static,
        E: Display,
    {
        self.read_again = Some(Box::new(move || {
            let options = read();
            Box::pin(async move { options.await.map_err(|error| error.to_string()) })
        }));
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, DbError> {
        // One at a time: if one login is refused, concurrent ones would be refused too.
        let mut state = timeout(TIMEOUT, self.state.lock()).await.map_err(|_| no_answer())?;
        let now = self.clock.now();
        if let Some(at) = state.refused_at.filter(|at| (*at..*at + PAUSE).contains(&now)) {
            let next = (at + PAUSE).format("%H:%M:%S");
            return Err(DbError::Unavailable(format!("the login was refused; the next attempt is at {next} UTC")));
        }
        let refusal = match connect(&state.options).await {
            Err(failure @ Failure::Refused(_)) => failure,
            outcome => return outcome.map_err(DbError::from),
        };
        // Before the next await: if this future is dropped there, the attempt was used all the same.
        state.refused_at = Some(now);
        let Some(options) = self.changed(&state.options).await else { return Err(refusal.into()) };
        state.options = options;
        let connection = connect(&state.options).await?;
        state.refused_at = None;
        Ok(connection)
    }

    /// The options in the settings now, if they differ from those that were refused.
    async fn changed(&self, refused: &PgConnectOptions) -> Option<PgConnectOptions> {
        let read = self.read_again.as_ref()?;
        let options = timeout(TIMEOUT, read()).await.unwrap_or_else(|_| Err("no answer".into()));
        match options.map(prepared) {
            // They can't be compared otherwise, and their Debug shows every field.
            Ok(options) => (format!("{options:?}") != format!("{refused:?}")).then_some(options),
            Err(error) => {
                tracing::warn!(%error, "the settings can't be read again");
                None
            }
        }
    }
}

/// Why a single login failed.
#[derive(Debug)]
pub enum LoginProblem {
    /// The server's words, when it refused user or password.
    Refused(String),
    /// A sentence with the fix.
    Certificate(String),
    /// The words of the server or the network.
    Other(String),
}

/// Logs in once, as the functions do, and says why it failed: to try settings before they are deployed.
///
/// # Errors
/// What is wrong.
pub async fn try_login(options: PgConnectOptions) -> Result<(), LoginProblem> {
    let options = prepared(options);
    let error = match timeout(TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            // The server notices a connection that is merely dropped, too.
            let _ = connection.close().await;
            return Ok(());
        }
        Ok(Err(error)) => error,
        Err(_) => {
            let sentence = unreachable::explain(&unreachable::Failure::NoAnswer, &options);
            return Err(LoginProblem::Other(sentence.unwrap_or_else(|| NO_ANSWER.into())));
        }
    };
    if let Some(said) = refusal(&error) {
        return Err(LoginProblem::Refused(said));
    }
    let certificate = certificate_problem(&error, options.get_host());
    let said = || {
        let sentence = unreachable::explain(&unreachable::Failure::Error(&error), &options);
        let said = || error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        sentence.unwrap_or_else(said)
    };
    Err(certificate.map_or_else(|| LoginProblem::Other(said()), LoginProblem::Certificate))
}

enum Failure {
    /// The server refuses this user and password.
    Refused(String),
    Other(DbError),
}

impl From<Failure> for DbError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(said) => Self::Unavailable(format!(
                "the login was refused ({said}): check user and password in DATABASE_URL; the next attempt is in a \
                 minute, because Supabase locks out an address after ten refused logins"
            )),
            Failure::Other(error) => error,
        }
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Failure> {
    let error = match timeout(TIMEOUT, PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(error)) => error,
        Err(_) => {
            let sentence = unreachable::explain(&unreachable::Failure::NoAnswer, options);
            return Err(Failure::Other(sentence.map_or_else(no_answer, DbError::Unavailable)));
        }
    };
    if let Some(said) = refusal(&error) {
        return Err(Failure::Refused(said));
    }
    if let Some(sentence) = certificate_problem(&error, options.get_host()) {
        return Err(Failure::Other(DbError::Unavailable(sentence)));
    }
    if let Some(sentence) = unreachable::explain(&unreachable::Failure::Error(&error), options) {
        return Err(Failure::Other(DbError::Unavailable(sentence)));
    }
    Err(Failure::Other(match DbError::from(error) {
        // An error before the first statement isn't caused by the request.
        DbError::Defect(error) => DbError::Unavailable(error.to_string()),
        other => other,
    }))
}

fn no_answer() -> DbError {
    DbError::Unavailable(NO_ANSWER.into())
}

/// The server's error, if it refused the login.
fn refusal(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let sqlstate = error.code().unwrap_or_default();
    let is_refusal =
        sqlstate.starts_with("28") || REFUSALS_OF_POOLERS.iter().any(|text| error.message().contains(text));
    is_refusal.then(|| format!("{}, SQLSTATE {sqlstate}", error.message()))
}

/// The fix, if the server's certificate is the problem.
fn certificate_problem(error: &sqlx::Error, host: &str) -> Option<String> {
    let sqlx::Error::Io(error) = error else { return None };
    let rustls::Error::InvalidCertificate(problem) = error.get_ref()?.downcast_ref()? else { return None };
    match problem {
        // A bad signature: its authority has the name of a trusted one, but another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "the authority of the database's certificate is not known: set DATABASE_CA_PEM to the certificate of that \
             authority, in PEM"
                .into(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some(format!(
            "the database's certificate is not for {host}: name the database in DATABASE_URL as its certificate does"
        )),
        _ => None,
    }
}
