//! A run's or a response's work in one lane: claim, send, settle, pause, and ask for verdicts.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, timeout_at};

use super::{AFTER_RESPONSE, EventDelivery, EventSummary};
use crate::analytics::{self, EventLane, EventOutcome, EventToSend, EventVerdict};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::event_queue::receipts::{self, Receipt};
use crate::event_queue::{self, Claim, Claiming, Work};
use crate::platforms::{Allowance, Limits, Reason};

/// The most events of one request, or of a few, that are sent after a response.
pub(super) const TOGETHER: usize = 100;
/// The same where each event may be a request of its own, so that few are in doubt if Google doesn't answer.
const ONE_BY_ONE: usize = 10;
/// The shortest pause. Each further failure makes it as long as the lane was paused so far.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// The longest pause while requests certainly don't arrive.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);
/// The longest one while they may arrive: an event may be lost with each try.
const LONGEST_PAUSE_IN_DOUBT: TimeDelta = TimeDelta::hours(1);
/// How many verdicts are asked for between two looks at the clock.
const VERDICTS: usize = 10;

/// How much is sent.
#[derive(Clone, Copy)]
pub(super) enum Extent<'a> {
    /// All that is due, until the allowance ends.
    All { allowance: &'a Allowance, end: DateTime<Utc> },
    /// One claim, within the time after a response.
    Soon { until: Instant },
}

/// What is left after a response of the limits of an API: a quarter of a day's requests, evenly, because verdicts and
/// conversions need the rest. Above it events are sent together.
fn spared(limits: Limits) -> usize {
    (limits.per_day / (24 * 60)).min(limits.per_minute) / 4
}

/// Work in one lane.
pub(super) struct Run<'a> {
    pub(super) delivery: &'a EventDelivery,
    pub(super) db: &'a Db,
    pub(super) clock: &'a Clock,
    pub(super) lane: &'a dyn EventLane,
}

