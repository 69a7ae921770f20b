//! Times and days, as CRMs write them.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::clock::clock;
use super::standards::{self, of_this_century};
use crate::crm::amounts;
use crate::crm::fields::DateOrder;

/// From here on a number counts milliseconds. As seconds it would be the year 5138, as milliseconds it is 1973.
const MILLISECONDS: f64 = 1e11;
/// And from here on microseconds, of which so many milliseconds would be after the year 5138.
const MICROSECONDS: f64 = 1e14;
const NANOSECONDS: f64 = 1e17;
/// The days of this century in tables, which count them from the end of 1899. As seconds they would all be in 1970.
const TABLE_DAYS: std::ops::Range<f64> = 36_526.0..73_051.0;
/// The days of this century as eight digits. As seconds they would be in 1970, too.
const EIGHT_DIGITS: std::ops::Range<f64> = 20_000_101.0..21_000_101.0;
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

/// Reads a text that begins with a year, is a number, has its day in the declared order or in the only one that it can
/// have, or is as another standard writes it. Spaces and digits may be of any kind.
///
/// # Errors
/// What is allowed, and what to declare.
pub(super) fn read(text: &str, order: Option<DateOrder>) -> Result<Written, &'static str> {
    let plain = amounts::plain(text);
    let text = plain.trim();
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
    // Java puts the name of the zone after its distance.
    let named = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
    if let Some(at) = rfc_3339(named.map_or(text, |(time, _)| time)).or_else(|| with_zone(text)) {
        return Ok(Written::Exactly(at));
    }
    if let Some(written) = digits(text).or_else(|| standards::read(text)) {
        return Ok(written);
    }
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day.trim_end_matches(','), Some(time)),
        None => (text, None),
    };
    let day = day_of(day, order).ok_or(NO_TIME)??;
    match time {
        None => Ok(Written::Day(day)),
        Some(time) => clock(time).and_then(|clock| clock.on(day)).ok_or(NO_TIME),
    }
}

pub(super) fn rfc_3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// Reads a number: a day in eight digits, the day and time of a table, or what passed since 1970, in seconds,
/// milliseconds, microseconds or nanoseconds.
pub(super) fn number(number: f64) -> Option<Written> {
    #[expect(clippy::cast_possible_truncation, reason = "the casts stop at the ends, which are no times")]
    let whole = |number: f64| number.round() as i64;
    let is_whole = number.fract() == 0.0;
    if EIGHT_DIGITS.contains(&number) && is_whole {
        return NaiveDate::parse_from_str(&whole(number).to_string(), "%Y%m%d").ok().map(Written::Day);
    }
    if TABLE_DAYS.contains(&number) {
        // They are as exact as a second.
        let first = NaiveDate::from_ymd_opt(1899, 12, 30)?.and_time(NaiveTime::MIN);
        let at = first.checked_add_signed(TimeDelta::try_seconds(whole(number * 86_400.0))?)?;
        return Some(if is_whole { Written::Day(at.date()) } else { Written::Locally(at) });
    }
    let milliseconds = match number {
        seconds if seconds < MILLISECONDS => seconds * 1e3,
        milliseconds if milliseconds < MICROSECONDS => milliseconds,
        microseconds if microseconds < NANOSECONDS => microseconds / 1e3,
        nanoseconds => nanoseconds / 1e6,
    };
    DateTime::from_timestamp_millis(whole(milliseconds)).map(Written::Exactly)
}

/// A number as a text, maybe with a fraction. One as short as a month and a year is none.
fn digits(text: &str) -> Option<Written> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text.contains('.') && whole.len() < 5;
    (is_number(whole) && is_number(fraction) && !is_short).then(|| text.parse().ok().and_then(number))?
}

/// Times with a zone that aren't of RFC 3339: Salesforce leaves out its colon, Ruby puts a space before it.
fn with_zone(text: &str) -> Option<DateTime<Utc>> {
    let text = text.replacen(' ', "T", 1).replace(' ', "");
    ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"]
        .iter()
        .find_map(|format| DateTime::parse_from_str(&text, format).ok())
        .map(|at| at.to_utc())
}

/// The day; none if there are no three numbers.
fn day_of(text: &str, order: Option<DateOrder>) -> Option<Result<NaiveDate, &'static str>> {
    let separator = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| ".-/".contains(*c))?;
    // Hungarian and Korean days end with a point.
    let parts: Vec<&str> = text.strip_suffix('.').unwrap_or(text).split(separator).collect();
    let [first, middle, last] = parts[..] else { return None };
    let is_part = |part: &&str| matches!(part.len(), 1 | 2 | 4) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.iter().all(is_part) || middle.len() == 4 {
        return None;
    }
    let day = |year: &str, month: &str, day: &str| {
        let year = i32::try_from(of_this_century(year.parse().ok()?)).ok()?;
        NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)
    };
    let (day_first, month_first) = (day(last, middle, first), day(last, first, middle));
    let year_first = || day(first, middle, last);
    let read = match order {
        _ if first.len() == 4 => year_first(),
        Some(DateOrder::DayMonthYear) => day_first,
        Some(DateOrder::MonthDayYear) => month_first,
        None => {
            // With a year of two digits it may be first, too, as ISO 8601 had it.
            let year_first = if separator == '-' && last.len() < 4 { year_first() } else { None };
            let mut days: Vec<_> = [day_first, month_first, year_first].into_iter().flatten().collect();
            days.dedup();
            if days.len() > 1 {
                return Some(Err(NO_ORDER));
            }
            days.pop()
        }
    };
    Some(read.ok_or("must be a day that there is"))
}
