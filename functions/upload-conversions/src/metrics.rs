//! What CloudWatch gets to know of a run, for pictures and alarms.

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::App;
use shared::db::DbError;
use shared::metrics::{Metric, Unit, line};
use shared::queue::{self, LaneState};

use crate::{Config, Summary};

/// The lines of a run that ended: one for the run, and one for each lane.
///
/// # Errors
/// When the database fails.
pub async fn of_run(app: &App<Config>, summary: &Summary) -> Result<Vec<Value>, DbError> {
    let now = app.clock.now();
    let lanes = app.db.tx(async |tx| queue::lanes(tx, now).await).await?;
    let function = ("Function", app.config.function.as_str());
    let mut written = vec![line(&[function], &of_summary(summary), now)];
    written.extend(lanes.iter().map(|lane| line(&[function, ("Lane", &lane.lane)], &of_lane(lane, now), now)));
    Ok(written)
}

fn of_summary(summary: &Summary) -> Vec<Metric> {
    [
        // Its absence is what the alarm for a schedule that stopped looks at.
        ("Runs", 1),
        ("Matched", summary.matched),
        ("Accepted", summary.accepted),
        ("Rejected", summary.rejected),
        ("Postponed", summary.postponed),
        ("LeaseLost", summary.lease_lost),
        ("Expired", summary.expired),
        ("PausedLanes", summary.paused.len() as u64),
    ]
    .map(|(name, count)| (name, Unit::Count, i64::try_from(count).unwrap_or(i64::MAX)))
    .into()
}

fn of_lane(lane: &LaneState, now: DateTime<Utc>) -> Vec<Metric> {
    let oldest_due = lane.due_since.map_or(0, |since| (now - since).num_seconds());
    vec![
        ("Open", Unit::Count, lane.open),
        ("OldestDue", Unit::Seconds, oldest_due),
        ("Paused", Unit::Count, lane.paused.is_some().into()),
    ]
}
