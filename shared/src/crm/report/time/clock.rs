//! The time of a day, and its zone where it names one.

use chrono::{FixedOffset, NaiveDate, NaiveTime};

use super::written::Written;

/// Abbreviations that stand for one distance from UTC only, in minutes. CST, IST and BST are several.
const ZONES: &[(&str, i32)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("MEZ", 60),
    ("CEST", 120),
    ("MESZ", 120),
    ("SAST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("PKT", 300),
    ("HKT", 480),
    ("AWST", 480),
    ("JST", 540),
    ("KST", 540),
    ("ACST", 570),
    ("AEST", 600),
    ("ACDT", 630),
    ("AEDT", 660),
    ("NZST", 720),
    ("NZDT", 780),
    ("NDT", -150),
    ("NST", -210),
    ("EDT", -240),
    ("EST", -300),
    ("MDT", -360),
    ("PDT", -420),
    ("PST", -480),
    ("AKDT", -480),
    ("AKST", -540),
    ("HST", -600),
];
const TIMES: [&str; 6] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p"];

/// A time of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    time: NaiveTime,
    zone: Option<FixedOffset>,
}

impl Clock {
    /// This time on this day. None where that is outside the calendar.
    pub fn on(self, day: NaiveDate) -> Option<Written> {
        let local = day.and_time(self.time);
        match self.zone {
            Some(zone) => local.and_local_timezone(zone).single().map(|at| Written::Exactly(at.to_utc())),
            None => Some(Written::Locally(local)),
        }
    }
}

/// Reads a time with seconds or without, of 24 hours or of twice twelve, and a zone after it.
pub(super) fn clock(text: &str) -> Option<Clock> {
    let text = text.trim();
    if let Some(time) = time_of(text) {
        return Some(Clock { time, zone: None });
    }
    // A distance stands with a space or without.
    let end = text.rfind(' ').or_else(|| text.rfind(['+', '-'])).or_else(|| text.strip_suffix('Z').map(str::len))?;
    let (time, zone) = text.split_at(end);
    Some(Clock { time: time_of(time.trim())?, zone: Some(zone_of(zone.trim())?) })
}

fn time_of(text: &str) -> Option<NaiveTime> {
    let text = text.replace("a.m.", "am").replace("p.m.", "pm");
    TIMES.iter().find_map(|format| NaiveTime::parse_from_str(&text, format).ok())
}

/// An abbreviation, or a distance from UTC such as `+0100`, `-05:00`, `GMT+1`.
fn zone_of(text: &str) -> Option<FixedOffset> {
    if let Some((_, minutes)) = ZONES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        return FixedOffset::east_opt(minutes * 60);
    }
    let distance = ["GMT", "UTC"].iter().find_map(|zone| text.strip_prefix(zone)).unwrap_or(text);
    let (sign, distance) =
        distance.strip_prefix('+').map(|it| (1, it)).or_else(|| distance.strip_prefix('-').map(|it| (-1, it)))?;
    let (hours, minutes) = match distance.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if distance.len() == 4 => distance.split_at(2),
        None => (distance, "0"),
    };
    let number = |digits: &str| (1..=2).contains(&digits.len()).then(|| digits.parse::<u8>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let is_distance = hours <= 14 && minutes < 60;
    is_distance.then(|| FixedOffset::east_opt(sign * (i32::from(hours) * 60 + i32::from(minutes)) * 60))?
}
