//! Days without a time. A deal that was won on a day is stored with the last microsecond of it, which no clock shows.

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Timelike, Utc};

/// From the beginning of a day to what is stored of it, if no clock was put forward or back meanwhile.
pub(crate) const TO_END: TimeDelta = TimeDelta::microseconds(24 * 3600 * 1_000_000 - 1);
const NOON: NaiveTime = NaiveTime::from_hms_opt(12, 0, 0).unwrap();

/// When a deal was won that came from this click. A day that ended before the click where its source is, and hadn't yet
/// ended somewhere else, may be a day of that place: the deal wasn't won before the click then.
#[must_use]
pub fn told_at(occurred_at: DateTime<Utc>, click_at: Option<DateTime<Utc>>) -> DateTime<Utc> {
    click_at
        .filter(|at| *at > occurred_at && is_day(occurred_at) && *at < ends_last(occurred_at))
        .unwrap_or(occurred_at)
}

fn is_day(at: DateTime<Utc>) -> bool {
    at.second() == 59 && at.timestamp_subsec_micros() == 999_999
}

/// When a day has ended everywhere: at noon of UTC. Some places on both sides of the date line end another day at the
/// same moment; each hour is that of those where more people live.
fn ends_last(end: DateTime<Utc>) -> DateTime<Utc> {
    let is_next_noon = !matches!(end.hour(), 0..=9 | 11);
    let day = if is_next_noon { end.date_naive() + Days::new(1) } else { end.date_naive() };
    day.and_time(NOON).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_not_told_before_a_click_that_may_have_been_on_it() {
        for (day, click, told) in [
            // Ten to midnight in Los Angeles; and the day's end in Berlin, Kolkata, Tokyo and Auckland.
            ("2026-11-30T22:59:59.999999Z", "2026-12-01T07:50:00Z", "2026-12-01T07:50:00Z"),
            ("2026-11-30T18:29:59.999999Z", "2026-12-01T07:50:00Z", "2026-12-01T07:50:00Z"),
            ("2026-11-30T14:59:59.999999Z", "2026-12-01T07:50:00Z", "2026-12-01T07:50:00Z"),
            ("2026-11-30T10:59:59.999999Z", "2026-12-01T07:50:00Z", "2026-12-01T07:50:00Z"),
            // It ended later.
            ("2026-12-01T07:59:59.999999Z", "2026-12-01T07:50:00Z", "2026-12-01T07:59:59.999999Z"),
            ("2026-12-01T09:59:59.999999Z", "2026-12-01T07:50:00Z", "2026-12-01T09:59:59.999999Z"),
            // It had ended everywhere.
            ("2026-11-30T22:59:59.999999Z", "2026-12-01T12:00:00Z", "2026-11-30T22:59:59.999999Z"),
            ("2026-12-01T09:59:59.999999Z", "2026-12-01T12:00:00Z", "2026-12-01T09:59:59.999999Z"),
            ("2026-12-01T11:59:59.999999Z", "2026-12-01T12:00:01Z", "2026-12-01T11:59:59.999999Z"),
            // A time is one.
            ("2026-11-30T22:59:59Z", "2026-12-01T07:50:00Z", "2026-11-30T22:59:59Z"),
            ("2026-11-30T22:58:00.999999Z", "2026-12-01T07:50:00Z", "2026-11-30T22:58:00.999999Z"),
        ] {
            assert_eq!(told_at(at(day), Some(at(click))), at(told), "{day} {click}");
        }
        assert_eq!(told_at(at("2026-11-30T22:59:59.999999Z"), None), at("2026-11-30T22:59:59.999999Z"));
    }
}
