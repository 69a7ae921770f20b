//! Applies a merge: several deals of the CRM are one now.

use chrono::{DateTime, Utc};

use super::applying::Applied;
use super::{Config, EventOutcome};
use crate::conversions;
use crate::db::{DbError, Tx};
use crate::deals::Merge;
use crate::inbox::names::Names;
use crate::inbox::{self, merging, times};

/// Makes the merged deals names of the one that is left, and leaves one conversion at the platforms. The caller holds
/// the locks of all of them, and holds back their matches.
pub(super) async fn apply(
    tx: &mut Tx,
    config: &Config,
    merge: &Merge,
    names: &Names,
    now: DateTime<Utc>,
) -> Result<Applied, DbError> {
    let (destinations, stages) = (&config.destinations, &config.destinations.stages);
    let into = names.deal_of(&merge.into);
    let mut merged: Vec<&str> = Vec::new();
    for name in &merge.from {
        let from = names.deal_of(name);
        if from != into && !merged.contains(&from) {
            merged.push(from);
        }
    }
    if merged.is_empty() {
        let outcome = EventOutcome::Duplicate { conversion_id: None };
        return Ok(Applied { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: false });
    }
    let mut replaced = Vec::new();
    for from in merged {
        replaced.extend(merging::merge(tx, stages, into, from, merge.merged_at, now).await?);
    }
    let mut retracted = conversions::retract_replaced(tx, destinations, &replaced, now).await?;
    times::settle(tx, &[into]).await?;
    let all = inbox::stages_of(tx, &[into]).await?;
    // Those that were deleted only because they were merged.
    let reopened = conversions::reopen(tx, stages, &all).await?;
    let others: Vec<_> = all.iter().filter(|id| !reopened.contains(id)).copied().collect();
    let restated = conversions::restate(tx, destinations, &others, now).await?;
    retracted.extend(conversions::retract(tx, destinations, &[into], now).await?);
    let recorded = conversions::record(tx, destinations, config.match_by, &all, now).await?;
    let platforms = retracted.into_iter().flat_map(|it| it.platforms);
    let platforms = platforms.chain(restated.into_iter().flat_map(|it| it.platforms));
    let mut platforms: Vec<_> = platforms.chain(recorded.into_iter().flat_map(|it| it.platforms)).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let outcome = EventOutcome::Merged { crm_deal_id: into.to_owned(), platforms };
    Ok(Applied { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: true })
}
