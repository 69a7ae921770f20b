//! Events and deals that couldn't be finished on arrival: looks up what the CRM left out, and matches again, on the
//! schedule or for the operator. The webhook is committed by then, so a CRM that is down delays a match and loses
//! nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use super::applying::{Event, process};
use super::reading_again::{Postponed, read_again};
use super::{Config, EventOutcome, Processed, ignored_of, lock, renew_status};
use crate::attribution::CLICK_COUNTS;
use crate::clock::Clock;
use crate::conversions::{record_matches, release_told_by_click};
use crate::crm::{Meaning, Reading};
use crate::db::{Db, DbError};
use crate::inbox;
use crate::inbox::events::{self, Kept};
use crate::inbox::ignored;
use crate::inbox::matching::{self, Waiting};

/// Concurrent lookups; CRMs allow some ten requests a second.
const TOGETHER: u16 = 5;
/// After this number of events of one source that can't be read or processed, the others wait for the next run.
const MOST_FAULTY: usize = 20;
/// Waiting deals that are looked at together: all of them may match at once.
const PAGE: u16 = 500;

/// The result of reading a stored event again.
#[derive(Debug)]
pub enum Resumed {
    /// It was processed.
    Processed(Processed),
    /// It has to wait.
    Postponed {
        /// Why.
        reason: String,
        /// How long the CRM asked for, if it did.
        after: Option<TimeDelta>,
        /// Does it affect the other events of the source, too?
        is_of_source: bool,
    },
}

/// Looks up what events lack at their CRMs, until `end`. Returns how many are done. An event whose answer can't be
/// read, or that can't be processed, doesn't delay the others.
pub async fn fetch_due(db: &Db, clock: &Clock, config: &Config, end: DateTime<Utc>) -> Result<u64, DbError> {
    let mut done = 0;
    if config.sources.iter().all(|source| source.fetch.is_none()) {
        return Ok(done);
    }
    // Sources whose CRM is unavailable in this run: the others don't wait for it.
    let mut unavailable: Vec<String> = Vec::new();
    let mut faulty: BTreeMap<String, usize> = BTreeMap::new();
    while clock.now() < end {
        let now = clock.now();
        let due = db.tx(async |tx| events::claim_received(tx, TOGETHER, &unavailable, now).await).await?;
        if due.is_empty() {
            break;
        }
        let resumed = join_all(due.iter().map(|kept| resume(db, clock, config, kept))).await;
        for (kept, error) in due.iter().zip(&resumed).filter_map(|(kept, it)| Some((kept, it.as_ref().err()?))) {
            tracing::error!(event = %kept.id, source = kept.source, %error, "an event can't be processed; it is retried");
        }
        for (kept, it) in due.iter().zip(&resumed) {
            let of_source = || due.iter().zip(&resumed).filter(|(it, _)| it.source == kept.source).map(|(_, it)| it);
            if matches!(it, Ok(Resumed::Postponed { is_of_source: false, .. })) {
                *faulty.entry(kept.source.clone()).or_default() += 1;
            }
            let is_away = of_source().all(|it| matches!(it, Ok(Resumed::Postponed { is_of_source: true, .. })))
                || faulty.get(&kept.source).is_some_and(|count| *count >= MOST_FAULTY);
            if unavailable.contains(&kept.source) || !is_away {
                continue;
            }
            unavailable.push(kept.source.clone());
            let asked_for = of_source().filter_map(|it| match it {
                Ok(Resumed::Postponed { after, .. }) => *after,
                _ => None,
            });
            if let Some(after) = asked_for.max() {
                db.tx(async |tx| events::hold_back(tx, &kept.source, now + after).await).await?;
            }
        }
        done += resumed.iter().filter(|it| matches!(it, Ok(Resumed::Processed(_)))).count() as u64;
    }
    Ok(done)
}

/// Reads an event again with the current declaration, and looks up what is missing.
pub async fn resume(db: &Db, clock: &Clock, config: &Config, kept: &Kept) -> Result<Resumed, DbError> {
    match read_again(clock, config, kept, None).await {
        Ok(reading) => apply(db, config, kept, reading, clock.now()).await,
        Err(postponed) => postpone(db, kept, postponed, clock.now()).await,
    }
}

/// The same from the body as the sender should have sent it. What was received stays as it is.
pub async fn resume_from(
    db: &Db,
    clock: &Clock,
    config: &Config,
    kept: &Kept,
    mended: &[u8],
) -> Result<Resumed, DbError> {
    match read_again(clock, config, kept, Some(mended)).await {
        Ok(reading) => apply(db, config, kept, reading, clock.now()).await,
        // Nothing is wrong with the event: it stays as it is.
        Err(Postponed { reason, after, is_of_source }) => Ok(Resumed::Postponed { reason, after, is_of_source }),
    }
}

