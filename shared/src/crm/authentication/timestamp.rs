//! When a request was signed, which prevents replays.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Refusal;
use super::header_part::PartName;
use super::names::Header;
use crate::http::Request;

/// The signed timestamp of a request.
#[derive(Debug)]
pub(super) struct Timestamp {
    pub(super) header: Header,
    /// Where the header has several.
    pub(super) part: Option<PartName>,
    pub(super) unit: Unit,
    pub(super) tolerance: Tolerance,
}

/// The unit of a timestamp, counted from 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Unit {
    #[default]
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
}

impl Unit {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
        }
    }

    pub(super) fn of(self, at: DateTime<Utc>) -> i64 {
        match self {
            Self::Seconds => at.timestamp(),
            Self::Milliseconds => at.timestamp_millis(),
        }
    }

    fn in_a_second(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Milliseconds => 1_000,
        }
    }
}

/// How far a timestamp may be from now, in seconds, to either side.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct Tolerance(u16);

impl Default for Tolerance {
    /// Five minutes, as in Standard Webhooks and at HubSpot.
    fn default() -> Self {
        Self(300)
    }
}

impl TryFrom<i64> for Tolerance {
    type Error = &'static str;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        let seconds = u16::try_from(seconds).ok().filter(|seconds| (1..=3_600).contains(seconds));
        seconds
            .map(Self)
            .ok_or("tolerance_seconds must be 1 to 3600: 300 is usual, and a larger value makes replays easier")
    }
}

impl Timestamp {
    /// The text as it is signed, and its time.
    pub(super) fn read<'r>(&self, request: &'r Request) -> Result<(&'r str, i64), Refusal> {
        let value = self.header.value(request).map_err(|_| Refusal::TimestampMalformed)?;
        let text = match (&self.part, value.ok_or(Refusal::TimestampMissing)?) {
            (None, whole) => whole,
            (Some(part), whole) => {
                let mut values = part.values(whole);
                match (values.next(), values.next()) {
                    (Some(text), None) => text,
                    (None, _) => return Err(Refusal::TimestampMissing),
                    // Its sender and we could mean different ones.
                    (Some(_), Some(_)) => return Err(Refusal::TimestampMalformed),
                }
            }
        };
        let is_number = (1..=19).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        let at = text.parse().ok().filter(|_| is_number).ok_or(Refusal::TimestampMalformed)?;
        Ok((text, at))
    }

    pub(super) fn check(&self, at: i64, now: DateTime<Utc>) -> Result<(), Refusal> {
        let away = self.unit.of(now).abs_diff(at);
        if away <= u64::from(self.tolerance.0) * self.unit.in_a_second() { Ok(()) } else { Err(Refusal::Expired) }
    }
}
