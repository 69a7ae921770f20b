//! The state of the destinations of the website's events.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::WAITS_TOO_LONG;
use crate::analytics::{EventDestinations, Transport};
use crate::db::{DbError, Tx};
use crate::event_queue::health;

/// What to do about events that wait for a destination which isn't declared.
const UNDECLARED: &str =
    "No destination of this name is declared, so its events wait until they expire: declare it again.";

/// The state of one destination. The counts are those of the last day, but for what is pending.
#[derive(Debug, Serialize)]
pub struct EventsHealth {
    pub destination: String,
    /// `active`, `paused`, or `undeclared`: events wait for it, and no destination of this name is declared.
    pub state: &'static str,
    /// Why it is paused or what to do; else the most frequent reason of what wasn't counted.
    pub reason: Option<String>,
    /// `verdicts`: Google says what it counted. `unverifiable`: it says nothing, whatever it is sent.
    pub verification: &'static str,
    /// Not sent yet.
    pub pending: i64,
    /// How long ago the longest waiting of them happened.
    pub oldest_pending_seconds: Option<i64>,
    /// Taken by Google.
    pub sent: i64,
    pub rejected: i64,
    /// They may have arrived; they aren't sent again.
    pub unverifiable: i64,
    /// They waited until they were too old.
    pub expired: i64,
}

impl EventsHealth {
    /// Does it need attention?
    pub(super) fn is_in_trouble(&self) -> bool {
        let waits = self.oldest_pending_seconds.is_some_and(|seconds| seconds > WAITS_TOO_LONG.num_seconds());
        self.state != "active" || waits || self.rejected > 0 || self.expired > 0
    }
}

/// The state of these destinations, and of others that events wait for. Without any it costs nothing.
pub async fn of_events(
    tx: &mut Tx,
    destinations: &EventDestinations,
    now: DateTime<Utc>,
) -> Result<Vec<EventsHealth>, DbError> {
    if destinations.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = destinations.iter().map(|it| it.name.clone()).collect();
    let states = health::states(tx, &names, now).await?.into_iter().map(|it| {
        let declared = destinations.get(&it.destination);
        let (state, reason) = match (declared, it.paused) {
            (None, _) => ("undeclared", Some(UNDECLARED.into())),
            (_, Some(paused)) => ("paused", Some(paused)),
            _ => ("active", it.reason),
        };
        let is_silent = declared.is_some_and(|it| it.transport() == Transport::MeasurementProtocol);
        EventsHealth {
            destination: it.destination,
            state,
            reason,
            verification: if is_silent { "unverifiable" } else { "verdicts" },
            pending: it.pending,
            oldest_pending_seconds: it.oldest_at.map(|at| (now - at).num_seconds()),
            sent: it.sent,
            rejected: it.rejected,
            unverifiable: it.unverifiable,
            expired: it.expired,
        }
    });
    Ok(states.collect())
}
