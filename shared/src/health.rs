//! The state of deliveries, for people and for monitors.

mod events;
mod habits;
mod inbox;
mod last;
mod queue;
mod silences;
mod website;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::consent::UnknownConsent;
use crate::db::{DbError, Tx};
use crate::platforms::Destinations;

use queue::Deliveries;
use silences::Counted;

pub use events::{EventsHealth, of_events};
pub use inbox::Inbox;
pub use last::Last;
pub use queue::{Corrections, HealthReason, PlatformHealth, Queue};
pub use silences::Silence;
pub use website::{Deals, FormRefusals, Forms, LeadWarnings, PaidVisits, Website};

/// A bit more than two runs of the schedule: a row that has been due for longer was skipped.
const WAITS_TOO_LONG: TimeDelta = TimeDelta::minutes(45);

/// Of more rows that are finished, or wait for somebody else, this many are counted, so that health takes as long with
/// ten million as with a thousand.
const COUNTED: i64 = 100_000;

/// The whole answer of `GET /api/health/tracking`.
#[derive(Debug, Serialize)]
pub struct Health {
    /// The sum of it.
    pub status: Status,
    /// The queue, in numbers.
    pub queue: Queue,
    /// Corrections, in numbers.
    pub corrections: Corrections,
    /// The inbox, in numbers.
    pub inbox: Inbox,
    /// Every lane that is configured, has a state or has open rows.
    pub platforms: Vec<PlatformHealth>,
    /// What stopped arriving, or arrives in part, without an error anywhere.
    pub silences: Vec<Silence>,
    /// Forms, in numbers.
    pub forms: Forms,
    /// Visits that an ad was paid for, in numbers.
    pub paid_visits: PaidVisits,
    /// Deals of the last days, in numbers.
    pub deals: Deals,
    /// Every destination of the website's events.
    pub events: Vec<EventsHealth>,
    /// When something last happened.
    pub last: Last,
}

/// The sum of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing to do.
    Healthy,
    /// Needs attention: a row has been due for too long or keeps failing, became a dead letter in the last day or has
    /// no verdict, a lane is paused or undeclared, a CRM is unavailable, events of the last day were rejected, a
    /// destination of the website's events is in trouble, or something stopped arriving.
    Degraded,
    /// Nothing can be delivered: rows are due, and their platforms are paused.
    Critical,
}

/// The state of it, but for the destinations of the website's events.
pub async fn check(
    tx: &mut Tx,
    destinations: &Destinations,
    sources: &[String],
    unknown_consent: UnknownConsent,
    now: DateTime<Utc>,
) -> Result<Health, DbError> {
    let deliveries = Deliveries::read(tx, destinations, unknown_consent, now).await?;
    let (inbox, inbox_is_troubled) = Inbox::read(tx, now).await?;
    let stages: Vec<_> = destinations.stages.iter().cloned().collect();
    let counted = Counted::read(tx, sources, &stages, now).await?;
    let silences = counted.silences(now);
    let lanes = &deliveries.platforms;
    let is_paused = lanes.iter().any(PlatformHealth::is_paused);
    let status = if is_paused && deliveries.all_due_are_paused {
        Status::Critical
    } else if is_paused
        || lanes.iter().any(PlatformHealth::is_undeclared)
        || deliveries.is_troubled
        || inbox_is_troubled
        || !silences.is_empty()
        || deliveries.queue.oldest_due_seconds.is_some_and(|seconds| seconds > WAITS_TOO_LONG.num_seconds())
    {
        Status::Degraded
    } else {
        Status::Healthy
    };
    Ok(Health {
        status,
        queue: deliveries.queue,
        corrections: deliveries.corrections,
        inbox,
        platforms: deliveries.platforms,
        silences,
        forms: counted.website.forms,
        paid_visits: counted.website.paid_visits,
        deals: counted.website.deals,
        events: Vec::new(),
        last: Last::read(tx).await?,
    })
}

impl Health {
    /// With the destinations of the website's events.
    #[must_use]
    pub fn with(mut self, events: Vec<EventsHealth>) -> Self {
        if self.status == Status::Healthy && events.iter().any(EventsHealth::is_in_trouble) {
            self.status = Status::Degraded;
        }
        self.events = events;
        self
    }
}

/// What a query put together as JSON; nothing when there are no rows.
fn listed<T: DeserializeOwned>(rows: Option<serde_json::Value>) -> Vec<T> {
    rows.and_then(|rows| serde_json::from_value(rows).ok()).unwrap_or_default()
}
