//! The spool's two queues, as an operator uses them.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Received, QueueAttributeName,
};
use chrono::{DateTime, Utc};
use shared::aws;
use shared::settings::{Settings, Values, value};
use shared::spool::{self, Message};

use crate::Failure;
use crate::aws_problem::{self, AwsProblem, Call};

/// The most dead letters that are taken at a time.
pub(super) const MOST: usize = 1_000;
/// For so many seconds a dead letter is hidden from others while a command looks at it.
const HIDDEN: i32 = 60;

pub(super) struct Queues {
    waiting: String,
    dead: String,
    aws: SdkConfig,
}

/// A message that can't be stored.
#[derive(Clone, Debug)]
pub(super) struct DeadLetter {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) reason: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) source: Option<String>,
    pub(super) received_at: Option<DateTime<Utc>>,
    /// Names it to SQS while it is hidden.
    receipt: String,
}

impl Queues {
    pub(super) async fn open(values: &Values) -> Result<Self, Failure> {
        if value(values, spool::QUEUE).is_none() || value(values, spool::DEAD_LETTERS).is_none() {
            return Err(Failure::Message(format!(
                "There is no spool in the settings: name the stack with --stack, or set {} and {} to its outputs \
                 SpoolQueueUrl and SpoolDeadLettersUrl; a stack with the parameter Spool=no has none.",
                spool::QUEUE,
                spool::DEAD_LETTERS
            )));
        }
        let mut settings = Settings::new(values);
        let urls =
            spool::queue_url(&mut settings, spool::QUEUE).zip(spool::queue_url(&mut settings, spool::DEAD_LETTERS));
        let (waiting, dead) = settings.finish(urls)?;
        let aws = aws::sdk_config().await;
        // The SDK would say so in words of its own.
        aws_problem::region(&aws).ok_or_else(AwsProblem::no_region)?;
        Ok(Self { waiting, dead, aws })
    }

    fn client(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.aws)
    }

    /// How many messages wait, those that were given back included.
    pub(super) async fn count_waiting(&self) -> Result<u64, Failure> {
        self.count(&self.waiting).await
    }

    pub(super) async fn count_dead(&self) -> Result<u64, Failure> {
        self.count(&self.dead).await
    }

    async fn count(&self, queue: &str) -> Result<u64, Failure> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client().get_queue_attributes().queue_url(queue).set_attribute_names(Some(names.into()));
        let failed = |error| self.failed(&error, "sqs:GetQueueAttributes", queue);
        let counts = request.send().await.map_err(failed)?.attributes.unwrap_or_default();
        Ok(sum(&counts))
    }

    /// The dead letters, which nobody else sees for a minute or until they are released.
    pub(super) async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        let mut letters: Vec<DeadLetter> = Vec::new();
        while letters.len() < MOST {
            let request = self.client().receive_message().queue_url(&self.dead).visibility_timeout(HIDDEN);
            let request =
                request.max_number_of_messages(10).message_attribute_names(spool::REASON).wait_time_seconds(1);
            let failed = |error| self.failed(&error, "sqs:ReceiveMessage", &self.dead);
            let received = request.send().await.map_err(failed)?.messages.unwrap_or_default();
            if received.is_empty() {
                break;
            }
            letters.extend(received.into_iter().map(DeadLetter::from));
        }
        Ok(letters)
    }

    /// Lets others see them again. Best effort: they do after a minute.
    pub(super) async fn release(&self, letters: &[DeadLetter]) {
        for letters in letters.chunks(10) {
            let entries = letters.iter().enumerate().filter_map(|(position, letter)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(position.to_string());
                entry.receipt_handle(&letter.receipt).visibility_timeout(0).build().ok()
            });
            let request = self.client().change_message_visibility_batch().queue_url(&self.dead);
            let _ = request.set_entries(Some(entries.collect())).send().await;
        }
    }

    /// Sends it to the spool, then deletes it. If it ends in between, it is there twice, and stored once.
    pub(super) async fn send_again(&self, letter: &DeadLetter) -> Result<(), Failure> {
        let request = self.client().send_message().queue_url(&self.waiting).message_body(&letter.text);
        request.send().await.map_err(|error| self.failed(&error, "sqs:SendMessage", &self.waiting))?;
        self.delete(std::slice::from_ref(letter)).await
    }

    /// Deletes these dead letters.
    pub(super) async fn delete(&self, letters: &[DeadLetter]) -> Result<(), Failure> {
        for letters in letters.chunks(10) {
            let entries = letters.iter().enumerate().filter_map(|(position, letter)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(position.to_string());
                entry.receipt_handle(&letter.receipt).build().ok()
            });
            let request = self.client().delete_message_batch().queue_url(&self.dead);
            let answer = request.set_entries(Some(entries.collect())).send().await;
            let answer = answer.map_err(|error| self.failed(&error, "sqs:DeleteMessage", &self.dead))?;
            if let Some(kept) = answer.failed.first() {
                return Err(Failure::Message(format!(
                    "SQS doesn't delete {} of the dead letters ({}): run this again in a minute.",
                    answer.failed.len(),
                    kept.code
                )));
            }
        }
        Ok(())
    }

    fn failed(&self, error: &(impl ProvideErrorMetadata + std::error::Error), action: &str, queue: &str) -> Failure {
        let of = format!("queue {}", queue.rsplit('/').next().unwrap_or_default());
        let named_by = if queue == self.dead { spool::DEAD_LETTERS } else { spool::QUEUE };
        AwsProblem::of(error, Call { action, of: &of, named_by, region: aws_problem::region(&self.aws) }).into()
    }
}

/// The sum of counts, which SQS writes as texts.
fn sum(counts: &HashMap<QueueAttributeName, String>) -> u64 {
    counts.values().filter_map(|count| count.parse::<u64>().ok()).sum()
}

impl From<Received> for DeadLetter {
    fn from(received: Received) -> Self {
        let text = received.body.unwrap_or_default();
        let mut attributes = received.message_attributes.unwrap_or_default();
        let message = Message::parse(&text).ok();
        Self {
            id: received.message_id.unwrap_or_default(),
            receipt: received.receipt_handle.unwrap_or_default(),
            reason: attributes.remove(spool::REASON).and_then(|reason| reason.string_value),
            kind: message.as_ref().map(|message| message.kind().to_owned()),
            source: message.as_ref().and_then(Message::source).map(str::to_owned),
            received_at: message.map(|message| message.received_at),
            text,
        }
    }
}
