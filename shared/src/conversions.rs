//! Conversions: deals that reached a stage, matched to their leads or told by their clicks.

pub mod consent;
mod corrections;
mod decision;
mod planning;
mod recording;
mod release;
mod routing;
mod stored;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use corrections::{Restated, Retracted, reopen, restate, retract, retract_replaced};
use decision::Decision;
pub use planning::{Backfill, enqueue_missing, rehearse_missing};
pub use release::{Release, release, release_told_by_click};
pub use routing::pass_on;

use crate::consent::Consent;
use crate::consent::statements::{self, Subject};
use crate::db::{DbError, Tx};
use crate::inbox::matching::{self, Match, MatchBy, Waiting};
use crate::leads;
use crate::platforms::{Candidate, Destinations};

pub use crate::platforms::SkipReason;

/// A recorded conversion as platforms see it.
#[derive(Debug)]
pub struct Considered {
    pub conversion_id: Uuid,
    pub candidate: Candidate,
    pub subject: Subject,
    /// As it was recorded.
    pub consent: Consent,
    pub skip_reason: Option<SkipReason>,
}

/// Reads conversions as platforms see them.
pub async fn consider(tx: &mut Tx, conversion_ids: &[Uuid]) -> Result<Vec<Considered>, DbError> {
    let stored = stored::read(tx, conversion_ids).await?;
    let considered = stored.into_iter().map(|it| Considered {
        conversion_id: it.id,
        candidate: it.candidate(),
        consent: it.consent(),
        skip_reason: it.skip_reason,
        subject: Subject { lead_id: it.lead_id, crm_deal_id: it.crm_deal_id },
    });
    Ok(considered.collect())
}

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
    pub platforms: Vec<String>,
    /// Why it isn't queued.
    pub skip_reason: Option<SkipReason>,
}

/// Matches waiting deals to leads, records a conversion for each and renews the status of their leads. All in the
/// caller's transaction, and last in it.
pub async fn record_matches(
    tx: &mut Tx,
    destinations: &Destinations,
    match_by: MatchBy,
    waiting: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Recorded>, DbError> {
    let recorded = record(tx, destinations, match_by, waiting, now).await?;
    leads::renew_status(tx, &recorded.iter().map(|it| it.crm_deal_id.as_str()).collect::<Vec<_>>(), &[]).await?;
    Ok(recorded)
}

/// Matches waiting deals to leads, else to their own clicks, and records a conversion for each, with a queue row for
/// every platform that accepts it. The status of their leads is left to the caller, who may have more to do before.
pub async fn record(
    tx: &mut Tx,
    destinations: &Destinations,
    match_by: MatchBy,
    waiting: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Recorded>, DbError> {
    let matches = matching::find(tx, match_by, &destinations.click_ids(), Waiting::Deals(waiting)).await?;
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let consents = statements::decide(tx, &matches.iter().map(subject).collect::<Vec<_>>()).await?;
    let decisions: Vec<_> = matches
        .iter()
        .zip(consents)
        .map(|(found, consent)| Decision::on(destinations, found, consent.or(found.consent())))
        .collect();
    let written = recording::insert_conversions(tx, destinations, &decisions, now).await?;
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
            let planned = decision.eligibility.planned.iter().map(|it| it.destination.clone());
            (planned.collect(), decision.eligibility.skip_reason)
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
