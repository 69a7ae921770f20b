//! The limit of Data Manager API calls per minute.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// The calls of the last minute, and how many of them may pass.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    /// No limit with `None`.
    pub limit: Option<u32>,
    arrived: LastMinute,
    admitted: LastMinute,
}

impl Quota {
    /// Notes a call. Returns how many arrived within a minute, this one included.
    pub(crate) fn note(&mut self, now: DateTime<Utc>) -> usize {
        self.arrived.add(now);
        self.arrived.count(now)
    }

    /// Whether a call at `now` is within the limit. One that isn't doesn't count.
    pub(crate) fn admit(&mut self, now: DateTime<Utc>) -> bool {
        let Some(limit) = self.limit else { return true };
        let is_free = self.admitted.count(now) < limit as usize;
        if is_free {
            self.admitted.add(now);
        }
        is_free
    }
}

/// Points in time, forgotten after a minute.
#[derive(Debug, Default)]
struct LastMinute(VecDeque<DateTime<Utc>>);

impl LastMinute {
    fn add(&mut self, now: DateTime<Utc>) {
        self.0.push_back(now);
    }

    fn count(&mut self, now: DateTime<Utc>) -> usize {
        while self.0.front().is_some_and(|&first| first <= now - TimeDelta::minutes(1)) {
            self.0.pop_front();
        }
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_takes_as_many_calls_as_the_limit_says() {
        let start: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().expect("a time");
        let mut quota = Quota { limit: Some(2), ..Quota::default() };
        let mut admitted = |second| quota.admit(start + TimeDelta::seconds(second));
        assert_eq!([0, 59, 59, 60, 61, 119].map(&mut admitted), [true, true, false, true, false, true]);

        let mut noted = |second| quota.note(start + TimeDelta::seconds(second));
        assert_eq!([0, 30, 59, 60, 200].map(&mut noted), [1, 2, 3, 3, 1]);
    }
}
