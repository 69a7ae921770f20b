//! The website's events that weren't sent after their response.

use chrono::{DateTime, TimeDelta, Utc};
use shared::App;
use shared::db::DbError;
use shared::event_delivery::EventSummary;

use crate::{Allowances, Config, allowance};

/// The time of a run that ends then which belongs to events: a fifth, if there are any destinations for them.
pub fn share(app: &App<Config>, end: DateTime<Utc>) -> TimeDelta {
    if app.config.events.lanes.is_empty() { TimeDelta::zero() } else { (end - app.clock.now()) / 5 }
}

/// Sends what is due, and asks for the verdicts on what was sent. An error in one lane doesn't stop the others.
pub async fn send<'a>(
    app: &'a App<Config>,
    allowances: &mut Allowances<'a>,
    end: DateTime<Utc>,
    summary: &mut EventSummary,
) -> Result<(), DbError> {
    let delivery = &app.config.events;
    delivery.tidy(&app.db, &app.clock, summary).await?;
    let work = delivery.work(&app.db, &app.clock).await?;
    let mut left = i32::try_from(work.len()).unwrap_or(i32::MAX);
    let mut done = Ok(());
    for lane in &delivery.lanes {
        let route = lane.route();
        let Some(work) = work.get(&route.destination) else { continue };
        let now = app.clock.now();
        let lane_end = now + (end - now) / left.max(1);
        left -= 1;
        let quota = (route.transport, route.quota.as_str());
        let worked = async {
            let allowance = allowance(app, allowances, quota, lane.limits(), end).await?;
            delivery.drain((&app.db, &app.clock), lane.as_ref(), work, (allowance, lane_end), summary).await
        };
        done = done.and(worked.await);
    }
    done
}
