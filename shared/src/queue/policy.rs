//! What the settings say about when rows are sent.

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::config;
use crate::consent::{ConsentStatus, UnknownConsent, WithdrawnConsent};
use crate::platforms::Operation;
use crate::settings::{FromSettings, Settings};

/// Delay from sending to the first question for its verdict, which platforms need.
pub const CONFIRM_AFTER: TimeDelta = TimeDelta::minutes(30);

/// When rows are sent and retried.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub unknown_consent: UnknownConsent,
    pub withdrawn_consent: WithdrawnConsent,
    /// Delay from an upload to the first request for its verdict; doubles up to twelve hours.
    pub confirm_after: TimeDelta,
    /// Delay from a pause to the next probe.
    pub probe_after: TimeDelta,
}

impl Policy {
    /// The statuses of consent with which rows of a lane may be sent. A retraction needs none: it takes back.
    #[must_use]
    pub fn sendable(&self, operation: Operation) -> Vec<ConsentStatus> {
        match operation {
            Operation::Retraction => ConsentStatus::ALL.to_vec(),
            Operation::Upload | Operation::Restatement => self.unknown_consent.sendable(),
        }
    }
}

impl FromSettings for Policy {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self {
            unknown_consent: config::unknown_consent(settings),
            withdrawn_consent: config::withdrawn_consent(settings),
            confirm_after: CONFIRM_AFTER,
            probe_after: TimeDelta::minutes(10),
        }
    }
}
