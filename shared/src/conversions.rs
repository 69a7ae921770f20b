//! Conversions: deals that reached a stage, matched to their leads.

mod corrections;
mod decision;
mod recording;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use corrections::{Restated, Retracted, reopen, restate, retract};
use decision::Decision;
pub use decision::SkipReason;

use crate::db::{DbError, Tx};
use crate::inbox::matching::{Waiting, find_leads};
use crate::leads;
use crate::platforms::Plans;

/// A deal that was matched.
#[derive(Debug)]
pub struct Recorded {
    /// The conversion.
    pub conversion_id: Uuid,
    /// The platforms it is queued for.
    pub platforms: Vec<&'static str>,
    /// Why it isn't queued.
    pub skip_reason: Option<SkipReason>,
}

/// Matches waiting deals to leads and records a conversion for each, with a queue row for every platform that accepts
/// it. All in the caller's transaction.
pub async fn record_matches(
    tx: &mut Tx,
    plans: &Plans,
    waiting: Waiting<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Recorded>, DbError> {
    let matches = find_leads(tx, waiting).await?;
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let decisions: Vec<_> = matches.iter().map(|found| Decision::on(plans, found)).collect();
    let written = recording::insert_conversions(tx, &decisions, now).await?;
    let by_key: BTreeMap<_, _> = written.iter().map(|it| (it.idempotency_key.as_str(), it)).collect();
    let recorded: Vec<_> =
        decisions.iter().filter_map(|it| Some((*by_key.get(it.idempotency_key.as_str())?, it))).collect();
    let standing: Vec<_> =
        recorded.iter().filter(|(it, _)| !it.is_undone).map(|(it, decision)| (it.conversion_id, *decision)).collect();
    recording::enqueue(tx, &standing, now).await?;
    recording::learn_addresses(tx, &decisions).await?;
    let of_deals: Vec<_> = recorded.iter().map(|(it, decision)| (it.conversion_id, *decision)).collect();
    recording::mark_matched(tx, &of_deals, now).await?;
    let deals: Vec<_> = matches.iter().map(|found| found.crm_deal_id.as_str()).collect();
    leads::renew_status(tx, &deals).await?;
    let of_one = |(it, decision): (&recording::Written, &Decision)| {
        let (platforms, skip_reason) = if it.is_undone {
            (Vec::new(), Some(SkipReason::DealLost))
        } else {
            (decision.platforms.iter().map(|(platform, _)| *platform).collect(), decision.skip_reason)
        };
        Recorded { conversion_id: it.conversion_id, platforms, skip_reason }
    };
    Ok(recorded.into_iter().map(of_one).collect())
}
