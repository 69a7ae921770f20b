//! Reads waiting deals again, once for each version of the reading: a deal whose address nobody could read then may
//! have a lead.

use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use super::Config;
use super::reading_again::{Postponed, read_again};
use crate::clock::Clock;
use crate::crm::{Meaning, Report};
use crate::db::{Db, DbError};
use crate::deals::Deal;
use crate::inbox;
use crate::inbox::rereading::{self, ToRead};
use crate::locks::{self, Locks};

/// Deals that are read together; so many bodies are in memory.
const PAGE: u16 = 50;
/// Deals that are read at once, as some ask their CRM.
const TOGETHER: usize = 5;

/// Reads waiting deals again that an earlier version read, page by page until `end`. Returns how many are done. A
/// source whose CRM doesn't answer is left for the next run.
pub async fn reread(db: &Db, clock: &Clock, config: &Config, end: DateTime<Utc>) -> Result<u64, DbError> {
    let mut done = 0;
    let mut unavailable: Vec<String> = Vec::new();
    while clock.now() < end {
        let page = db.tx(async |tx| rereading::next(tx, &unavailable, PAGE).await).await?;
        if page.is_empty() {
            break;
        }
        let (mut read, mut reports) = (Vec::new(), Vec::new());
        for some in page.chunks(TOGETHER) {
            let found = join_all(some.iter().map(|deal| report(clock, config, deal, &unavailable))).await;
            for (deal, found) in some.iter().zip(found) {
                match found {
                    Ok(report) => {
                        read.push(deal.inbox_id);
                        reports.extend(report.map(|(report, at)| (deal.inbox_id, report, at)));
                    }
                    Err(source) if unavailable.contains(&source) => {}
                    Err(source) => unavailable.push(source),
                }
            }
        }
        done += db
            .tx(async |tx| {
                let of_reports = reports.iter().map(|(_, deal, _)| inbox::locks_of(deal));
                locks::take(tx, &of_reports.fold(Locks::default(), Locks::and)).await?;
                let reports: Vec<_> = reports.iter().map(|(id, deal, at)| (*id, deal, *at)).collect();
                rereading::settle(tx, &read, &reports).await
            })
            .await?;
    }
    Ok(done)
}

/// The newest report on this deal that names a person, as it is read today; none if none is left.
///
/// # Errors
/// The source whose CRM can't be asked now.
async fn report(
    clock: &Clock,
    config: &Config,
    deal: &ToRead,
    unavailable: &[String],
) -> Result<Option<(Deal, DateTime<Utc>)>, String> {
    let mut reports = Vec::new();
    for event in &deal.events {
        // Nobody can say any more how to read it.
        let Some(source) = config.sources.get(&event.source) else { continue };
        if source.fetch.is_some() && unavailable.contains(&event.source) {
            return Err(event.source.clone());
        }
        match read_again(clock, config, event, None).await {
            Ok(reading) => match reading.meaning {
                Meaning::Report(Report::Reached(report)) if report.crm_deal_id == deal.crm_deal_id => {
                    reports.push((report, event.received_at));
                }
                _ => {}
            },
            Err(Postponed { is_of_source: true, .. }) if source.fetch.is_some() => return Err(event.source.clone()),
            Err(_) => {}
        }
    }
    Ok(rereading::newest(reports))
}
