//! How many requests a run may still make, and until when.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::clock::Clock;

/// How many requests an API takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub per_minute: usize,
    pub per_day: usize,
}

/// What is left of an API's limits, and of the run. All lanes of one quota take from the same one.
pub struct Allowance {
    clock: Clock,
    /// Nothing is begun after it.
    end: DateTime<Utc>,
    limits: Option<Limits>,
    spent: Mutex<Spent>,
}

struct Spent {
    /// When the requests of the last minute were made, oldest first.
    last_minute: VecDeque<DateTime<Utc>>,
    last_day: usize,
}

impl Allowance {
    /// Of a run that ends then, after so many requests in the last minute and day by whomever.
    #[must_use]
    pub fn new(
        clock: Clock,
        end: DateTime<Utc>,
        limits: Option<Limits>,
        (last_minute, last_day): (usize, usize),
    ) -> Self {
        // When exactly isn't known: as if it had been now, which is on the safe side.
        let last_minute = std::iter::repeat_n(clock.now(), last_minute).collect();
        Self { clock, end, limits, spent: Mutex::new(Spent { last_minute, last_day }) }
    }

    /// Nothing is begun after it.
    #[must_use]
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// Waits until one more request may be made. False when none may in this run.
    pub async fn take(&self) -> bool {
        let minute = TimeDelta::minutes(1);
        let mut spent = self.spent.lock().await;
        loop {
            let now = self.clock.now();
            if now >= self.end {
                return false;
            }
            let Some(limits) = self.limits else { return true };
            if spent.last_day >= limits.per_day {
                return false;
            }
            while spent.last_minute.front().is_some_and(|at| *at + minute <= now) {
                spent.last_minute.pop_front();
            }
            if spent.last_minute.len() < limits.per_minute {
                spent.last_minute.push_back(now);
                spent.last_day += 1;
                return true;
            }
            let free_at = spent.last_minute.front().map_or(now, |at| *at + minute);
            if free_at >= self.end {
                return false;
            }
            self.clock.sleep(free_at - now).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Option<Limits> = Some(Limits { per_minute: 3, per_day: 7 });

    fn allowance(clock: &Clock, limits: Option<Limits>, minutes: i64, spent: (usize, usize)) -> Allowance {
        Allowance::new(clock.clone(), clock.now() + TimeDelta::minutes(minutes), limits, spent)
    }

    #[tokio::test]
    async fn no_minute_has_more_requests_than_allowed() {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let allowance = allowance(&clock, LIMITS, 9, (1, 1));
        let mut minutes = Vec::new();
        while allowance.take().await {
            minutes.push((clock.now() - DateTime::UNIX_EPOCH).num_minutes());
        }
        assert_eq!(minutes, [0, 0, 1, 1, 1, 2], "the seventh of the day was made before");
    }

    #[tokio::test]
    async fn nothing_is_begun_after_the_end() {
        let clock = Clock::fixed(DateTime::UNIX_EPOCH);
        let short = allowance(&clock, LIMITS, 1, (0, 0));
        for expected in [true, true, true, false] {
            assert_eq!(short.take().await, expected);
        }
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH, "nor waited for in vain");
        let unlimited = allowance(&clock, None, 1, (0, 0));
        assert!(unlimited.take().await);
        clock.advance(TimeDelta::minutes(1));
        assert!(!unlimited.take().await);
    }
}
