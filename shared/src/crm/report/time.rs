//! Times, as CRMs write them.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;

use super::Reader;
use crate::crm::fields::{Pointers, Zone};

/// How far a CRM's clock may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(10);
/// The first second of the year 2000.
const EARLIEST: DateTime<Utc> = DateTime::from_timestamp_nanos(946_684_800_000_000_000);
/// From here on a number counts milliseconds. As seconds it would be the year 5138, as milliseconds it is 1973.
const MILLISECONDS: f64 = 100_000_000_000.0;
const RFC_3339: &str = "must be a time with its zone as in RFC 3339, such as 2026-11-20T14:03:11+01:00";

impl Reader<'_> {
    /// A time of the deal.
    pub(super) fn time(&mut self, pointers: Option<&Pointers>) -> Option<DateTime<Utc>> {
        let (pointer, value) = pointers?.find(self.item)?;
        self.time_from(value).map_err(|detail| self.refuse(pointer, detail)).ok()
    }

    /// A time from the year 2000 to ten minutes after the report arrived.
    pub(super) fn time_from(&self, value: &Value) -> Result<DateTime<Utc>, &'static str> {
        let at = match value.as_str().map(str::trim) {
            Some(text) if self.source.strict => rfc_3339(text).ok_or(RFC_3339),
            None if self.source.strict => Err("must be a text"),
            Some(text) => written(text, self.source.fields.zone),
            None => {
                value.as_f64().and_then(epoch).ok_or("must be a time: a text, or seconds or milliseconds since 1970")
            }
        };
        at.and_then(|at| {
            if at > self.when.received_at + CLOCK_SKEW {
                Err("must not be in the future")
            } else if at < EARLIEST {
                Err("must not be before the year 2000")
            } else {
                Ok(at)
            }
        })
    }
}

fn written(text: &str, zone: Option<Zone>) -> Result<DateTime<Utc>, &'static str> {
    // Salesforce writes the zone without a colon.
    let with_zone = || DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok().map(|at| at.to_utc());
    let digits = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok().and_then(epoch))?;
    if let Some(at) = rfc_3339(text).or_else(with_zone).or_else(digits) {
        return Ok(at);
    }
    let without_zone = NaiveDateTime::parse_from_str(&text.replacen(' ', "T", 1), "%Y-%m-%dT%H:%M:%S%.f");
    match (without_zone, zone) {
        (Ok(at), Some(Zone(zone))) => {
            at.and_local_timezone(zone).single().map(|at| at.to_utc()).ok_or("must be a time that there was")
        }
        (Ok(_), None) => {
            Err("names no zone: declare the zone of this source's times in its fields, such as zone = \"UTC\"")
        }
        (Err(_), _) => {
            Err("must be a time as in RFC 3339, such as 2026-11-20T14:03:11+01:00, or seconds or milliseconds \
                            since 1970")
        }
    }
}

fn rfc_3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// Seconds or milliseconds since 1970.
fn epoch(number: f64) -> Option<DateTime<Utc>> {
    let milliseconds = if number < MILLISECONDS { number * 1e3 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "the cast stops at the ends, which are no times")]
    DateTime::from_timestamp_millis(milliseconds.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value, zone: Option<&str>) -> Result<String, &'static str> {
        let zone = zone.map(|zone| Zone::try_from(zone.to_owned()).unwrap());
        let at = match value.as_str() {
            Some(text) => written(text, zone)?,
            None => value.as_f64().and_then(epoch).ok_or("no time")?,
        };
        Ok(at.to_rfc3339())
    }

    #[test]
    fn a_time_is_read_in_every_shape_that_names_its_zone() {
        for (value, zone, at) in [
            (Value::from("2026-11-20T13:03:11.25+01:00"), None, "2026-11-20T12:03:11.250+00:00"),
            (Value::from("2026-11-20T12:03:11Z"), None, "2026-11-20T12:03:11+00:00"),
            (Value::from("2026-11-20T12:03:11.000+0000"), None, "2026-11-20T12:03:11+00:00"),
            (Value::from("2026-11-20T05:33:11-0630"), None, "2026-11-20T12:03:11+00:00"),
            (Value::from("1795176191"), None, "2026-11-20T12:03:11+00:00"),
            (Value::from("1795176191250"), None, "2026-11-20T12:03:11.250+00:00"),
            (Value::from(1_795_176_191), None, "2026-11-20T12:03:11+00:00"),
            (Value::from(1_795_176_191.25), None, "2026-11-20T12:03:11.250+00:00"),
            (Value::from(1_795_176_191_250_i64), None, "2026-11-20T12:03:11.250+00:00"),
            (Value::from(99_999_999_999_i64), None, "5138-11-16T09:46:39+00:00"),
            (Value::from(100_000_000_000_i64), None, "1973-03-03T09:46:40+00:00"),
            (Value::from("2026-11-20 13:03:11"), Some("+01:00"), "2026-11-20T12:03:11+00:00"),
            (Value::from("2026-11-20T12:03:11.395000"), Some("UTC"), "2026-11-20T12:03:11.395+00:00"),
            // Its own zone takes precedence over the declared one.
            (Value::from("2026-11-20T12:03:11Z"), Some("+01:00"), "2026-11-20T12:03:11+00:00"),
        ] {
            assert_eq!(read(&value, zone).as_deref(), Ok(at), "{value}");
        }
    }

    #[test]
    fn a_time_that_could_be_two_is_refused() {
        for (text, why) in [
            ("2026-11-20 13:03:11", "zone = \"UTC\""),
            ("2026-11-20T13:03:11.5", "zone = \"UTC\""),
            ("2026-11-20", "RFC 3339"),
            ("20.11.2026 13:03", "RFC 3339"),
            ("11/20/2026", "RFC 3339"),
            ("yesterday", "RFC 3339"),
            ("-1795176191", "RFC 3339"),
            ("1.8e9", "RFC 3339"),
            ("9".repeat(400).as_str(), "RFC 3339"),
        ] {
            let refused = read(&text.into(), None).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        for number in [1e300, -1e300, f64::MAX] {
            assert!(read(&number.into(), None).is_err());
        }
    }

    #[test]
    fn the_first_and_the_last_time_are_refused_where_their_zone_moves_them_out_of_the_calendar() {
        for (text, outside, inside) in
            [("+262142-12-31T23:59:59.9", "-12:00", "+14:00"), ("-262143-01-01T00:00:00", "+14:00", "-12:00")]
        {
            assert_eq!(read(&text.into(), Some(outside)), Err("must be a time that there was"), "{text}");
            assert!(read(&text.into(), Some(inside)).is_ok(), "{text}");
        }
    }
}
