//! The zone of times that name none.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, Offset, TimeDelta, Timelike, Utc};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// UTC, a distance from it, or the name of a place's time, with its summer times.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub(in crate::crm) enum Zone {
    Fixed(FixedOffset),
    Named(TimeZone),
}

/// What a local time may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crm) enum Moment {
    Once(DateTime<Utc>),
    /// The clocks were put back, so that it came twice.
    Twice(DateTime<Utc>, DateTime<Utc>),
    /// The clocks were put forward over it: this is when they would have shown it if they hadn't been.
    Skipped(DateTime<Utc>),
}

impl Zone {
    /// When these clocks show this. None where that is outside the calendar.
    pub fn moment(&self, local: NaiveDateTime) -> Option<Moment> {
        let minus = |seconds: i32| {
            let at = local.checked_sub_signed(TimeDelta::seconds(seconds.into()))?;
            Some(at.and_utc())
        };
        match self {
            Self::Fixed(offset) => minus(offset.fix().local_minus_utc()).map(Moment::Once),
            Self::Named(zone) => match zone.to_ambiguous_timestamp(civil_of(local)?).offset() {
                AmbiguousOffset::Unambiguous { offset } => minus(offset.seconds()).map(Moment::Once),
                AmbiguousOffset::Gap { before, .. } => minus(before.seconds()).map(Moment::Skipped),
                AmbiguousOffset::Fold { before, after } => {
                    Some(Moment::Twice(minus(before.seconds())?, minus(after.seconds())?))
                }
            },
        }
    }
}

fn civil_of(local: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        small(local.month())?,
        small(local.day())?,
        small(local.hour())?,
        small(local.minute())?,
        small(local.second())?,
        // A leap second counts on in chrono.
        i32::try_from(local.nanosecond().min(999_999_999)).ok()?,
    )
    .ok()
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let offset = if text == "UTC" { "+00:00" } else { &text };
        if let Some(offset) = Some(offset).filter(|it| it.len() == 6).and_then(|it| it.parse().ok()) {
            return Ok(Self::Fixed(offset));
        }
        // A path or a rule of POSIX isn't the name of a zone.
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
        let zone = is_name.then(|| TimeZone::get(&text).ok()).flatten();
        zone.map(Self::Named).ok_or_else(|| {
            "zone is the name of a time zone with its summer times, such as \"Europe/Berlin\", or \"UTC\", or the \
             distance from it, such as \"+01:00\""
                .into()
        })
    }
}
