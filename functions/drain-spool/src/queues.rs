//! The spool's two queues, as this function changes them.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue};
use shared::aws;
use shared::settings::Settings;
use shared::spool;
use tokio::sync::OnceCell;

use crate::batch::Record;

/// Seconds after which a message is tried again for the first time. It doubles with each attempt.
const FIRST_DELAY: i32 = 30;
/// The most seconds. A message may be received a thousand times before SQS calls it dead (`maxReceiveCount`), so it
/// outlasts its 14 days: an outage of days makes no dead letters.
const LONGEST_DELAY: i32 = 20 * 60;

pub(crate) struct Queues {
    waiting: String,
    dead: String,
    pub(crate) aws: OnceCell<SdkConfig>,
}

impl Queues {
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        let mut url = |name| spool::queue_url(settings, name).unwrap_or_default();
        Self { waiting: url(spool::QUEUE), dead: url(spool::DEAD_LETTERS), aws: OnceCell::new() }
    }

    /// Sends a message to the dead letters, with the reason. Lambda then deletes it from the queue.
    pub(crate) async fn bury(&self, record: &Record, reason: &str) -> Result<(), String> {
        let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        let aws = self.aws().await;
        let request = aws_sdk_sqs::Client::new(aws).send_message().queue_url(&self.dead).message_body(&record.body);
        let request = request.message_attributes(spool::REASON, reason.map_err(|error| error.to_string())?);
        request.send().await.map(drop).map_err(|error| aws::cause(&error))
    }

    /// Hides messages for longer the more often they were received. Best effort: else they come back after the queue's
    /// own time.
    pub(crate) async fn hide(&self, records: &[&Record]) {
        if records.is_empty() {
            return;
        }
        let entries = records.iter().enumerate().map(|(position, record)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(&record.receipt_handle)
                .visibility_timeout(delay(record.receives()))
                .build()
        });
        let hidden = match entries.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => {
                let aws = self.aws().await;
                let request = aws_sdk_sqs::Client::new(aws).change_message_visibility_batch();
                request
                    .queue_url(&self.waiting)
                    .set_entries(Some(entries))
                    .send()
                    .await
                    .map(drop)
                    .map_err(|error| aws::cause(&error))
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = hidden {
            tracing::warn!(%error, "messages come back sooner than they should");
        }
    }

    async fn aws(&self) -> &SdkConfig {
        self.aws.get_or_init(aws::sdk_config).await
    }
}

/// In how many seconds a message that was received so often is tried again.
fn delay(receives: u32) -> i32 {
    let doubled = 2_i32.checked_pow(receives.saturating_sub(1)).and_then(|factor| FIRST_DELAY.checked_mul(factor));
    doubled.unwrap_or(LONGEST_DELAY).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_and_outlast_the_queues_memory() {
        assert_eq!([1, 2, 3, 6, 7, 500].map(delay), [30, 60, 120, 960, 1200, 1200]);
        let all: i32 = (1..1000).map(delay).sum();
        assert!(all > 13 * 24 * 3600, "{all} seconds");
    }
}
