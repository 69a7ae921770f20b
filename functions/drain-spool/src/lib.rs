//! A batch of the spool: writes what was accepted while Postgres couldn't be reached, by the code that the endpoints
//! use, with the time of receipt. Each message is written once, however often it comes.

mod batch;
mod queues;

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use shared::App;
use shared::clock::Clock;
use shared::db::{Db, DbError};
use shared::leads::{self, Created, NewLead};
use shared::settings::{FromSettings, Settings};
use shared::spool::{self, Content, Message};
use shared::{forms, intake};

pub use batch::{Answer, Batch};

use batch::Record;
use queues::Queues;

pub const REQUIRES: &[&str] = &[spool::QUEUE, spool::DEAD_LETTERS];

/// The longest that one message takes: no other is begun when less is left.
const OF_ONE_MESSAGE: TimeDelta = TimeDelta::seconds(26);
/// For so long after Postgres didn't answer, batches are given back without asking it.
const PAUSE: TimeDelta = TimeDelta::seconds(30);
/// A message that our own code can't store, though Postgres is there, is dead when it was received so often.
const ATTEMPTS: u32 = 10;
/// SQS deletes a message after 14 days. As a dead letter it has 14 more.
const OLDEST: TimeDelta = TimeDelta::days(13);

/// What it reads from the settings.
pub struct Config {
    forms: forms::Config,
    intake: intake::Config,
    queues: Queues,
    /// Until when Postgres isn't asked.
    paused_until: Mutex<Option<DateTime<Utc>>>,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self {
            forms: forms::Config::from_settings(settings, clock),
            intake: intake::Config::from_settings(settings, clock),
            queues: Queues::from_settings(settings),
            paused_until: Mutex::default(),
        }
    }
}

/// What became of a message.
enum Outcome {
    Stored,
    /// It can never be stored, and why.
    Refused(String),
    /// Not now: something is wrong with Postgres, or with what surrounds the message.
    NotNow(String),
    /// Our own code fails on it.
    Defect(String),
}

/// Writes a batch. What can't be written now is answered as failed, and stays in the queue.
///
/// # Errors
/// Never: what fails is a message.
pub async fn handle(app: &App<Config>, batch: Batch, deadline: DateTime<Utc>) -> Result<Answer, Infallible> {
    let Config { queues, .. } = &app.config;
    let mut answer = Answer::default();
    let (mut stored, mut dead, mut waiting) = (0_u32, 0_u32, Vec::new());
    // Whether Postgres answers is asked before the first message, and again after one that it didn't take: a message
    // of which only its own transaction fails holds up no other.
    let (mut asked, mut is_away) = (false, is_paused(app));
    for record in &batch.records {
        let message = Message::parse(&record.body);
        let outcome = match &message {
            Err(reason) => Outcome::Refused(reason.clone()),
            Ok(_) if app.clock.now() + OF_ONE_MESSAGE > deadline => Outcome::NotNow("there was no time left".into()),
            Ok(message) => {
                if !is_away && !asked {
                    is_away = !answers(app).await;
                    asked = true;
                }
                if is_away {
                    Outcome::NotNow("the database is not available".into())
                } else {
                    write(app, message).await
                }
            }
        };
        asked &= !matches!(outcome, Outcome::NotNow(_));
        let reason = match outcome {
            Outcome::Stored => {
                stored += 1;
                continue;
            }
            Outcome::Refused(reason) => Some(reason),
            Outcome::Defect(reason) if record.receives() >= ATTEMPTS => Some(reason),
            Outcome::Defect(cause) | Outcome::NotNow(cause) => has_waited_too_long(record, app.clock.now())
                .then(|| format!("It waited for 13 days: {cause}. Mend that, then run adtrail spool retry.")),
        };
        let is_dead = match reason {
            Some(reason) => bury(queues, record, message.as_ref().ok(), &reason).await,
            None => false,
        };
        if is_dead {
            dead += 1;
        } else {
            waiting.push(record);
            answer.keep(record);
        }
    }
    queues.hide(&waiting).await;
    tracing::info!(stored, dead, waiting = waiting.len(), "a batch of the spool");
    Ok(answer)
}

