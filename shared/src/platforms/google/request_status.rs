//! The answer of the Data Manager API to `requestStatus:retrieve`, as it is written.
//!
//! It counts the records that were refused, for each reason. Since release 1.9 it also names them, by their places in
//! the request.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::Answer;
use super::status::MOST_WARNINGS;
use crate::texts::{CODE, fit};

/// What became of a request at its only destination. An answer that can't be read, or has none, says its code.
pub(crate) fn read(answer: &Answer) -> Result<RequestStatus, &'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Statuses {
        request_status_per_destination: Vec<RequestStatus>,
    }
    let read: Statuses = serde_json::from_slice(&answer.body).map_err(|_| "unreadable_answer")?;
    read.request_status_per_destination.into_iter().next().ok_or("no_status")
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RequestStatus {
    /// `SUCCESS`, `PROCESSING`, `FAILED` or `PARTIAL_SUCCESS`.
    #[serde(rename = "requestStatus")]
    pub(crate) word: String,
    error_info: ErrorInfo,
    warning_info: WarningInfo,
    /// How many records the request had.
    pub(crate) events_ingestion_status: Records,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ErrorInfo {
    error_counts: Vec<Records>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WarningInfo {
    warning_counts: Vec<Records>,
}

/// `ErrorCount`, `WarningCount` or `IngestEventsStatus`. Whatever the numbers are, the rest can be read.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Records {
    pub(crate) reason: String,
    record_count: Option<Box<RawValue>>,
    /// From release 1.9 on. Google may not list all of them.
    record_indices: Option<Box<RawValue>>,
}

/// An integer. JSON has 64 bits of it as a string.
fn integer(raw: &RawValue) -> Option<usize> {
    raw.get().trim_matches('"').parse().ok()
}

impl Records {
    pub(crate) fn count(&self) -> Option<usize> {
        integer(self.record_count.as_deref()?)
    }

    /// Their places in the request.
    pub(crate) fn places(&self) -> Vec<usize> {
        let listed = self.record_indices.as_ref().map(|raw| serde_json::from_str(raw.get()).unwrap_or_default());
        let listed: Vec<Box<RawValue>> = listed.unwrap_or_default();
        let mut places: Vec<_> = listed.iter().filter_map(|it| integer(it)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

impl RequestStatus {
    /// The records that were refused, by reason.
    pub(crate) fn refused(&self) -> &[Records] {
        &self.error_info.error_counts
    }

    /// It was accepted all the same.
    pub(crate) fn log_warnings(&self) {
        for warning in self.warning_info.warning_counts.iter().take(MOST_WARNINGS) {
            let (reason, records, places) = (fit(&warning.reason, CODE), warning.count(), warning.places());
            tracing::warn!(reason, records, ?places, "Google ignores a part of a request");
        }
    }
}
