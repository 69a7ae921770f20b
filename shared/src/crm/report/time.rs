//! The times of a deal.

mod clock;
mod standards;
mod written;

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde_json::Value;

use super::Reader;
use crate::attribution::CLICK_COUNTS;
use crate::crm::fields::{Moment, Pointers, Zone};
use crate::deals::day::TO_END;
use written::{Written, rfc_3339};

/// How far a CRM's clock may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(10);
/// The first second of the year 2000.
const EARLIEST: DateTime<Utc> = DateTime::from_timestamp_nanos(946_684_800_000_000_000);
/// Where a day ends last.
const WESTERNMOST: TimeDelta = TimeDelta::hours(12);
const RFC_3339: &str = "must be a time with its zone as in RFC 3339, such as 2026-11-20T14:03:11+01:00";
const NO_ZONE: &str =
    "names no zone: declare that of this source's times in its fields, such as zone = \"Europe/Berlin\"";
const AHEAD: &str = "lies ahead of the time of arrival, which is taken instead: is the zone of this source right, and its \
                     clock?";
const DAY_AHEAD: &str = "is a day to come, as planned ones are, and the time of arrival is taken instead: if the CRM \
                         knows when it happened, point at that";
const TWICE: &str = "is in the hour that came twice when the clocks were put back; the later one is taken";
const SKIPPED: &str = "is in the hour that the clocks left out when they were put forward; it is taken as if they hadn't \
                       been yet";

/// A time of the deal, and where it is.
pub(super) struct Stated {
    field: &'static str,
    pointer: String,
    pub at: DateTime<Utc>,
}

/// A time that was read.
pub(super) struct Time {
    /// The end of a day, else the time itself; at most the time of arrival, unless clocks differ a little.
    pub at: DateTime<Utc>,
    /// The beginning of a day, else the time itself.
    pub from: DateTime<Utc>,
    /// Is it ahead of its arrival, further than clocks differ?
    pub is_ahead: bool,
    /// What somebody should know about it.
    doubt: Option<&'static str>,
}

impl Time {
    fn exactly(at: DateTime<Utc>) -> Self {
        Self { at, from: at, is_ahead: false, doubt: None }
    }
}

impl Reader<'_> {
    /// A time of the deal: the first that can be read. Only a strict source refuses what can't be.
    pub(super) fn time(&mut self, field: &'static str, pointers: Option<&Pointers>) -> Option<Stated> {
        for (pointer, value) in pointers?.each(self.item) {
            match self.time_from(&value) {
                Ok(time) => {
                    if let Some(doubt) = time.doubt {
                        self.warn(field, format!("at {pointer} {doubt}"));
                    }
                    return Some(Stated { field, pointer, at: time.at });
                }
                Err(why) if self.source.strict => {
                    self.refuse(&pointer, why);
                    return None;
                }
                Err(why) => self.warn(
                    field,
                    format!("at {pointer} {why}. What is declared after it is taken, at last the time of arrival"),
                ),
            }
        }
        None
    }

    /// Says so where no click or form that counts can have been before the deal.
    pub(super) fn warn_of_age(&mut self, stated: &Stated) {
        if self.when.received_at - stated.at > CLICK_COUNTS {
            let (pointer, days) = (&stated.pointer, CLICK_COUNTS.num_days());
            let detail = format!(
                "at {pointer} is more than {days} days before its arrival, and no click counts that long: ad platforms \
                 won't take the deal. Is that when it reached the stage?"
            );
            self.warn(stated.field, detail);
        }
    }

    /// A time from the year 2000 to ten minutes after the report arrived. One further ahead becomes the arrival's.
    pub(super) fn time_from(&self, value: &Value) -> Result<Time, &'static str> {
        let received_at = self.when.received_at;
        let time = match value.as_str().map(str::trim) {
            Some(text) if self.source.strict => Time::exactly(rfc_3339(text).ok_or(RFC_3339)?),
            None if self.source.strict => return Err("must be a text"),
            Some(text) => self.settled(written::read(text, self.source.fields.date_order)?)?,
            None => self.settled(value.as_f64().and_then(written::number).ok_or(NO_TIME)?)?,
        };
        let is_day = time.from != time.at;
        let is_ahead = time.from > received_at + CLOCK_SKEW;
        match time {
            time if time.at < EARLIEST => Err("must not be before the year 2000"),
            time if is_ahead => {
                let doubt = Some(if is_day { DAY_AHEAD } else { AHEAD });
                Ok(Time { at: received_at, from: received_at, is_ahead, doubt: time.doubt.or(doubt) })
            }
            time if is_day => Ok(Time { at: time.at.min(received_at), ..time }),
            time => Ok(time),
        }
    }

    /// What was written, by the clocks of the source's zone.
    fn settled(&self, written: Written) -> Result<Time, &'static str> {
        let fields = &self.source.fields;
        match written {
            Written::Exactly(at) => Ok(Time::exactly(at)),
            Written::Locally(local) => {
                let moment = fields.zone.as_ref().ok_or(NO_ZONE)?.moment(local).ok_or(OUTSIDE)?;
                Ok(self.chosen(moment))
            }
            Written::Day(day) => {
                let last = day.and_time(NaiveTime::MIN) + TO_END;
                match &fields.zone {
                    Some(zone) => Ok(Time {
                        at: latest(zone, last).ok_or(OUTSIDE)?,
                        from: earliest(zone, day.and_time(NaiveTime::MIN)).ok_or(OUTSIDE)?,
                        is_ahead: false,
                        doubt: None,
                    }),
                    None => Ok(Time {
                        at: last.and_utc() + WESTERNMOST,
                        from: day.and_time(NaiveTime::MIN).and_utc() - WESTERNMOST,
                        is_ahead: false,
                        doubt: Some(NO_ZONE),
                    }),
                }
            }
        }
    }

    /// Of a time that came twice the later: reports arrive at once, and it can't be before its click then. Unless that
    /// is still to come.
    fn chosen(&self, moment: Moment) -> Time {
        match moment {
            Moment::Once(at) => Time::exactly(at),
            Moment::Skipped(at) => Time { doubt: Some(SKIPPED), ..Time::exactly(at) },
            Moment::Twice(first, second) if second > self.when.received_at + CLOCK_SKEW => Time::exactly(first),
            Moment::Twice(_, second) => Time { doubt: Some(TWICE), ..Time::exactly(second) },
        }
    }
}

const NO_TIME: &str = "must be a time: a text, or seconds or milliseconds since 1970";
const OUTSIDE: &str = "must be a time that there was";

fn latest(zone: &Zone, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    Some(match zone.moment(local)? {
        Moment::Once(at) | Moment::Skipped(at) | Moment::Twice(_, at) => at,
    })
}

fn earliest(zone: &Zone, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    Some(match zone.moment(local)? {
        Moment::Once(at) | Moment::Skipped(at) | Moment::Twice(at, _) => at,
    })
}

#[cfg(test)]
mod tests;
