//! Applies the events of a body to their deals, with one statement for all deals. If a deal has several events, they
//! are applied in their order, in further rounds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Config, EventOutcome, Processed};
use crate::conversions::{self, Recorded, Restated, Retracted};
use crate::crm::{Meaning, Reading, Report};
use crate::db::{DbError, Tx};
use crate::deals::{Deal, Loss};
use crate::http::Warning;
use crate::inbox::{self, Received, losses, times};

/// An event of a body.
pub(super) struct Event {
    pub reading: Reading,
    /// Is it a loss that was processed before?
    pub is_known: bool,
}

/// Applies the events of a body that arrived at `arrived_at`, and returns the outcome of each. The result is the same
/// as if each came in a body of its own. The caller holds the locks, and renews the status of the leads.
pub(super) async fn process(
    tx: &mut Tx,
    config: &Config,
    events: Vec<Event>,
    arrived_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<Processed>, DbError> {
    let rounds = rounds(&events);
    losses::hold_back_matches(tx, &to_hold_back(&rounds)).await?;
    let mut applied = BTreeMap::new();
    for round in &rounds {
        applied.extend(round.apply(tx, config, arrived_at, now).await?);
    }
    let processed = events.into_iter().enumerate().map(|(position, Event { mut reading, .. })| {
        let applied = applied.remove(&position).unwrap_or_else(|| Applied::nothing(&reading.meaning));
        reading.warnings.extend(applied.warning);
        Processed {
            outcome: applied.outcome,
            warnings: reading.warnings,
            rule: reading.rule,
            crm_deal_id: reading.crm_deal_id,
            inbox_id: applied.inbox_id,
            concerns_lead: applied.concerns_lead,
        }
    });
    Ok(processed.collect())
}

/// Events of as many deals, each with its position in the body.
#[derive(Default)]
struct Round<'a> {
    stages: Vec<(usize, &'a Deal)>,
    losses: Vec<(usize, &'a Loss)>,
    /// The deals whose loss was processed before.
    known: Vec<&'a str>,
}

/// The first event of every deal, then the second of those that have one, and so on: events of different deals don't
/// depend on each other.
fn rounds(events: &[Event]) -> Vec<Round<'_>> {
    let mut rounds: Vec<Round<'_>> = Vec::new();
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, event) in events.iter().enumerate() {
        let Meaning::Report(report) = &event.reading.meaning else { continue };
        let crm_deal_id = report.crm_deal_id();
        let nth = next.entry(crm_deal_id).or_default();
        if *nth == rounds.len() {
            rounds.push(Round::default());
        }
        let round = &mut rounds[*nth];
        match report {
            Report::Reached(deal) => round.stages.push((position, deal)),
            Report::Lost(loss) => {
                round.losses.push((position, loss));
                round.known.extend(event.is_known.then_some(crm_deal_id));
            }
        }
        *nth += 1;
    }
    rounds
}

/// The deals that no other transaction may match meanwhile: those that are lost; and those with a stage in a later
/// round, because a transaction that matches their other stage waits for rows that the first round wrote.
fn to_hold_back<'a>(rounds: &[Round<'a>]) -> Vec<&'a str> {
    let lost = rounds.iter().flat_map(Round::lost);
    let again = rounds.iter().skip(1).flat_map(|round| round.stages.iter().map(|(_, deal)| deal.crm_deal_id.as_str()));
    lost.chain(again).collect()
}

/// What an event changed.
struct Applied {
    outcome: EventOutcome,
    inbox_id: Option<Uuid>,
    warning: Option<Warning>,
    /// May the status of the deal's lead be another one now?
    concerns_lead: bool,
}

impl Applied {
    /// An event that isn't a report on a deal.
    fn nothing(meaning: &Meaning) -> Self {
        let outcome = match meaning {
            Meaning::Ignored(reason) => EventOutcome::Ignored { reason: reason.clone() },
            Meaning::Unusable(errors) => EventOutcome::Rejected { errors: errors.clone() },
            Meaning::Fetch | Meaning::Report(_) => EventOutcome::Received,
        };
        Self { outcome, inbox_id: None, warning: None, concerns_lead: false }
    }

    /// A report on a deal that is a conversion.
    fn corrected(received: &Received, id: Uuid, restated: Option<&Restated>, retracted: Option<&Retracted>) -> Self {
        let restated = restated.filter(|it| it.value_changed || !it.was_retracted);
        let outcome = match (restated, retracted) {
            (None, _) => EventOutcome::Duplicate { conversion_id: Some(id) },
            (Some(restated), None) => {
                EventOutcome::Restated { conversion_id: id, platforms: restated.platforms.clone() }
            }
            (Some(_), Some(retracted)) => retraction(retracted),
        };
        // Its new time may be before the loss, or after it.
        let concerns_lead = restated.is_some_and(|it| it.time_changed);
        Self { outcome, inbox_id: Some(received.inbox_id), warning: None, concerns_lead }
    }

