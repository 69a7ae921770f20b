//! Events of a body that are applied at once: of every deal one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::applied::Applied;
use super::{Event, doubts};
use crate::conversions;
use crate::crm::{Meaning, Report};
use crate::db::{DbError, Tx};
use crate::deals::{Deal, Deletion, Loss, Restoration};
use crate::inbox::{self, Received, after_loss, deletions, losses, times};
use crate::intake::Config;

/// A report, and when it arrived.
type Arrived<'a, T> = (&'a T, DateTime<Utc>);

/// Events of as many deals, each with its position in the body.
#[derive(Default)]
pub(super) struct Round<'a> {
    stages: Vec<(usize, Arrived<'a, Deal>)>,
    losses: Vec<(usize, Arrived<'a, Loss>)>,
    deletions: Vec<(usize, &'a Deletion)>,
    restorations: Vec<(usize, &'a Restoration)>,
    /// The deals whose loss was processed before.
    known: Vec<&'a str>,
}

/// The first event of every deal, then the second of those that have one, and so on: events of different deals don't
/// depend on each other. Not those that are applied already.
pub(super) fn rounds<'a>(events: &'a [Event], start: usize, applied: &BTreeMap<usize, Applied>) -> Vec<Round<'a>> {
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
            Report::Reached(deal) => round.stages.push((position, (deal, event.arrived_at))),
            Report::Lost(loss) => round.losses.push((position, (loss, event.arrived_at))),
            Report::Deleted(deletion) => round.deletions.push((position, deletion)),
            Report::Restored(restoration) => round.restorations.push((position, restoration)),
            Report::Merged(_) => continue,
        }
        round.known.extend(event.is_known.then_some(crm_deal_id));
        *nth += 1;
    }
    rounds
}

impl Round<'_> {
    /// Applies them, and returns what each changed, with its position.
    pub async fn apply(
        &self,
        tx: &mut Tx,
        config: &Config,
        now: DateTime<Utc>,
    ) -> Result<Vec<(usize, Applied)>, DbError> {
        let stages = &config.destinations.stages;
        let reopenings: Vec<_> = self.stages.iter().filter_map(|(_, arrived)| reopening(arrived)).collect();
        let reopenings = reopenings.iter().map(|(loss, arrived_at)| (loss, *arrived_at));
        let losses: Vec<_> = self.losses.iter().map(|(_, arrived)| *arrived).chain(reopenings).collect();
        let is_new = |(loss, _): &(&Loss, _)| !self.known.contains(&loss.crm_deal_id.as_str());
        let new_losses: Vec<_> = losses.iter().copied().filter(is_new).map(|(loss, _)| loss).collect();
        let dated = losses::dated_before_wins(tx, stages, &new_losses).await?;
        losses::keep(tx, &losses, &self.known, &dated).await?;
        deletions::keep(tx, &self.deletions.iter().map(|(_, it)| *it).collect::<Vec<_>>(), now).await?;
        deletions::lift(tx, &self.restorations.iter().map(|(_, it)| *it).collect::<Vec<_>>(), now).await?;
        let lost: Vec<_> = losses.iter().map(|(loss, _)| loss.crm_deal_id.as_str()).collect();
        let deleted = self.deletions.iter().map(|(_, it)| it.crm_deal_id.as_str());
        let restored: Vec<_> = self.restorations.iter().map(|(_, it)| it.crm_deal_id.as_str()).collect();

        let reports: Vec<_> = self.stages.iter().map(|(_, arrived)| *arrived).collect();
        let received = inbox::receive(tx, &reports, now).await?;
        let deals: Vec<_> = reports.iter().map(|(deal, _)| *deal).collect();

        let new: Vec<_> =
            reports.iter().zip(&received).filter(|(_, it)| it.is_new).map(|(arrived, _)| *arrived).collect();
        inbox::consent::state(tx, &new).await?;

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

        let wins = deals.iter().zip(&received).filter(|(deal, it)| it.is_new && !deal.is_open);
        let wins: Vec<_> = wins.map(|(deal, received)| (*deal, received)).collect();
        let after_losses = after_loss::doubtful(tx, stages, &wins).await?;

        let stages = self.stages.iter().zip(&received).map(|((position, (deal, _)), received)| {
            let applied = match (received.conversion_id, retracted_of(&deal.crm_deal_id)) {
                (_, Some(retracted)) if deal.is_open => {
                    Applied { inbox_id: Some(received.inbox_id), ..Applied::lost(Some(retracted)) }
                }
                (Some(id), retracted) if !reopened.contains(&received.inbox_id) => {
                    Applied::corrected(received, id, restated_of(received), retracted)
                }
                _ => Applied::matched(received, recorded.iter().find(|it| it.inbox_id == received.inbox_id)),
            };
            let after_loss = after_losses.iter().find(|it| it.inbox_id == received.inbox_id && received.is_new);
            let warnings = after_loss.map(doubts::after_loss).into_iter().chain(doubts::shared_id(deal, received));
            let warnings = warnings.collect();
            // What was retracted may stand again, with or without another value.
            let concerns_lead = applied.concerns_lead || deal.is_open || changed.contains(&received.inbox_id);
            (*position, Applied { warnings, concerns_lead, ..applied })
        });
        let losses = self.losses.iter().map(|(position, (loss, _))| {
            let applied = Applied::lost(retracted_of(&loss.crm_deal_id));
            let warnings =
                dated.get(&loss.crm_deal_id).map(|won_at| doubts::dated_before(loss, *won_at)).into_iter().collect();
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

/// What says that a win no longer stands although the deal reached another stage.
fn reopening((deal, arrived_at): &Arrived<'_, Deal>) -> Option<(Loss, DateTime<Utc>)> {
    let loss = || Loss {
        crm_deal_id: deal.crm_deal_id.clone(),
        lost_at: deal.occurred_at.or(deal.event_at).unwrap_or(*arrived_at),
        as_of: deal.as_of,
        is_reopened: true,
        payload_hash: deal.payload_hash.clone(),
    };
    deal.is_open.then(|| (loss(), *arrived_at))
}
