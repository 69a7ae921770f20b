//! Times and days, as CRMs write them.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::standards;
use crate::crm::fields::DateOrder;

/// From here on a number counts milliseconds. As seconds it would be the year 5138, as milliseconds it is 1973.
const MILLISECONDS: f64 = 100_000_000_000.0;
const NO_TIME: &str = "must be a time as in RFC 3339, such as 2026-11-20T14:03:11+01:00, a day such as 2026-11-20, or \
                       seconds or milliseconds since 1970";
const NO_ORDER: &str = "may be two days: say which number comes first, date_order = \"dmy\" for 28.11.2026 or \"mdy\" for \
                        11/28/2026";

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It names its zone.
    Exactly(DateTime<Utc>),
    Locally(NaiveDateTime),
    Day(NaiveDate),
}

impl Written {
    fn a_day_later(self) -> Option<Self> {
        match self {
            Self::Exactly(at) => at.checked_add_days(Days::new(1)).map(Self::Exactly),
            Self::Locally(at) => at.checked_add_days(Days::new(1)).map(Self::Locally),
            Self::Day(_) => None,
        }
    }
}

/// Reads a text that begins with a year, is a number, has its day in the declared order, or is as another standard
/// writes it.
///
/// # Errors
/// What is allowed, and what to declare.
pub(super) fn read(text: &str, order: Option<DateOrder>) -> Result<Written, &'static str> {
    if let Some(beginning) = beginning_of_next_day(text) {
        return read_day_and_time(&beginning, order).and_then(|it| it.a_day_later().ok_or(NO_TIME));
    }
    read_day_and_time(text, order)
}

/// ISO 8601 writes the end of a day as 24:00: the same text with the beginning of that day.
fn beginning_of_next_day(text: &str) -> Option<String> {
    let at = text.find("T24:00").or_else(|| text.find(" 24:00"))? + 1;
    let (day, rest) = (&text[..at], &text[at + "24:00".len()..]);
    let seconds = rest.split(|c: char| !matches!(c, ':' | '.' | '0'..='9')).next().unwrap_or_default();
    seconds.chars().all(|c| matches!(c, ':' | '.' | '0')).then(|| format!("{day}00:00{rest}"))
}

fn read_day_and_time(text: &str, order: Option<DateOrder>) -> Result<Written, &'static str> {
    // Eight digits are no seconds of this century.
    if let Some(day) = (text.len() == 8).then(|| NaiveDate::parse_from_str(text, "%Y%m%d").ok()).flatten() {
        return Ok(Written::Day(day));
    }
    if let Some(at) = rfc_3339(text).or_else(|| with_zone(text)).or_else(|| number(text)) {
        return Ok(Written::Exactly(at));
    }
    if let Some(written) = standards::read(text) {
        return Ok(written);
    }
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day.trim_end_matches(','), Some(time.trim())),
        None => (text, None),
    };
    let day = match day_of(day, order) {
        Some(day) => day?,
        None => return Err(NO_TIME),
    };
    match time {
        None => Ok(Written::Day(day)),
        Some(time) => time_of(time).map(|time| Written::Locally(day.and_time(time))).ok_or(NO_TIME),
    }
}

pub(super) fn rfc_3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// Seconds or milliseconds since 1970.
pub(super) fn epoch(number: f64) -> Option<DateTime<Utc>> {
    let milliseconds = if number < MILLISECONDS { number * 1e3 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "the cast stops at the ends, which are no times")]
    DateTime::from_timestamp_millis(milliseconds.round() as i64)
}

/// Seconds or milliseconds as a text, maybe with a fraction. A number that is as short as a month and a year is none.
fn number(text: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text.contains('.') && whole.len() < 9;
    (is_number(whole) && is_number(fraction) && !is_short).then(|| text.parse().ok().and_then(epoch))?
}

/// Times with a zone that aren't of RFC 3339: Salesforce leaves out its colon, Ruby puts a space before it.
fn with_zone(text: &str) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |time| format!("{time}+0000"));
    let text = text.replacen(' ', "T", 1).replace(' ', "");
    ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"]
        .iter()
        .find_map(|format| DateTime::parse_from_str(&text, format).ok())
        .map(|at| at.to_utc())
}

/// The day; none if there are no three numbers.
fn day_of(text: &str, order: Option<DateOrder>) -> Option<Result<NaiveDate, &'static str>> {
    let separator = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| ".-/".contains(*c))?;
    let parts: Vec<&str> = text.split(separator).collect();
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| part.parse().ok()).collect();
    let (Some(&[a, b, c]), [first, _, last]) = (numbers.as_deref(), &parts[..]) else { return None };
    let is_year = |part: &str| part.len() == 4;
    let day = |year: u32, month, day| {
        let date = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
        Some(date.ok_or("must be a day that there is"))
    };
    if parts.iter().any(|part| part.len() > 4 || part.starts_with('+')) {
        return None;
    }
    match order {
        _ if is_year(first) => day(a, b, c),
        _ if !is_year(last) => None,
        Some(DateOrder::DayMonthYear) => day(c, b, a),
        Some(DateOrder::MonthDayYear) => day(c, a, b),
        None => Some(Err(NO_ORDER)),
    }
}

fn time_of(text: &str) -> Option<NaiveTime> {
    let formats = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p"];
    formats.iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())
}
