//! Times as standards beside RFC 3339 write them: mails, JavaScript, Unix and .NET, mostly with the name of the month.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::written::Written;

/// Days of JavaScript and of Unix, with a time and a distance from UTC.
const WITH_ZONE: [&str; 3] = ["%a %b %d %Y %H:%M:%S%.f %z", "%a %b %d %H:%M:%S%.f %z %Y", "%Y%m%dT%H%M%S%.f%#z"];
const LOCAL: [&str; 3] = ["%a %b %d %Y %H:%M:%S%.f", "%a %b %d %H:%M:%S%.f %Y", "%Y%m%dT%H%M%S%.f"];
const DAY: &str = "%a %b %d %Y";

/// Reads a text that is as one of them writes it.
pub(super) fn read(text: &str) -> Option<Written> {
    if let Some(at) = of_dot_net(text).or_else(|| of_mail(text)) {
        return Some(Written::Exactly(at));
    }
    let text = plain(text);
    let exactly = || WITH_ZONE.iter().find_map(|format| DateTime::parse_from_str(&text, format).ok());
    let locally = || LOCAL.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
    let day = || NaiveDate::parse_from_str(&text, DAY).ok();
    exactly()
        .map(|at| Written::Exactly(at.to_utc()))
        .or_else(|| locally().map(Written::Locally))
        .or_else(|| day().map(Written::Day))
}

/// RFC 2822, such as `Mon, 30 Nov 2026 09:20:46 +0000`, as mails and HTTP write it.
fn of_mail(text: &str) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |time| format!("{time} +0000"));
    DateTime::parse_from_rfc2822(&text).ok().map(|at| at.to_utc())
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

/// Without the name of the zone in brackets after its distance, and with `+0000` for UTC. JavaScript writes
/// `GMT+0100 (CET)`.
fn plain(text: &str) -> String {
    let text = text.split_once(" (").filter(|(_, name)| name.ends_with(')')).map_or(text, |(time, _)| time);
    let word = |word: &str| match word {
        "GMT" | "UTC" | "Z" => "+0000".to_owned(),
        _ => {
            let distance = ["GMT", "UTC"].iter().find_map(|zone| word.strip_prefix(zone));
            distance.filter(|it| it.starts_with(['+', '-'])).unwrap_or(word).to_owned()
        }
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}
