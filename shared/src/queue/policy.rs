//! What the settings say about when rows are sent.

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::config;
use crate::consent::UnknownConsent;
use crate::settings::{FromSettings, Settings};

/// When rows are sent and retried.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub unknown_consent: UnknownConsent,
    /// Delay from an upload to the first request for its verdict; doubles up to twelve hours.
    pub confirm_after: TimeDelta,
    /// Delay from a pause to the next probe.
    pub probe_after: TimeDelta,
}

impl FromSettings for Policy {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self {
            unknown_consent: config::unknown_consent(settings),
            confirm_after: TimeDelta::minutes(30),
            probe_after: TimeDelta::minutes(10),
        }
    }
}