async fn apply(
    db: &Db,
    config: &Config,
    kept: &Kept,
    reading: Reading,
    now: DateTime<Utc>,
) -> Result<Resumed, DbError> {
    if kept.is_taken && !matches!(reading.meaning, Meaning::Report(_)) {
        let reason =
            "it was processed before, and that can't be reverted: let the CRM report the deal as lost".to_owned();
        return Ok(Resumed::Postponed { reason, after: None, is_of_source: false });
    }
    let processed = db.tx(async |tx| -> Result<_, DbError> {
        let names = lock(tx, std::iter::once(&reading)).await?;
        let event = Event { reading, is_known: kept.is_taken, arrived_at: kept.received_at };
        let processed = process(tx, config, vec![event], names, now).await?;
        let position = usize::try_from(kept.position).unwrap_or_default();
        for it in &processed {
            events::settle(tx, kept.id, &it.as_event(position, kept.source_event_id.clone()), now).await?;
        }
        renew_status(tx, processed.iter()).await?;
        ignored::count(tx, &kept.source, ignored_of(processed.iter()), now).await?;
        Ok(processed)
    });
    let mut processed = match processed.await {
        // The same event would fail again, so it backs off and says why.
        Err(error @ (DbError::Value(_) | DbError::Defect(_))) => {
            let postponed = Postponed { is_of_source: false, ..Postponed::because(error.to_string()) };
            return postpone(db, kept, postponed, now).await;
        }
        processed => processed?,
    };
    Ok(match processed.pop() {
        Some(processed) if processed.outcome != EventOutcome::Received => Resumed::Processed(processed),
        _ => {
            let reason = "its missing fields have to be looked up".into();
            Resumed::Postponed { reason, after: None, is_of_source: true }
        }
    })
}

async fn postpone(db: &Db, kept: &Kept, postponed: Postponed, now: DateTime<Utc>) -> Result<Resumed, DbError> {
    let Postponed { reason, after, is_of_source } = postponed;
    db.tx(async |tx| events::postpone(tx, kept, &reason, after, now).await).await?;
    Ok(Resumed::Postponed { reason, after, is_of_source })
}

/// Matches every waiting deal again, and those that were told without their lead, page by page until `end`: matching
/// when a deal or its lead arrives is for speed, this is the guarantee. Returns how many were matched.
pub async fn rematch(db: &Db, clock: &Clock, config: &Config, end: DateTime<Utc>) -> Result<u64, DbError> {
    let click_ids = config.destinations.click_ids();
    let (mut matched, mut after) = (0, None);
    while clock.now() < end {
        let page = db.tx(async |tx| -> Result<_, DbError> {
            let Some(until) = matching::end_of_page(tx, after, PAGE).await? else { return Ok(None) };
            Ok(Some((until, matching::find(tx, config.match_by, &click_ids, Waiting::Page(after, until)).await?)))
        });
        let Some((until, found)) = page.await? else { break };
        after = Some(until);
        let found: Vec<_> = found.iter().map(|it| it.inbox_id).collect();
        if found.is_empty() {
            continue;
        }
        // Again under the locks of their persons: a form that arrives now may compete with the lead that was found.
        let recorded = db.tx(async |tx| {
            inbox::lock_persons(tx, &found).await?;
            record_matches(tx, &config.destinations, config.match_by, &found, clock.now()).await
        });
        matched += recorded.await?.len() as u64;
    }
    give_late_leads(db, clock, config, end).await?;
    Ok(matched)
}

/// Records deals anew that were told by their clicks, and whose leads came before anything was sent.
async fn give_late_leads(db: &Db, clock: &Clock, config: &Config, end: DateTime<Utc>) -> Result<(), DbError> {
    let mut seen = Vec::new();
    while clock.now() < end {
        let since = clock.now() - CLICK_COUNTS;
        let found = db.tx(async |tx| matching::with_lead_now(tx, config.match_by, since, &seen, PAGE).await).await?;
        if found.is_empty() {
            break;
        }
        let recorded = db.tx(async |tx| {
            inbox::lock_persons(tx, &found).await?;
            let released = release_told_by_click(tx, &found).await?;
            record_matches(tx, &config.destinations, config.match_by, &released, clock.now()).await
        });
        recorded.await?;
        seen.extend(found);
    }
    Ok(())
}
