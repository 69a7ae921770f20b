//! Does the uploader run?

use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::Clock;
use shared::db::Db;
use shared::queue;

use super::report::{Report, sentence};

const NAME: &str = "schedule";
const FIX: &str = "Look whether the schedule is enabled and the log of UploadConversions has errors, or run it once as \
     docs/deploy.md says.";

/// By what the last run wrote.
pub(super) async fn check(db: &Db, period: TimeDelta, report: &mut Report) {
    match db.tx(async |tx| queue::runs::last(tx).await).await {
        Ok(last) => judge(last, Clock::system().now(), period, report),
        Err(error) => report.not_checked(NAME, sentence(&error.to_string())),
    }
}

fn judge(last: Option<DateTime<Utc>>, now: DateTime<Utc>, period: TimeDelta, report: &mut Report) {
    let Some(last) = last else { return report.warn(NAME, "The uploader has never run.", FIX) };
    let ago = now - last;
    if ago > period * 3 {
        let (ago, period) = (ago.num_minutes(), period.num_minutes());
        let problem = format!("The uploader last ran {ago} minutes ago, though it should every {period} minutes.");
        report.warn(NAME, problem, FIX);
    } else {
        report.right(NAME, format!("the uploader ran {} minutes ago", ago.num_minutes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Level;

    #[test]
    fn three_periods_may_pass() {
        let now: DateTime<Utc> = "2026-11-21T10:00:00Z".parse().unwrap();
        let quarter = TimeDelta::minutes(15);
        for (minutes, period, warnings) in [
            (Some(0), quarter, 0),
            (Some(45), quarter, 0),
            (Some(46), quarter, 1),
            (Some(46), quarter * 4, 0),
            (None, quarter, 1),
        ] {
            let mut report = Report::default();
            judge(minutes.map(|minutes| now - TimeDelta::minutes(minutes)), now, period, &mut report);
            assert_eq!(report.count(Level::Warning), warnings, "{minutes:?} {period}");
        }
    }
}
