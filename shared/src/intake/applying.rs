//! Applies the events of a body to their deals, with one statement for all deals. If a deal has several events, they
//! are applied in their order, in further rounds. A merge is applied by itself: it decides whose the later ones are.

mod applied;
mod doubts;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Config, Processed, merging};
use crate::crm::{Meaning, Reading, Report};
use crate::db::{DbError, Tx};
use crate::http::Warning;
use crate::inbox::losses;
use crate::inbox::names::{self, Names};
use rounds::rounds;

pub(super) use applied::Applied;

/// An event of a body.
pub(super) struct Event {
    pub reading: Reading,
    /// Does it report a loss, and was that processed before?
    pub is_known: bool,
    /// When it arrived, which may be long ago.
    pub arrived_at: DateTime<Utc>,
}

/// Applies events in their order, and returns the outcome of each. The result is the same as if each came in a body of
/// its own. The caller holds the locks and knows whose the names are; it renews the status of the leads.
pub(super) async fn process(
    tx: &mut Tx,
    config: &Config,
    mut events: Vec<Event>,
    mut names: Names,
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
            applied.extend(round.apply(tx, config, now).await?);
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
