//! What Lambda hands over from a queue, and what it is answered.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Up to ten messages.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Record>,
}

/// A message of SQS.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Record {
    /// How often it was received, this time included.
    pub(crate) fn receives(&self) -> u32 {
        self.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// When it was sent to the queue.
    pub(crate) fn sent_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.attributes.get("SentTimestamp")?.parse().ok()?)
    }
}

/// Those that stay in the queue; Lambda deletes the others.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub(crate) batch_item_failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failed {
    item_identifier: String,
}

impl Answer {
    pub(crate) fn keep(&mut self, record: &Record) {
        self.batch_item_failures.push(Failed { item_identifier: record.message_id.clone() });
    }
}