impl Run<'_> {
    fn name(&self) -> &str {
        &self.lane.route().destination
    }

    /// Sends what is due. If the lane is paused, one event is sent as a probe when it is time.
    pub(super) async fn send(
        &self,
        work: &Work,
        extent: Extent<'_>,
        summary: &mut EventSummary,
    ) -> Result<(), DbError> {
        let Self { clock, lane, .. } = self;
        let name = self.name();
        if work.next_probe_at.is_some_and(|at| at > clock.now()) {
            summary.note_pause(name);
            return Ok(());
        }
        let soon;
        let (allowance, end) = match extent {
            Extent::All { allowance, end } => (allowance, end),
            Extent::Soon { .. } => {
                let Some(allowance) = self.allowance_after_response().await? else { return Ok(()) };
                soon = allowance;
                (&soon, soon.end())
            }
        };
        // Before anything is claimed: a claim that isn't sent is in doubt.
        match self.in_time(extent, lane.ready()).await {
            Some(Ok(())) => {}
            Some(Err(outcome)) if matches!(extent, Extent::All { .. }) => {
                return self.pause_for(&[outcome], work, summary).await;
            }
            // The schedule may have a role that Google trusts, and more time.
            _ => return Ok(()),
        }
        let mut probing = work.paused_at.is_some();
        if probing && !self.takes_probe().await? {
            summary.note_pause(name);
            return Ok(());
        }
        while clock.now() < end {
            let limit = match (probing, extent) {
                (true, _) => 1,
                (false, Extent::All { .. }) => lane.claim_size(work.due),
                (false, Extent::Soon { .. }) => {
                    lane.claim_size(work.due).min(if lane.can_verify() { TOGETHER } else { ONE_BY_ONE })
                }
            };
            let claim = self.claim(limit).await?;
            if claim.is_empty() {
                break;
            }
            let outcomes = match self.in_time(extent, lane.send(&claim.events, allowance)).await {
                Some((outcomes, _)) => outcomes,
                None => claim.events.iter().map(cut_off).collect(),
            };
            self.settle(&claim, &outcomes, probing, summary).await?;
            if !outcomes.iter().any(is_taken) && outcomes.iter().any(is_trouble) {
                return self.pause_for(&outcomes, work, summary).await;
            }
            probing = probing && !outcomes.iter().any(is_taken);
            if matches!(extent, Extent::Soon { .. }) || outcomes.contains(&EventOutcome::Unsent) {
                break;
            }
        }
        Ok(())
    }

    /// What a response's sandbox may send now; none if the limits are needed for others.
    async fn allowance_after_response(&self) -> Result<Option<Allowance>, DbError> {
        let now = self.clock.now();
        let end = now + TimeDelta::from_std(AFTER_RESPONSE).unwrap_or_default();
        let Some(limits) = self.lane.limits() else {
            return Ok(Some(Allowance::new(self.clock.clone(), end, None, (0, 0))));
        };
        let (lanes, minute_ago) = ([self.name().to_owned()], now - TimeDelta::minutes(1));
        let spent = self.db.tx(async |tx| event_queue::requests(tx, &lanes, minute_ago).await).await?;
        let limits = Limits { per_minute: spared(limits), per_day: limits.per_day };
        let is_left = spent < limits.per_minute;
        Ok(is_left.then(|| Allowance::new(self.clock.clone(), end, Some(limits), (spent, 0))))
    }

    /// What this comes to, unless the time after a response is over first.
    async fn in_time<T>(&self, extent: Extent<'_>, work: impl Future<Output = T>) -> Option<T> {
        match extent {
            Extent::All { .. } => Some(work.await),
            Extent::Soon { until } => timeout_at(until, work).await.ok(),
        }
    }

    async fn takes_probe(&self) -> Result<bool, DbError> {
        let now = self.clock.now();
        self.db.tx(async |tx| event_queue::take_probe(tx, self.name(), now + FIRST_PAUSE, now).await).await
    }

    async fn claim(&self, limit: usize) -> Result<Claim, DbError> {
        let (name, now) = (self.name(), self.clock.now());
        let destination = self.delivery.destinations.get(name);
        let of = Claiming {
            lane: name,
            stream: destination.map_or("", |it| it.measurement_id.as_str()),
            since: now - self.lane.oldest(),
            unknown_consent: self.delivery.unknown_consent,
            limit,
        };
        self.db.tx(async |tx| event_queue::claim(tx, of, now).await).await
    }

    /// Writes the outcomes, and ends a pause if there is a good one.
    async fn settle(
        &self,
        claim: &Claim,
        outcomes: &[EventOutcome],
        probing: bool,
        summary: &mut EventSummary,
    ) -> Result<(), DbError> {
        let (name, now) = (self.name(), self.clock.now());
        let is_taken = outcomes.iter().any(is_taken);
        self.db
            .tx(async |tx| -> Result<_, DbError> {
                event_queue::settle(tx, claim, outcomes, now).await?;
                if is_taken {
                    event_queue::accepted(tx, name, now).await?;
                }
                if is_taken && probing {
                    event_queue::wake(tx, name, now).await?;
                }
                Ok(())
            })
            .await?;
        summary.count(outcomes);
        Ok(())
    }

    /// Pauses the lane because of the first of these outcomes that isn't the event's own fault.
    async fn pause_for(
        &self,
        outcomes: &[EventOutcome],
        work: &Work,
        summary: &mut EventSummary,
    ) -> Result<(), DbError> {
        let Some(trouble) = outcomes.iter().find(|outcome| is_trouble(outcome)) else { return Ok(()) };
        let Some(reason) = trouble.reason() else { return Ok(()) };
        let now = self.clock.now();
        let so_far = work.paused_at.map_or(FIRST_PAUSE, |since| now - since);
        let (longest, wait) = match trouble {
            EventOutcome::Unavailable(_, wait) => (LONGEST_PAUSE, wait.unwrap_or_default()),
            EventOutcome::Paused(_) => (LONGEST_PAUSE, LONGEST_PAUSE),
            _ => (LONGEST_PAUSE_IN_DOUBT, TimeDelta::zero()),
        };
        let next_probe_at = now + so_far.clamp(FIRST_PAUSE, longest).max(wait);
        self.db.tx(async |tx| event_queue::pause(tx, self.name(), reason, next_probe_at, now).await).await?;
        summary.note_pause(self.name());
        Ok(())
    }

    /// Asks for the verdicts on what was accepted earlier.
    pub(super) async fn confirm(
        &self,
        allowance: &Allowance,
        end: DateTime<Utc>,
        summary: &mut EventSummary,
    ) -> Result<(), DbError> {
        let Self { db, clock, lane, .. } = self;
        if !lane.can_verify() {
            return Ok(());
        }
        while clock.now() < end {
            let due = db.tx(async |tx| receipts::unconfirmed(tx, self.name(), VERDICTS, clock.now()).await).await?;
            let mut answers: Vec<(Receipt, _)> = Vec::new();
            for receipt in due {
                let Some((verdicts, _)) = lane.verdict(&receipt.request_id, receipt.events(), allowance).await else {
                    break;
                };
                let is_answered = verdicts.iter().any(|it| !matches!(it, EventVerdict::Unanswered(_)));
                answers.push((receipt, verdicts));
                // One failed question is enough.
                if !is_answered {
                    break;
                }
            }
            if answers.is_empty() {
                break;
            }
            db.tx(async |tx| receipts::conclude(tx, &answers, clock.now()).await).await?;
            summary.verdicts += answers.len() as u64;
            let unanswered = |it: &EventVerdict| matches!(it, EventVerdict::Unanswered(_));
            if answers.iter().any(|(_, verdicts)| verdicts.iter().all(unanswered)) {
                break;
            }
        }
        Ok(())
    }
}

fn unanswered() -> Reason {
    Reason::new("no_answer", "Google didn't answer within the time there is after a response.")
}

/// The outcome of an event that was being sent when the time was over.
fn cut_off(event: &EventToSend) -> EventOutcome {
    if analytics::is_recognised_again(event) {
        EventOutcome::Unavailable(unanswered(), None)
    } else {
        EventOutcome::Unverifiable(unanswered())
    }
}

/// Did Google take it?
fn is_taken(outcome: &EventOutcome) -> bool {
    matches!(outcome, EventOutcome::Accepted { .. } | EventOutcome::Recorded)
}

/// Is it a reason to send nothing more for now?
fn is_trouble(outcome: &EventOutcome) -> bool {
    use EventOutcome::{Paused, Unavailable, Unverifiable};
    matches!(outcome, Unavailable(..) | Paused(_) | Unverifiable(_))
}
