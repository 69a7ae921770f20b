//! Is this machine's clock right? Signatures and Google's tokens depend on it.

use chrono::{DateTime, TimeDelta, Utc};

use super::report::Report;

/// Webhooks signed here would be refused when it is five minutes, tokens when it is a few more.
const TOLERATED: TimeDelta = TimeDelta::seconds(30);

/// Compares it with that of another system.
pub(super) fn compare(name: &str, whose: &str, here: DateTime<Utc>, there: DateTime<Utc>, report: &mut Report) {
    let skew = here - there;
    if skew.abs() <= TOLERATED {
        return report.right(name, "agrees with this machine's");
    }
    let direction = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
    let seconds = skew.abs().num_seconds();
    let problem = format!("This machine's clock is {seconds} seconds {direction} that of {whose}.");
    report.warn(name, problem, "Let this machine set its clock by NTP, then run adtrail doctor again.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Level;

    #[test]
    fn a_clock_may_differ_by_half_a_minute() {
        let here: DateTime<Utc> = "2026-11-21T10:00:00Z".parse().unwrap();
        for (seconds, warnings, said) in
            [(0, 0, ""), (30, 0, ""), (-30, 0, ""), (31, 1, "ahead of"), (-90, 1, "behind")]
        {
            let mut report = Report::default();
            compare("clock.test", "the test", here, here - TimeDelta::seconds(seconds), &mut report);
            assert_eq!(report.count(Level::Warning), warnings, "{seconds}");
            assert!(report.text().contains(said), "{}", report.text());
        }
    }
}
