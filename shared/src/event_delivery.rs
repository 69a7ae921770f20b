//! Sends events from their queue to analytics: on every run of the schedule, and right after the response that stored
//! one. Connects the queue (SQL) with the lanes (HTTP); no transaction is open during a request.

mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::Instant;

use crate::analytics::{self, EventDestinations, EventLane, EventLanes, EventOutcome};
use crate::clock::Clock;
use crate::config;
use crate::consent::UnknownConsent;
use crate::db::{Db, DbError};
use crate::event_queue::{self, Work};
use crate::platforms::Allowance;
use crate::settings::{FromSettings, Settings};
use run::{Extent, Run, TOGETHER};

/// How long a response's sandbox may be kept to send what it stored. Its time is billed, and it takes no request
/// meanwhile.
const AFTER_RESPONSE: Duration = Duration::from_secs(3);
/// Due rows are counted up to this.
const MANY: usize = 10_000;

/// The destinations of events with their lanes, and what decides whether they are sent.
pub struct EventDelivery {
    pub destinations: EventDestinations,
    pub lanes: EventLanes,
    pub unknown_consent: UnknownConsent,
}

impl FromSettings for EventDelivery {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        let (destinations, lanes) = analytics::connect(settings, clock);
        Self { destinations, lanes, unknown_consent: config::unknown_consent(settings) }
    }
}

/// What was done with events.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventSummary {
    pub claimed: u64,
    /// Taken by Google.
    pub sent: u64,
    /// To be sent later.
    pub postponed: u64,
    pub rejected: u64,
    /// They may have arrived; they aren't sent again.
    pub unverifiable: u64,
    /// Too old to be sent.
    pub expired: u64,
    /// Verdicts asked for.
    pub verdicts: u64,
    /// Lanes that are paused.
    pub paused: Vec<String>,
}

impl EventDelivery {
    fn names(&self) -> Vec<String> {
        self.lanes.iter().map(|lane| lane.route().destination.clone()).collect()
    }

    /// Settles what a killed function left, expires what is too old, and removes what was settled long ago.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tidy(&self, db: &Db, clock: &Clock, summary: &mut EventSummary) -> Result<(), DbError> {
        let now = clock.now();
        let (unverifiable, expired) = db
            .tx(async |tx| -> Result<_, DbError> {
                let unverifiable = event_queue::recover(tx, now).await?;
                let mut expired = event_queue::tidy(tx, now).await?;
                for lane in &self.lanes {
                    expired += event_queue::expire(tx, &lane.route().destination, now - lane.oldest(), now).await?;
                }
                Ok((unverifiable, expired))
            })
            .await?;
        summary.unverifiable += unverifiable;
        summary.expired += expired;
        Ok(())
    }

    /// The work of each lane that has some.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn work(&self, db: &Db, clock: &Clock) -> Result<BTreeMap<String, Work>, DbError> {
        let names = self.names();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let work = db.tx(async |tx| event_queue::work(tx, &names, MANY, clock.now()).await).await?;
        let some = work.into_iter().filter(|work| work.due > 0 || work.has_receipts);
        Ok(some.map(|work| (work.lane.clone(), work)).collect())
    }

    /// Sends what is due in a lane and asks for verdicts, until `end`.
    ///
    /// # Errors
    /// Those of the database. Claimed rows are safe: their leases expire.
    pub async fn drain(
        &self,
        (db, clock): (&Db, &Clock),
        lane: &dyn EventLane,
        work: &Work,
        (allowance, end): (&Allowance, DateTime<Utc>),
        summary: &mut EventSummary,
    ) -> Result<(), DbError> {
        let run = Run { delivery: self, db, clock, lane };
        let sent = if work.due > 0 { run.send(work, Extent::All { allowance, end }, summary).await } else { Ok(()) };
        run.confirm(allowance, end, summary).await.and(sent)
    }

    /// Sends what was just stored, within a few seconds. What isn't sent now is sent by the schedule.
    pub async fn after_response(&self, db: &Db, clock: &Clock) {
        let mut summary = EventSummary::default();
        if let Err(error) = self.send_soon(db, clock, &mut summary).await {
            tracing::warn!(%error, "events wait for the schedule");
        }
        tracing::info!(events = %serde_json::to_string(&summary).unwrap_or_default(), "sent after the response");
    }

    async fn send_soon(&self, db: &Db, clock: &Clock, summary: &mut EventSummary) -> Result<(), DbError> {
        let (names, until) = (self.names(), Instant::now() + AFTER_RESPONSE);
        let work = db.tx(async |tx| event_queue::work(tx, &names, TOGETHER, clock.now()).await).await?;
        for lane in &self.lanes {
            let work = work.iter().find(|work| work.due > 0 && work.lane == lane.route().destination);
            let Some(work) = work else { continue };
            Run { delivery: self, db, clock, lane: lane.as_ref() }.send(work, Extent::Soon { until }, summary).await?;
        }
        Ok(())
    }
}

impl EventSummary {
    fn note_pause(&mut self, lane: &str) {
        if !self.paused.iter().any(|paused| paused == lane) {
            self.paused.push(lane.to_owned());
        }
    }

    fn count(&mut self, outcomes: &[EventOutcome]) {
        self.claimed += outcomes.len() as u64;
        for outcome in outcomes {
            *match outcome {
                EventOutcome::Accepted { .. } | EventOutcome::Recorded => &mut self.sent,
                EventOutcome::Rejected(_) => &mut self.rejected,
                EventOutcome::Unverifiable(_) => &mut self.unverifiable,
                EventOutcome::Unavailable(..) | EventOutcome::Paused(_) | EventOutcome::Unsent => &mut self.postponed,
            } += 1;
        }
    }
}
