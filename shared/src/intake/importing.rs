//! Deals from a file: each row goes the way of a webhook, so that it is matched, recorded and corrected the same.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Config, EventOutcome, KeptHeaders, Processed, ReadBody, store};
use crate::attribution::CLICK_COUNTS;
use crate::conversions::SkipReason;
use crate::crm::{Circumstances, Meaning, Reading, Report, Source};
use crate::db::{Db, DbError, Tx};
use crate::deals::Deal;
use crate::http::problem::FieldError;
use crate::identity::Hash;
use crate::inbox::events;
use crate::inbox::importing;
use crate::inbox::receipts::{IMPORTED, WebhookReceipt};

/// A row of a file.
#[derive(Debug)]
pub struct Row {
    /// Its cells by the names of their columns, as a JSON object.
    pub body: String,
}

/// What a row is, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// A deal that wasn't known at this stage, or a loss.
    New(Becomes),
    /// Something else about a deal that is known.
    Changed,
    /// Nothing that isn't known.
    Known,
    /// The mapping has no rule for it, or one that ignores it.
    Ignored(String),
    /// It can't be read.
    Bad(Vec<FieldError>),
}

/// What a new deal becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// A conversion that is queued.
    Queued,
    /// No platform counts it any more.
    TooOld,
    /// A conversion that isn't sent.
    Skipped(SkipReason),
    /// It waits for its lead.
    AwaitingLead,
    /// It names neither an e-mail address, nor a phone number, a click or a lead, so no lead will be found for it.
    NamesNobody,
    /// The end of a deal: a loss, a deletion or a merge.
    End,
}

/// An import of deals, and what earlier batches of it had.
pub struct Import<'a> {
    config: &'a Config,
    source: &'a Source,
    /// Those of earlier batches, which a dry run doesn't store: a deal's stage, or an event.
    seen: BTreeSet<[u8; 16]>,
}

impl<'a> Import<'a> {
    /// By this mapping.
    #[must_use]
    pub fn new(config: &'a Config, source: &'a Source) -> Self {
        Self { config, source, seen: BTreeSet::new() }
    }

    /// Stores a batch of rows, all of it or, if this fails, nothing; of a dry run, nothing. Returns what each is.
    pub async fn batch(
        &mut self,
        db: &Db,
        rows: &[Row],
        now: DateTime<Utc>,
        is_dry_run: bool,
    ) -> Result<Vec<RowOutcome>, DbError> {
        let read: Vec<_> = rows.iter().map(|row| self.read(row, now)).collect();
        let outcomes = if is_dry_run {
            db.rolled_back(async |tx| self.store(tx, rows, read, now).await).await?
        } else {
            db.tx(async |tx| self.store(tx, rows, read, now).await).await?
        };
        let (outcomes, seen): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
        self.seen.extend(seen.into_iter().flatten());
        Ok(outcomes)
    }

    fn read(&self, row: &Row, now: DateTime<Utc>) -> (Hash, Reading) {
        let of_body = Hash::of(&row.body);
        let reading = match serde_json::from_str(&row.body) {
            Ok(item) => {
                let circumstances = Circumstances {
                    received_at: now,
                    region: self.config.phone_region,
                    payload_hash: of_body.clone(),
                    event_id: None,
                    has_replaced: false,
                };
                self.source.read(&item, &circumstances)
            }
            Err(error) => Reading::unusable(vec![FieldError { pointer: String::new(), detail: error.to_string() }]),
        };
        (of_body, reading)
    }