/// Writes what a message has, as its endpoint would have when it was received.
async fn write(app: &App<Config>, message: &Message) -> Outcome {
    let written = AssertUnwindSafe(store(&app.db, &app.config, message)).catch_unwind().await;
    let outcome = match written {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(DbError::Value(sqlstate))) => {
            Outcome::Refused(format!("A value is out of the range that can be stored (SQLSTATE {sqlstate})."))
        }
        Ok(Err(error @ (DbError::Unavailable(_) | DbError::OldSchema(_)))) => Outcome::NotNow(error.to_string()),
        Ok(Err(DbError::Defect(error))) => {
            let sqlstate = error.as_database_error().and_then(|error| error.code().map(String::from));
            Outcome::Defect(match sqlstate {
                Some(sqlstate) => format!("The database refuses a statement (SQLSTATE {sqlstate})."),
                None => "A statement fails in Adtrail itself.".into(),
            })
        }
        // The panic hook has logged where; the message might quote a value.
        Err(_) => Outcome::Defect("Adtrail panicked on it.".into()),
    };
    if let Outcome::NotNow(cause) | Outcome::Defect(cause) = &outcome {
        tracing::error!(kind = message.kind(), source = message.source(), error = %cause, "not stored yet");
    }
    outcome
}

async fn store(db: &Db, config: &Config, message: &Message) -> Result<Outcome, DbError> {
    match &message.content {
        Content::Lead(spooled) => {
            let address = spooled.address.as_ref();
            let form = match forms::read(&config.forms, &spooled.request(), address, message.received_at) {
                Ok(form) => forms::Form { lead: NewLead { source: spooled.lead_source.clone(), ..form.lead }, ..form },
                Err(problem) => return Ok(Outcome::Refused(problem.sentence())),
            };
            Ok(match db.tx(async |tx| leads::create(tx, &form.lead, &form.callers).await).await? {
                Created::New(_) | Created::Beside(_) | Created::Duplicate(_) => Outcome::Stored,
                Created::Conflict => Outcome::Refused(forms::CONFLICT.into()),
                Created::Refused => Outcome::Refused(
                    "Its caller sent more than ten times LEADS_PER_HOUR within that hour. If it is wanted, run adtrail \
                     spool retry three hours later."
                        .into(),
                ),
            })
        }
        Content::Webhook(spooled) => {
            let Some(source) = config.intake.sources.get(&spooled.source) else {
                return Ok(Outcome::Refused(
                    "Its source is not declared any more: declare it in CRM_SOURCES, then run adtrail spool retry."
                        .into(),
                ));
            };
            let webhook = spooled.webhook(source, message.received_at);
            // An event that is invalid is kept in the inbox, with the reason.
            db.tx(async |tx| intake::receive(tx, &config.intake, &webhook).await).await?;
            Ok(Outcome::Stored)
        }
    }
}

/// Does Postgres answer? If it doesn't, nothing asks it again for a while.
async fn answers(app: &App<Config>) -> bool {
    let Err(error) = app.db.tx(async |_| Ok::<_, DbError>(())).await else { return true };
    tracing::warn!(%error, "the spool waits");
    *app.config.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(app.clock.now() + PAUSE);
    false
}

fn is_paused(app: &App<Config>) -> bool {
    let until = *app.config.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
    until.is_some_and(|until| app.clock.now() < until)
}

fn has_waited_too_long(record: &Record, now: DateTime<Utc>) -> bool {
    record.sent_at().is_some_and(|sent_at| sent_at + OLDEST < now)
}

/// True if it is among the dead letters now. Else it is tried again.
async fn bury(queues: &Queues, record: &Record, message: Option<&Message>, reason: &str) -> bool {
    let (reason, kind) = (spool::reason(reason), message.map(Message::kind));
    let source = message.and_then(Message::source);
    match queues.bury(record, &reason).await {
        Ok(()) => {
            tracing::error!(id = record.message_id, kind, source, reason, "a dead letter");
            true
        }
        Err(error) => {
            tracing::error!(id = record.message_id, kind, source, error, "a dead letter can't be sent");
            false
        }
    }
}

#[cfg(test)]
mod tests;
