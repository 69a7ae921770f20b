//! Runs on a schedule: matches waiting deals, tells the ad platforms about due conversions, and asks what became of those
//! told earlier. Where the queue (SQL) and the platforms (HTTP) meet; no transaction is open while a platform is asked.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use shared::App;
use shared::breaker::{self, State};
use shared::conversions::record_matches;
use shared::db::DbError;
use shared::inbox::{self, Waiting};
use shared::platforms::{Attempt, Outcome, Platform, Reason, Verdict};
use shared::queue::{self, receipts};

/// The settings it can't do without.
pub const REQUIRES: &[&str] = &["CONSENT_UNKNOWN", "GOOGLE_ADS_CUSTOMER_ID", "GOOGLE_SERVICE_ACCOUNT_KEY"];

/// After so many failed requests in one batch the rest waits for the next run.
const FAILURES: usize = 3;
/// Verdicts asked for in one run.
const VERDICTS: usize = 200;
/// Waiting deals looked at together.
const REMATCH: u16 = 500;
/// So long before the deadline nothing new is begun: the last requests may take as long. Of a short run, half.
const MARGIN: TimeDelta = TimeDelta::seconds(45);

/// What a run did: its return value and its log line.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Waiting deals that found their lead.
    pub matched: u64,
    /// Waiting deals given up after 90 days.
    pub expired: u64,
    /// Conversions claimed.
    pub claimed: u64,
    /// Accepted by a platform, now or before.
    pub accepted: u64,
    /// To be tried again.
    pub postponed: u64,
    /// Given up because of what they are.
    pub rejected: u64,
    /// Claimed, but settled by somebody else before we were done.
    pub lease_lost: u64,
    /// Verdicts asked for.
    pub verdicts: u64,
    /// Platforms that are paused.
    pub paused: Vec<&'static str>,
}

/// One run, done by `deadline`.
///
/// # Errors
/// When the database is away. What was begun is safe: its leases end by themselves.
pub async fn handle(app: &App, deadline: DateTime<Utc>) -> Result<Summary, DbError> {
    let mut summary = Summary::default();
    let end = deadline - MARGIN.min((deadline - app.clock.now()) / 2);
    // A deal that can't be matched must not keep the others from being uploaded.
    let rematched = rematch(app, end, &mut summary).await;
    for platform in &app.platforms {
        upload(app, platform.as_ref(), end, &mut summary).await?;
        if !summary.paused.contains(&platform.id()) {
            confirm(app, platform.as_ref(), end, &mut summary).await?;
        }
    }
    rematched?;
    tracing::info!(summary = %serde_json::to_string(&summary).unwrap_or_default(), "run done");
    Ok(summary)
}

/// Matching when a deal or a lead arrives is for speed; this is the guarantee.
async fn rematch(app: &App, end: DateTime<Utc>, summary: &mut Summary) -> Result<(), DbError> {
    while app.clock.now() < end {
        let matched = app.db.tx(async |tx| record_matches(tx, app, Waiting::Any(REMATCH)).await).await?.len();
        summary.matched += matched as u64;
        if matched < REMATCH.into() {
            break;
        }
    }
    summary.expired = app.db.tx(async |tx| inbox::expire(tx, app.clock.now()).await).await?;
    Ok(())
}

async fn upload(app: &App, platform: &dyn Platform, end: DateTime<Utc>, summary: &mut Summary) -> Result<(), DbError> {
    let id = platform.id();
    let mut probing = match app.db.tx(async |tx| breaker::state(tx, id, app.clock.now()).await).await? {
        State::Active => false,
        State::Probe => true,
        State::Paused => {
            summary.paused.push(id);
            return Ok(());
        }
    };
    while app.clock.now() < end {
        let batch = if probing { 1 } else { platform.batch() };
        let claim = app.db.tx(async |tx| queue::claim(tx, &app.config, id, batch, app.clock.now()).await).await?;
        if claim.conversions.is_empty() {
            break;
        }
        let attempts = platform.upload(&claim.conversions).await;
        let now = app.clock.now();
        let settled = app.db.tx(async |tx| queue::settle(tx, &app.config, id, &claim, &attempts, now).await).await?;
        let claimed = claim.conversions.len() as u64;
        summary.claimed += claimed;
        summary.lease_lost += claimed.saturating_sub(settled);
        if let Some(reason) = count(&attempts, summary) {
            pause(app, id, reason, summary).await?;
            break;
        }
        // The platform is down or we are too fast: what is left waits for the next run.
        let failed = attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Unavailable(..))).count();
        if failed >= FAILURES || failed == attempts.len() {
            break;
        }
        probing = false;
    }
    Ok(())
}

/// Counts attempts; answers the reason if one of them means that the platform refuses us as such.
fn count<'a>(attempts: &'a [Attempt], summary: &mut Summary) -> Option<&'a Reason> {
    let mut paused = None;
    for attempt in attempts {
        match &attempt.outcome {
            Outcome::Accepted { .. } | Outcome::AlreadyDone(_) => summary.accepted += 1,
            Outcome::Rejected(_) => summary.rejected += 1,
            Outcome::Paused(reason) => {
                summary.postponed += 1;
                paused = Some(reason);
            }
            Outcome::Later(..) | Outcome::Retry(_) | Outcome::Unavailable(..) => summary.postponed += 1,
        }
    }
    paused
}

async fn pause(app: &App, id: &'static str, reason: &Reason, summary: &mut Summary) -> Result<(), DbError> {
    let (now, probe_after) = (app.clock.now(), app.config.timing.probe_after);
    app.db.tx(async |tx| breaker::pause(tx, id, reason, now, probe_after).await).await?;
    summary.paused.push(id);
    Ok(())
}

async fn confirm(app: &App, platform: &dyn Platform, end: DateTime<Utc>, summary: &mut Summary) -> Result<(), DbError> {
    let id = platform.id();
    let due = app.db.tx(async |tx| receipts::unconfirmed(tx, id, VERDICTS, app.clock.now()).await).await?;
    for receipt in due {
        if app.clock.now() >= end {
            break;
        }
        let verdict = platform.verdict(&receipt.request_id).await;
        let now = app.clock.now();
        app.db.tx(async |tx| receipts::conclude(tx, &app.config, id, &receipt, &verdict, now).await).await?;
        summary.verdicts += 1;
        if let Verdict::Paused(reason) = &verdict.0 {
            pause(app, id, reason, summary).await?;
            break;
        }
    }
    Ok(())
}