    async fn store(
        &self,
        tx: &mut Tx,
        rows: &[Row],
        read: Vec<(Hash, Reading)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(RowOutcome, Vec<[u8; 16]>)>, DbError> {
        let source = &self.source.name;
        let ids: Vec<_> = read.iter().map(|(hash, reading)| event_id(hash, reading)).collect();
        let taken = events::taken(tx, source, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let mut taken: BTreeSet<_> = taken.into_iter().collect();
        let mut outcomes: Vec<_> = rows.iter().map(|_| (RowOutcome::Known, Vec::new())).collect();
        let (mut new, mut bodies) = (Vec::new(), Vec::new());
        let headers = KeptHeaders::default();
        let hashes: Vec<_> = read.iter().map(|(hash, _)| hash.clone()).collect();
        for (at, ((_, reading), id)) in read.into_iter().zip(ids).enumerate() {
            let of_event = short(&format!("event {id}"));
            match &reading.meaning {
                Meaning::Ignored(reason) => outcomes[at].0 = RowOutcome::Ignored(reason.clone()),
                Meaning::Unusable(errors) => outcomes[at].0 = RowOutcome::Bad(errors.clone()),
                Meaning::Fetch => {}
                Meaning::Report(report) => {
                    // Once, also if the file has it twice.
                    if self.seen.contains(&of_event) || !taken.insert(id.clone()) {
                        continue;
                    }
                    let receipt = WebhookReceipt {
                        source,
                        payload_hash: &hashes[at],
                        body: rows[at].body.as_bytes(),
                        headers: headers.as_json(),
                        verified_by: IMPORTED,
                        verified_with: "",
                    };
                    outcomes[at].1.push(of_event);
                    new.push((at, About::of(report, now)));
                    bodies.push(ReadBody { receipt, events: vec![(id, reading)] });
                }
            }
        }
        let mut standing = importing::standing(tx, new.iter().map(|(_, it)| it.crm_deal_id.as_str())).await?;
        let processed = store(tx, self.config, source, bodies, now).await?;
        let queued = processed.iter().flatten().filter_map(|it| match it.outcome {
            EventOutcome::Queued { conversion_id, .. } => Some(conversion_id),
            _ => None,
        });
        let too_old: BTreeSet<_> =
            importing::too_old(tx, &queued.collect::<Vec<_>>(), now).await?.into_iter().collect();
        for ((at, about), processed) in new.into_iter().zip(processed.into_iter().flatten()) {
            let stage = (about.crm_deal_id.clone(), about.stage.clone());
            let of_stage = short(&format!("deal {} {}", stage.0, stage.1));
            let is_known = !standing.insert(stage) || self.seen.contains(&of_stage);
            let is_too_old = match &processed.outcome {
                EventOutcome::Queued { conversion_id, .. } => too_old.contains(conversion_id),
                _ => false,
            };
            outcomes[at].0 = about.outcome(processed, is_known, is_too_old);
            outcomes[at].1.push(of_stage);
        }
        Ok(outcomes)
    }
}

/// What a report is about.
struct About {
    crm_deal_id: String,
    /// Its stage; empty of a deal's end.
    stage: String,
    names_nobody: bool,
    is_too_old: bool,
}

impl About {
    fn of(report: &Report, now: DateTime<Utc>) -> Self {
        let crm_deal_id = report.crm_deal_id().to_owned();
        match report {
            Report::Reached(deal) => Self {
                crm_deal_id,
                stage: deal.conversion_type.as_str().to_owned(),
                names_nobody: names_nobody(deal),
                is_too_old: now - deal.occurred_at.or(deal.event_at).unwrap_or(now) > CLICK_COUNTS,
            },
            _ => Self { crm_deal_id, stage: String::new(), names_nobody: false, is_too_old: false },
        }
    }

    fn outcome(&self, processed: Processed, is_known: bool, is_too_old: bool) -> RowOutcome {
        use EventOutcome::{AwaitingLead, Duplicate, Ignored, Merged, NothingToRetract, Queued, Received, Rejected};
        use EventOutcome::{Restated, Retracted, Skipped};
        let becomes = match processed.outcome {
            Rejected { errors } => return RowOutcome::Bad(errors),
            Ignored { reason } => return RowOutcome::Ignored(reason),
            Duplicate { .. } | Received => return RowOutcome::Known,
            Restated { .. } | Retracted { .. } => return RowOutcome::Changed,
            Queued { .. } if is_too_old => Becomes::TooOld,
            Queued { .. } => Becomes::Queued,
            Skipped { reason, .. } => Becomes::Skipped(reason),
            AwaitingLead if self.is_too_old => Becomes::TooOld,
            AwaitingLead if self.names_nobody => Becomes::NamesNobody,
            AwaitingLead => Becomes::AwaitingLead,
            NothingToRetract | Merged { .. } => Becomes::End,
        };
        if is_known { RowOutcome::Changed } else { RowOutcome::New(becomes) }
    }
}

fn names_nobody(deal: &Deal) -> bool {
    deal.lead_id.is_none() && deal.email.is_none() && deal.phone.is_none() && !deal.clicks.has_click()
}

fn event_id(of_body: &Hash, reading: &Reading) -> String {
    reading.event_id.clone().unwrap_or_else(|| of_body.as_str().to_owned())
}

/// Of a million rows each must be remembered.
fn short(name: &str) -> [u8; 16] {
    let hash = Hash::of(name);
    let mut short = [0; 16];
    short.copy_from_slice(&hash.as_str().as_bytes()[..16]);
    short
}
