//! What the endpoints do while Postgres can't be reached.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::Url;

use super::Message;
use crate::aws;
use crate::clock::Clock;
use crate::db::DbError;
use crate::settings::{FromSettings, Settings};

/// The setting with the URL of the queue.
pub const QUEUE: &str = "SPOOL_QUEUE_URL";
/// The setting with the URL of the queue of what can't be stored.
pub const DEAD_LETTERS: &str = "SPOOL_DEAD_LETTERS_URL";

/// The longest message that SQS takes, in bytes. The longest body of a webhook becomes one of a third of that.
pub const MESSAGE_LIMIT: usize = 1024 * 1024;

/// The longest way through the database: connecting, beginning, the transaction.
const DATABASE: Duration = Duration::from_secs(24);
const SQS: Duration = Duration::from_secs(4);
/// The longest that [`Spool::keep`] takes. A function that uses it has a longer timeout (`template.yaml`).
pub const LONGEST: Duration = DATABASE.saturating_add(SQS);

/// The spool of a deployment. Without [`QUEUE`] there is none.
pub struct Spool {
    queue: Option<String>,
    /// Made when it is needed first: most sandboxes never do.
    aws: OnceCell<SdkConfig>,
}

impl FromSettings for Spool {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self { queue: queue_url(settings, QUEUE), aws: OnceCell::new() }
    }
}

/// The URL of a queue, from this setting.
pub fn queue_url(settings: &mut Settings, name: &str) -> Option<String> {
    settings.parsed(name, |text| {
        let is_queue = Url::parse(text).is_ok_and(|url| {
            let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
            url.path().len() > 1 && (url.scheme() == "https" || (url.scheme() == "http" && is_local))
        });
        let example = "https://sqs.eu-central-1.amazonaws.com/123456789012/adtrail-spool";
        if is_queue {
            Ok(text.to_owned())
        } else {
            Err(format!("must be the URL of a queue of SQS, such as {example}"))
        }
    })
}

/// Where something is that was kept.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept<T> {
    /// Committed in Postgres, with this outcome.
    InPostgres(T),
    /// In the spool.
    ForLater,
}

impl Spool {
    /// With this queue, in AWS as this configuration reaches it.
    #[must_use]
    pub fn with(queue: &str, aws: SdkConfig) -> Self {
        Self { queue: Some(queue.to_owned()), aws: OnceCell::new_with(Some(aws)) }
    }

    /// Stores something in Postgres or, if that can't be reached, its message in the spool. Either is committed when
    /// this returns `Ok`. Where there is a spool, it takes no longer than [`LONGEST`].
    ///
    /// # Errors
    /// Why the database doesn't take it; if it can't be reached, the spool doesn't take it either.
    pub async fn keep<T>(
        &self,
        storing: impl Future<Output = Result<T, DbError>>,
        message: impl FnOnce() -> Message,
    ) -> Result<Kept<T>, DbError> {
        let Some(queue) = &self.queue else { return storing.await.map(Kept::InPostgres) };
        let too_long = || DbError::Unavailable("connecting and the transaction took too long".into());
        let cause = match timeout(DATABASE, storing).await.unwrap_or_else(|_| Err(too_long())) {
            Err(DbError::Unavailable(cause)) => cause,
            outcome => return outcome.map(Kept::InPostgres),
        };
        let message = message();
        let text = message.to_text();
        let sending = timeout(SQS, Box::pin(self.send(queue, &text)));
        match sending.await.unwrap_or_else(|_| Err("no answer".into())) {
            Ok(()) => {
                let (kind, source) = (message.kind(), message.source());
                tracing::warn!(error = %cause, kind, source, "the database is not available: stored for later");
                Ok(Kept::ForLater)
            }
            Err(problem) => Err(DbError::Unavailable(format!("{cause}; and the spool doesn't take it: {problem}"))),
        }
    }

    async fn send(&self, queue: &str, text: &str) -> Result<(), String> {
        if text.len() > MESSAGE_LIMIT {
            return Err(format!("a message of {} bytes, and SQS takes {MESSAGE_LIMIT}", text.len()));
        }
        let aws = self.aws.get_or_init(aws::sdk_config).await;
        let sent = aws_sdk_sqs::Client::new(aws).send_message().queue_url(queue).message_body(text).send().await;
        sent.map(drop).map_err(|error| aws::cause(&error))
    }
}
