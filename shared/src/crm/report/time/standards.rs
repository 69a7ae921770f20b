//! Times as standards beside RFC 3339 write them, and as people do who name the month: mails, JavaScript, Unix, tables.

use chrono::{DateTime, Month, NaiveDate, NaiveDateTime, Utc, Weekday};

use super::clock::clock;
use super::written::Written;

const COMPACT_WITH_ZONE: &str = "%Y%m%dT%H%M%S%.f%#z";
const COMPACT: &str = "%Y%m%dT%H%M%S%.f";

/// Reads a text that is as one of them writes it.
pub(super) fn read(text: &str) -> Option<Written> {
    let compact = || DateTime::parse_from_str(text, COMPACT_WITH_ZONE).ok().map(|at| at.to_utc());
    if let Some(at) = of_dot_net(text).or_else(|| of_mail(text)).or_else(compact) {
        return Some(Written::Exactly(at));
    }
    NaiveDateTime::parse_from_str(text, COMPACT).ok().map(Written::Locally).or_else(|| with_named_month(text))
}

/// RFC 2822, such as `Mon, 30 Nov 2026 09:20:46 +0000`, as mails and HTTP write it.
fn of_mail(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|at| at.to_utc())
}

/// `/Date(1795172591000+0100)/`: milliseconds since 1970. The distance says only what a clock showed then.
fn of_dot_net(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim_matches(['/', '\\']);
    let inner = text.strip_prefix("Date(")?.strip_suffix(')')?;
    let end = inner.char_indices().skip(1).find(|(_, c)| "+-".contains(*c)).map_or(inner.len(), |(at, _)| at);
    let (milliseconds, distance) = inner.split_at(end);
    let is_distance = distance.is_empty() || distance.len() == 5 && distance[1..].bytes().all(|c| c.is_ascii_digit());
    is_distance.then(|| milliseconds.parse().ok().and_then(DateTime::from_timestamp_millis))?
}

/// A day whose month has its English name, and maybe a time: `Nov 29, 2026 at 2:00 PM`, `29-Nov-26`,
/// `Mon Nov 30 2026 09:20:46 GMT+0100 (CET)`. The words may be in any order, since each can be only one thing.
fn with_named_month(text: &str) -> Option<Written> {
    // JavaScript writes the name of the zone in brackets after its distance.
    let text = text.split_once(" (").filter(|(_, name)| name.ends_with(')')).map_or(text, |(time, _)| time);
    let (mut weekday, mut month, mut day, mut year, mut rest) = (None, None, None, None, Vec::new());
    let once = |slot: &mut Option<u32>, value: u32| slot.replace(value).is_none();
    for word in text.split([' ', ',']).flat_map(of_day).filter(|word| !word.is_empty()) {
        let name = word.trim_end_matches('.');
        let is_new = if let Some(found) = month_of(name) {
            month.replace(found).is_none()
        } else if let Ok(found) = name.parse::<Weekday>() {
            weekday.replace(found).is_none()
        } else if let Some((number, digits)) = number_of(name) {
            if digits == 4 || day.is_some() { once(&mut year, number) } else { once(&mut day, number) }
        } else {
            // Between the day and the time.
            if !(rest.is_empty() && name.eq_ignore_ascii_case("at")) {
                rest.push(word);
            }
            true
        };
        if !is_new {
            return None;
        }
    }
    let year = i32::try_from(year.map(of_this_century)?).ok()?;
    let day = NaiveDate::from_ymd_opt(year, month?.number_from_month(), day?)?;
    if weekday.is_some_and(|weekday| chrono::Datelike::weekday(&day) != weekday) {
        return None;
    }
    match rest[..] {
        [] => Some(Written::Day(day)),
        _ => clock(&rest.join(" "))?.on(day),
    }
}

/// The parts of `29-Nov-2026` and of `29/Nov/26`; other words are whole.
fn of_day(word: &str) -> Vec<&str> {
    let parts: Vec<_> = word.split(['-', '/']).collect();
    if parts.len() == 3 && parts.iter().any(|part| month_of(part).is_some()) { parts } else { vec![word] }
}

fn month_of(name: &str) -> Option<Month> {
    if name.eq_ignore_ascii_case("sept") { Some(Month::September) } else { name.parse().ok() }
}

/// A day or a year, and of how many digits: one, two or four. Also as `29th`.
fn number_of(word: &str) -> Option<(u32, usize)> {
    let ordinal = ["st", "nd", "rd", "th"].iter().find_map(|ending| word.strip_suffix(ending));
    let digits = ordinal.unwrap_or(word);
    let is_number = matches!(digits.len(), 1 | 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some((digits.parse().ok()?, digits.len())))?
}

/// A year of two digits is one of this century: no deal is from an earlier one.
pub(super) fn of_this_century(year: u32) -> u32 {
    if year < 100 { 2000 + year } else { year }
}
