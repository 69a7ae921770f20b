//! Conversions: deals that reached a stage, matched to their leads.

pub mod consent;
mod corrections;
mod decision;
mod planning;
mod recording;
mod release;
mod stored;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use corrections::{Restated, Retracted, reopen, restate, retract};
pub use decision::SkipReason;
use decision::{Decision, Eligibility};
pub use planning::enqueue_missing;
pub use release::{Release, release};

use crate::consent::statements::{self, Subject};
use crate::db::{DbError, Tx};
use crate::inbox::matching::{Match, MatchBy, Waiting, find_leads};
use crate::leads;
use crate::platforms::Plans;

/// A deal that was matched.
#[derive(Debug)]
pub struct Recorded {
    /// The deal's id in the inbox.
    pub inbox_id: Uuid,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The conversion.
    pub conversion_id: Uuid,
    /// The platforms it is queued for.
    pub platforms: Vec<&'static str>,
    /// Why it isn't queued.
    pub skip_reason: Option<SkipReason>,
}

/// Matches waiting deals to leads, records a conversion for each and renews the status of their leads. All in the
/// caller's transaction, and last in it.
pub async fn record_matches(
    tx: &mut Tx,
    plans: &Plans,
    match_by: MatchBy,
    waiting: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Recorded>, DbError> {
    let recorded = record(tx, plans, match_by, waiting, now).await?;
    leads::renew_status(tx, &recorded.iter().map(|it| it.crm_deal_id.as_str()).collect::<Vec<_>>(), &[]).await?;
    Ok(recorded)
}

/// Matches waiting deals to leads and records a conversion for each, with a queue row for every platform that accepts
/// it. The status of their leads is left to the caller, who may have more to do before.
pub async fn record(
    tx: &mut Tx,
    plans: &Plans,
    match_by: MatchBy,
    waiting: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Recorded>, DbError> {
    let matches = find_leads(tx, match_by, Waiting::Deals(waiting)).await?;
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let consents = statements::decide(tx, &matches.iter().map(subject).collect::<Vec<_>>()).await?;
    let decisions: Vec<_> = matches
        .iter()
        .zip(consents)
        .map(|(found, consent)| Decision::on(plans, found, consent.or(found.consent())))
        .collect();
    let written = recording::insert_conversions(tx, plans, &decisions, now).await?;
    let by_key: BTreeMap<_, _> = written.iter().map(|it| (it.idempotency_key.as_str(), it)).collect();
    let recorded: Vec<_> =
        decisions.iter().filter_map(|it| Some((*by_key.get(it.idempotency_key.as_str())?, it))).collect();
    let standing: Vec<_> = recorded
        .iter()
        .filter(|(it, _)| !it.is_undone)
        .map(|(it, decision)| (it.conversion_id, &decision.eligibility))
        .collect();
    recording::enqueue(tx, &standing, now).await?;
    recording::learn_addresses(tx, &decisions).await?;
    let of_deals: Vec<_> = recorded.iter().map(|(it, decision)| (it.conversion_id, *decision)).collect();
    recording::mark_matched(tx, &of_deals, now).await?;
    let of_one = |(it, decision): (&recording::Written, &Decision)| {
        let (platforms, skip_reason) = if it.is_undone {
            (Vec::new(), Some(SkipReason::DealLost))
        } else {
            let Eligibility { platforms, skip_reason } = &decision.eligibility;
            (platforms.iter().map(|(platform, _)| *platform).collect(), *skip_reason)
        };
        Recorded {
            inbox_id: decision.inbox_id,
            crm_deal_id: decision.crm_deal_id.clone(),
            conversion_id: it.conversion_id,
            platforms,
            skip_reason,
        }
    };
    Ok(recorded.into_iter().map(of_one).collect())
}

fn subject(found: &Match) -> Subject {
    Subject { lead_id: found.lead_id, crm_deal_id: found.crm_deal_id.clone() }
}
