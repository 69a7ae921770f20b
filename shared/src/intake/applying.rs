//! Applies the events of a body to their deals, with one statement for all deals. If a deal has several events, they
//! are applied in their order, in further rounds. A merge is applied by itself: it decides whose the later ones are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Config, EventOutcome, Processed, merging};
use crate::conversions::{self, Recorded, Restated, Retracted};
use crate::crm::{Meaning, Reading, Report};
use crate::db::{DbError, Tx};
use crate::deals::{Deal, Deletion, Loss, Restoration};
use crate::http::Warning;
use crate::inbox::names::{self, Names};
use crate::inbox::{self, Received, deletions, losses, times};

/// An event of a body.
pub(super) struct Event {
    pub reading: Reading,
    /// Does it report a loss, and was that processed before?
    pub is_known: bool,
}

/// Applies the events of a body that arrived at `arrived_at`, and returns the outcome of each. The result is the same
/// as if each came in a body of its own. The caller holds the locks and knows whose the names are; it renews the status
/// of the leads.
pub(super) async fn process(
    tx: &mut Tx,
    config: &Config,
    mut events: Vec<Event>,
    mut names: Names,
    arrived_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<Processed>, DbError> {
    let held_back = to_hold_back(&events, &names);
    losses::hold_back_matches(tx, &held_back.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let mut applied = BTreeMap::new();
    let mut start = 0;
    while start < events.len() {
        let end = start + events[start..].iter().take_while(|event| event.merge().is_none()).count();
        let until_merge = &mut events[start..end];
        applied.extend(trailing_merges(until_merge, start, &names));
        for event in &mut *until_merge {
            event.rename(&names);
        }
        for round in &rounds(until_merge, start, &applied) {
            applied.extend(round.apply(tx, config, arrived_at, now).await?);
        }
        if let Some(merge) = events.get(end).and_then(Event::merge) {
            applied.insert(end, merging::apply(tx, config, merge, &names, now).await?);
            let later: Vec<_> = events[end + 1..].iter().flat_map(Event::names).collect();
            names = names::read(tx, &later).await?;
        }
        start = end + 1;
    }
    let processed = events.into_iter().enumerate().map(|(position, Event { mut reading, .. })| {
        let applied = applied.remove(&position).unwrap_or_else(|| Applied::nothing(&reading.meaning));
        reading.warnings.extend(applied.warnings);
        Processed {
            concerns: applied.concerns_lead.then(|| reading.deal()).flatten().map(String::from),
            outcome: applied.outcome,
            warnings: reading.warnings,
            at: reading.at,
            rule: reading.rule,
            crm_deal_id: reading.crm_deal_id,
            inbox_id: applied.inbox_id,
        }
    });
    Ok(processed.collect())
}

impl Event {
    fn merge(&self) -> Option<&crate::deals::Merge> {
        match &self.reading.meaning {
            Meaning::Report(Report::Merged(merge)) => Some(merge),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        self.reading.names()
    }

    /// A report under the name of a deal that was merged into another is about the other.
    fn rename(&mut self, names: &Names) {
        let Meaning::Report(report) = &mut self.reading.meaning else { return };
        let name = match report {
            Report::Reached(deal) => &mut deal.crm_deal_id,
            Report::Lost(loss) => &mut loss.crm_deal_id,
            Report::Deleted(deletion) => &mut deletion.crm_deal_id,
            Report::Restored(restoration) => &mut restoration.crm_deal_id,
            Report::Merged(merge) => &mut merge.into,
        };
        *name = names.deal_of(name).to_owned();
    }
}

/// What ends a deal that was merged into another doesn't concern the other: CRMs delete or lose what they merged.
fn trailing_merges(events: &[Event], start: usize, names: &Names) -> Vec<(usize, Applied)> {
    let trails = |event: &Event| match &event.reading.meaning {
        Meaning::Report(report @ (Report::Lost(_) | Report::Deleted(_) | Report::Restored(_))) => {
            names.is_merged(report.crm_deal_id())
        }
        _ => false,
    };
    let trailing = events.iter().enumerate().filter(|(_, event)| trails(event));
    trailing
        .map(|(nth, event)| {
            let name = event.reading.deal().unwrap_or_default();
            let detail =
                format!("was merged into {}: what becomes of it now changes nothing there", names.deal_of(name));
            let warnings = vec![Warning { field: "deal_id", detail }];
            (start + nth, Applied { warnings, concerns_lead: false, ..Applied::lost(None) })
        })
        .collect()
}

/// Events of as many deals, each with its position in the body.
#[derive(Default)]
struct Round<'a> {
    stages: Vec<(usize, &'a Deal)>,
    losses: Vec<(usize, &'a Loss)>,
    deletions: Vec<(usize, &'a Deletion)>,
    restorations: Vec<(usize, &'a Restoration)>,
    /// The deals whose loss was processed before.
    known: Vec<&'a str>,
}

/// The first event of every deal, then the second of those that have one, and so on: events of different deals don't
/// depend on each other. Not those that are applied already.
fn rounds<'a>(events: &'a [Event], start: usize, applied: &BTreeMap<usize, Applied>) -> Vec<Round<'a>> {
    let mut rounds: Vec<Round<'a>> = Vec::new();
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, event) in (start..).zip(events) {
        let Meaning::Report(report) = &event.reading.meaning else { continue };
        if applied.contains_key(&position) {
            continue;
        }
        let crm_deal_id = report.crm_deal_id();
        let nth = next.entry(crm_deal_id).or_default();
        if *nth == rounds.len() {
            rounds.push(Round::default());
        }
        let round = &mut rounds[*nth];
        match report {
            Report::Reached(deal) => round.stages.push((position, deal)),
            Report::Lost(loss) => round.losses.push((position, loss)),
            Report::Deleted(deletion) => round.deletions.push((position, deletion)),
            Report::Restored(restoration) => round.restorations.push((position, restoration)),
            Report::Merged(_) => continue,
        }
        round.known.extend(event.is_known.then_some(crm_deal_id));
        *nth += 1;
    }
    rounds
}

/// The deals that no other transaction may match meanwhile: those that something else than a stage is said of; and
/// those with a second event, because a transaction that matches their other stage waits for rows that the first round
/// wrote.
fn to_hold_back(events: &[Event], names: &Names) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut held_back = BTreeSet::new();
    for event in events {
        let is_plain = matches!(&event.reading.meaning, Meaning::Report(Report::Reached(deal)) if !deal.is_open);
        for deal in event.names().into_iter().map(|name| names.deal_of(name)) {
            if !seen.insert(deal) || !is_plain {
                held_back.insert(deal.to_owned());
            }
        }
    }
    held_back
}

/// What an event changed.
pub(super) struct Applied {
    pub outcome: EventOutcome,
    pub inbox_id: Option<Uuid>,
    pub warnings: Vec<Warning>,
    /// May the status of the deal's lead be another one now?
    pub concerns_lead: bool,
}

impl Applied {
    /// An event that isn't a report on a deal.
    fn nothing(meaning: &Meaning) -> Self {
        let outcome = match meaning {
            Meaning::Ignored(reason) => EventOutcome::Ignored { reason: reason.clone() },
            Meaning::Unusable(errors) => EventOutcome::Rejected { errors: errors.clone() },
            Meaning::Fetch | Meaning::Report(_) => EventOutcome::Received,
        };
        Self { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: false }
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
        Self { outcome, inbox_id: Some(received.inbox_id), warnings: Vec::new(), concerns_lead }
    }

    /// A report on a deal that waits for its lead.
    fn matched(received: &Received, recorded: Option<&Recorded>) -> Self {
        let outcome = recorded.map_or(EventOutcome::AwaitingLead, outcome_of);
        Self { outcome, inbox_id: Some(received.inbox_id), warnings: Vec::new(), concerns_lead: recorded.is_some() }
    }

    /// A deal that its CRM restored.
    fn restored(recorded: Option<&Recorded>) -> Self {
        let outcome = recorded.map_or(EventOutcome::Duplicate { conversion_id: None }, outcome_of);
        Self { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: true }
    }

    /// A loss or a deletion.
    fn lost(retracted: Option<&Retracted>) -> Self {
        let outcome = retracted.map_or(EventOutcome::NothingToRetract, retraction);
        Self { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: true }
    }
}

fn outcome_of(recorded: &Recorded) -> EventOutcome {
    let conversion_id = recorded.conversion_id;
    match recorded.skip_reason {
        Some(reason) => EventOutcome::Skipped { conversion_id, reason },
        None => EventOutcome::Queued { conversion_id, platforms: recorded.platforms.clone() },
    }
}

/// What says that a win no longer stands although the deal reached another stage.
fn reopening(deal: &Deal, arrived_at: DateTime<Utc>) -> Option<Loss> {
    deal.is_open.then(|| Loss {
        crm_deal_id: deal.crm_deal_id.clone(),
        lost_at: deal.occurred_at.or(deal.event_at).unwrap_or(arrived_at),
        as_of: deal.as_of,
        is_reopened: true,
        payload_hash: deal.payload_hash.clone(),
    })
}

fn retraction(retracted: &Retracted) -> EventOutcome {
    EventOutcome::Retracted { conversion_id: retracted.conversion_id, platforms: retracted.platforms.clone() }
}

impl Round<'_> {
    async fn apply(
        &self,
        tx: &mut Tx,
        config: &Config,
        arrived_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(usize, Applied)>, DbError> {
        let stages = &config.destinations.stages;
        let reopenings: Vec<_> = self.stages.iter().filter_map(|(_, deal)| reopening(deal, arrived_at)).collect();
        let losses: Vec<_> = self.losses.iter().map(|(_, loss)| *loss).chain(&reopenings).collect();
        let new_losses: Vec<_> =
            losses.iter().filter(|it| !self.known.contains(&it.crm_deal_id.as_str())).copied().collect();
        let dated = losses::dated_before_wins(tx, stages, &new_losses).await?;
        losses::keep(tx, &losses, &self.known, &dated, now).await?;
        deletions::keep(tx, &self.deletions.iter().map(|(_, it)| *it).collect::<Vec<_>>(), now).await?;
        deletions::lift(tx, &self.restorations.iter().map(|(_, it)| *it).collect::<Vec<_>>(), now).await?;
        let lost: Vec<_> = losses.iter().map(|loss| loss.crm_deal_id.as_str()).collect();
        let deleted = self.deletions.iter().map(|(_, it)| it.crm_deal_id.as_str());
        let restored: Vec<_> = self.restorations.iter().map(|(_, it)| it.crm_deal_id.as_str()).collect();

        let deals: Vec<_> = self.stages.iter().map(|(_, deal)| *deal).collect();
        let received = inbox::receive(tx, &deals, arrived_at, now).await?;

        let new: Vec<_> = deals.iter().zip(&received).filter(|(_, it)| it.is_new).map(|(deal, _)| *deal).collect();
        inbox::consent::state(tx, &new, arrived_at).await?;

        let is_changed = |it: &&Received| it.is_new && it.conversion_id.is_some();
        let changed: Vec<_> = received.iter().filter(is_changed).map(|it| it.inbox_id).collect();
        let mut may_count_again = inbox::stages_of(tx, &restored).await?;
        may_count_again.extend(&changed);
        let mut reopened = conversions::reopen(tx, stages, &may_count_again).await?;
        reopened.extend(conversions::release_told_by_click(tx, &changed).await?);
        // Reports with a time after the loss count now.
        let mut to_restate = times::settle(tx, &lost).await?;
        to_restate.extend(may_count_again.into_iter().filter(|id| !reopened.contains(id)));
        let restated = conversions::restate(tx, &config.destinations, &to_restate, now).await?;

        let restated_of = |received: &Received| restated.iter().find(|it| it.inbox_id == received.inbox_id);
        let moved = deals.iter().zip(&received).filter(|(_, it)| restated_of(it).is_some_and(|it| it.time_changed));
        // Its new time may be before the loss.
        let moved = moved.map(|(deal, _)| deal.crm_deal_id.as_str());
        let to_retract: Vec<_> = lost.iter().copied().chain(deleted).chain(moved).collect();
        let retracted = conversions::retract(tx, &config.destinations, &to_retract, now).await?;
        let retracted_of = |crm_deal_id: &str| retracted.iter().find(|it| it.crm_deal_id == crm_deal_id);

        let mut waiting: Vec<_> =
            received.iter().filter(|it| it.conversion_id.is_none()).map(|it| it.inbox_id).collect();
        waiting.extend(&reopened);
        let recorded = conversions::record(tx, &config.destinations, config.match_by, &waiting, now).await?;

        let stages = self.stages.iter().zip(&received).map(|((position, deal), received)| {
            let applied = match (received.conversion_id, retracted_of(&deal.crm_deal_id)) {
                (_, Some(retracted)) if deal.is_open => {
                    Applied { inbox_id: Some(received.inbox_id), ..Applied::lost(Some(retracted)) }
                }
                (Some(id), retracted) if !reopened.contains(&received.inbox_id) => {
                    Applied::corrected(received, id, restated_of(received), retracted)
                }
                _ => Applied::matched(received, recorded.iter().find(|it| it.inbox_id == received.inbox_id)),
            };
            let warnings = shared_id(deal, received).into_iter().collect();
            // What was retracted may stand again, with or without another value.
            let concerns_lead = applied.concerns_lead || deal.is_open || changed.contains(&received.inbox_id);
            (*position, Applied { warnings, concerns_lead, ..applied })
        });
        let losses = self.losses.iter().map(|(position, loss)| {
            let applied = Applied::lost(retracted_of(&loss.crm_deal_id));
            let warnings = dated.get(&loss.crm_deal_id).map(|won_at| dated_before(loss, *won_at)).into_iter().collect();
            (*position, Applied { warnings, ..applied })
        });
        let deletions =
            self.deletions.iter().map(|(position, it)| (*position, Applied::lost(retracted_of(&it.crm_deal_id))));
        let restorations = self.restorations.iter().map(|(position, it)| {
            let recorded = recorded.iter().find(|recorded| recorded.crm_deal_id == it.crm_deal_id);
            (*position, Applied::restored(recorded))
        });
        Ok(stages.chain(losses).chain(deletions).chain(restorations).collect())
    }
}

fn dated_before(loss: &Loss, won_at: DateTime<Utc>) -> Warning {
    let detail = format!(
        "is {}, before the deal was won at {}; as it was reported after that, it counts: if the deal was won again \
         since, let the CRM report that, and declare updated_at so that overtaken reports are told apart",
        loss.lost_at.format("%Y-%m-%dT%H:%M:%SZ"),
        won_at.format("%Y-%m-%dT%H:%M:%SZ"),
    );
    Warning { field: "occurred_at", detail }
}

/// Warns when two CRMs may use the same deal numbers, which would silently mix their deals.
fn shared_id(deal: &Deal, received: &Received) -> Option<Warning> {
    let detail = format!(
        "was reported by the source {} before: if that is another CRM, separate their ids with deal_id = {{ join = […] }}",
        received.source
    );
    (received.source != deal.source).then_some(Warning { field: "deal_id", detail })
}