    /// A report on a deal that waits for its lead.
    fn matched(received: &Received, recorded: Option<&Recorded>) -> Self {
        let outcome = recorded.map_or(EventOutcome::AwaitingLead, |it| match it.skip_reason {
            Some(reason) => EventOutcome::Skipped { conversion_id: it.conversion_id, reason },
            None => EventOutcome::Queued { conversion_id: it.conversion_id, platforms: it.platforms.clone() },
        });
        Self { outcome, inbox_id: Some(received.inbox_id), warning: None, concerns_lead: recorded.is_some() }
    }

    /// A loss.
    fn lost(retracted: Option<&Retracted>) -> Self {
        let outcome = retracted.map_or(EventOutcome::NothingToRetract, retraction);
        Self { outcome, inbox_id: None, warning: None, concerns_lead: true }
    }
}

fn retraction(retracted: &Retracted) -> EventOutcome {
    EventOutcome::Retracted { conversion_id: retracted.conversion_id, platforms: retracted.platforms.clone() }
}

impl<'a> Round<'a> {
    fn lost(&self) -> impl Iterator<Item = &'a str> {
        self.losses.iter().map(|(_, loss)| loss.crm_deal_id.as_str())
    }

    async fn apply(
        &self,
        tx: &mut Tx,
        config: &Config,
        arrived_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(usize, Applied)>, DbError> {
        let lost: Vec<_> = self.lost().collect();
        losses::keep(tx, &self.losses.iter().map(|(_, loss)| *loss).collect::<Vec<_>>(), &self.known, now).await?;
        let deals: Vec<_> = self.stages.iter().map(|(_, deal)| *deal).collect();
        let received = inbox::receive(tx, &deals, arrived_at, now).await?;

        let new: Vec<_> = deals.iter().zip(&received).filter(|(_, it)| it.is_new).map(|(deal, _)| *deal).collect();
        inbox::consent::state(tx, &new, arrived_at).await?;

        let is_changed = |it: &&Received| it.is_new && it.conversion_id.is_some();
        let changed: Vec<_> = received.iter().filter(is_changed).map(|it| it.inbox_id).collect();
        let mut reopened = conversions::reopen(tx, &config.destinations.stages, &changed).await?;
        reopened.extend(conversions::release_told_by_click(tx, &changed).await?);
        // Reports with a time after the loss count now.
        let mut to_restate = times::settle(tx, &lost).await?;
        to_restate.extend(changed.into_iter().filter(|id| !reopened.contains(id)));
        let restated = conversions::restate(tx, &config.destinations, &to_restate, now).await?;

        let restated_of = |received: &Received| restated.iter().find(|it| it.inbox_id == received.inbox_id);
        let moved = deals.iter().zip(&received).filter(|(_, it)| restated_of(it).is_some_and(|it| it.time_changed));
        // Its new time may be before the loss.
        let to_retract: Vec<_> = lost.into_iter().chain(moved.map(|(deal, _)| deal.crm_deal_id.as_str())).collect();
        let retracted = conversions::retract(tx, &config.destinations, &to_retract, now).await?;
        let retracted_of = |crm_deal_id: &str| retracted.iter().find(|it| it.crm_deal_id == crm_deal_id);

        let is_waiting = |it: &&Received| it.conversion_id.is_none() || reopened.contains(&it.inbox_id);
        let waiting: Vec<_> = received.iter().filter(is_waiting).map(|it| it.inbox_id).collect();
        let recorded = conversions::record(tx, &config.destinations, config.match_by, &waiting, now).await?;

        let stages = self.stages.iter().zip(&received).map(|((position, deal), received)| {
            let applied = match received.conversion_id {
                Some(id) if !reopened.contains(&received.inbox_id) => {
                    Applied::corrected(received, id, restated_of(received), retracted_of(&deal.crm_deal_id))
                }
                _ => Applied::matched(received, recorded.iter().find(|it| it.inbox_id == received.inbox_id)),
            };
            (*position, Applied { warning: shared_id(deal, received), ..applied })
        });
        let losses =
            self.losses.iter().map(|(position, loss)| (*position, Applied::lost(retracted_of(&loss.crm_deal_id))));
        Ok(stages.chain(losses).collect())
    }
}

/// Warns when two CRMs may use the same deal numbers, which would silently mix their deals.
fn shared_id(deal: &Deal, received: &Received) -> Option<Warning> {
    let detail = format!(
        "was reported by the source {} before: if that is another CRM, separate their ids with deal_id = {{ join = […] }}",
        received.source
    );
    (received.source != deal.source).then_some(Warning { field: "deal_id", detail })
}
