//! From a webhook to its outcome: stored, read by the declaration of its source, matched, recorded and queued. One path
//! for the endpoint, for events that needed a lookup, and for the operator's retries.

mod applying;
mod follow_up;
mod headers;
mod importing;
mod merging;
mod reading_again;
mod rereading;

use std::collections::BTreeSet;

use applying::{Event, process};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

pub use follow_up::{Resumed, fetch_due, rematch, resume, resume_from};
pub use headers::KeptHeaders;
pub use importing::{Becomes, Import, Row, RowOutcome};
pub use rereading::reread;

use crate::clock::Clock;
use crate::config;
use crate::conversions::SkipReason;
use crate::crm::authentication::Verified;
use crate::crm::{Circumstances, Item, Meaning, Reading, Report, Source, Sources};
use crate::db::{Db, DbError, Tx};
use crate::http::Warning;
use crate::http::problem::{FieldError, in_words};
use crate::identity::{Hash, Region};
use crate::inbox;
use crate::inbox::entry::{self, Entry};
use crate::inbox::events::{self, EventState, InboxEvent};
use crate::inbox::ignored;
use crate::inbox::matching::MatchBy;
use crate::inbox::names::{self, Names};
use crate::inbox::receipts::{self, WebhookReceipt};
use crate::leads;
use crate::locks::Locks;
use crate::platforms::{self, Destinations};
use crate::settings::{FromSettings, Settings};
use crate::texts::{SENTENCE, fit};

/// Settings for the reports of CRMs.
pub struct Config {
    /// The CRMs that may report deals.
    pub sources: Sources,
    /// The region of phone numbers without a country code.
    pub phone_region: Option<Region>,
    /// What a deal's lead may be found by.
    pub match_by: MatchBy,
    /// What the platforms accept of the conversions that deals become.
    pub destinations: Destinations,
}

impl Config {
    /// Those of deployments with these destinations.
    #[must_use]
    pub fn with(destinations: Destinations, settings: &mut Settings) -> Self {
        Self {
            sources: config::crm_sources(settings),
            phone_region: config::phone_region(settings),
            match_by: config::match_by(settings),
            destinations,
        }
    }
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self::with(platforms::destinations(settings), settings)
    }
}

/// A webhook whose sender is authenticated.
#[derive(Debug)]
pub struct Webhook<'a> {
    /// The source it was sent to.
    pub source: &'a Source,
    /// How the sender was authenticated.
    pub verified: Verified,
    /// The body.
    pub body: &'a [u8],
    /// The headers, as they are kept.
    pub headers: &'a KeptHeaders,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// The outcome of one event, for the sender.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum EventOutcome {
    /// It is a conversion, queued for these platforms.
    Queued {
        /// The conversion.
        conversion_id: Uuid,
        /// The platforms.
        platforms: Vec<String>,
    },
    /// It was reported before.
    Duplicate {
        /// The conversion it became.
        #[serde(skip_serializing_if = "Option::is_none")]
        conversion_id: Option<Uuid>,
    },
    /// It is a conversion that isn't sent to any platform.
    Skipped {
        /// The conversion.
        conversion_id: Uuid,
        /// Why.
        reason: SkipReason,
    },
    /// It waits for its lead.
    AwaitingLead,
    /// It waits for a lookup of what the CRM left out.
    Received,
    /// The conversion has another value or time now.
    Restated {
        /// The conversion.
        conversion_id: Uuid,
        /// The lanes that will send the correction.
        platforms: Vec<String>,
    },
    /// The conversion was retracted.
    Retracted {
        /// The conversion.
        conversion_id: Uuid,
        /// The lanes that will send the correction.
        platforms: Vec<String>,
    },
    /// A loss, and nothing to retract yet.
    NothingToRetract,
    /// Deals are one now.
    Merged {
        /// The one that is left.
        crm_deal_id: String,
        /// The lanes that will send something because of that.
        platforms: Vec<String>,
    },
    /// It calls for no action.
    Ignored {
        /// Why.
        reason: String,
    },
    /// It is invalid.
    Rejected {
        /// Why.
        errors: Vec<FieldError>,
    },
}

/// One event and its outcome.
#[derive(Debug, Serialize)]
pub struct Processed {
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: EventOutcome,
    /// What could be improved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// The JSON Pointer to it in the body; empty if it is the body itself.
    #[serde(skip)]
    pub at: String,
    /// The rule of the declaration that decided.
    #[serde(skip)]
    pub rule: Option<String>,
    /// The deal it is about.
    #[serde(skip)]
    pub crm_deal_id: Option<String>,
    /// Where in the inbox that deal is.
    #[serde(skip)]
    pub inbox_id: Option<Uuid>,
    /// The deal, as it is called now, if the status of its lead may be another one.
    #[serde(skip)]
    concerns: Option<String>,
}

impl Processed {
    /// What is wrong with it, field by field; with itself, where it is in the body.
    #[must_use]
    pub fn errors(&self) -> Vec<FieldError> {
        let EventOutcome::Rejected { errors } = &self.outcome else { return Vec::new() };
        let placed = |error: &FieldError| match error.pointer.as_str() {
            "" => error.clone().within(&self.at),
            _ => error.clone(),
        };
        errors.iter().map(placed).collect()
    }

    fn as_event(&self, position: usize, source_event_id: String) -> InboxEvent {
        let (state, reason) = match &self.outcome {
            EventOutcome::Received => (EventState::Received, None),
            EventOutcome::Ignored { reason } => (EventState::Ignored, Some(reason.clone())),
            EventOutcome::Rejected { .. } => (EventState::Rejected, Some(in_words(&self.errors()))),
            _ => (EventState::Taken, None),
        };
        let reason = reason.map(|reason| fit(&reason, SENTENCE));
        let (rule, crm_deal_id) = (self.rule.clone(), self.crm_deal_id.clone());
        let warnings = json!(self.warnings);
        InboxEvent { position, source_event_id, state, reason, rule, crm_deal_id, inbox_id: self.inbox_id, warnings }
    }
}

/// Reads the items of a body by the declaration of its source, with the sender's id of each. A body that can't be read
/// is one invalid item.
#[must_use]
pub fn read(config: &Config, webhook: &Webhook<'_>) -> Vec<(String, Reading)> {
    read_hashed(config, webhook, &Hash::of(webhook.body))
}

fn read_hashed(config: &Config, webhook: &Webhook<'_>, of_body: &Hash) -> Vec<(String, Reading)> {
    let items = match webhook.source.items(webhook.body) {
        Ok(items) => items,
        Err(errors) => return vec![(of_body.as_str().to_owned(), Reading::unusable(errors))],
    };
    let payload_hashes = payload_hashes(of_body, &items);
    // The signature's event id is that of the whole body.
    let event_id = webhook.verified.event_id.clone().filter(|_| items.len() == 1);
    items
        .into_iter()
        .zip(payload_hashes)
        .map(|(item, payload_hash)| {
            let source_event_id = payload_hash.as_str().to_owned();
            let circumstances = Circumstances {
                received_at: webhook.received_at,
                region: config.phone_region,
                payload_hash,
                event_id: event_id.clone(),
                has_replaced: item.has_replaced,
            };
            let reading = webhook.source.read_item(&item, &circumstances);
            (reading.event_id.clone().unwrap_or(source_event_id), reading)
        })
        .collect()
}

/// Processes a webhook, all of it or, if this fails, nothing.
pub async fn receive(tx: &mut Tx, config: &Config, webhook: &Webhook<'_>) -> Result<Vec<Processed>, DbError> {
    let payload_hash = Hash::of(webhook.body);
    let events = read_hashed(config, webhook, &payload_hash);
    let receipt = WebhookReceipt {
        source: &webhook.source.name,
        payload_hash: &payload_hash,
        body: webhook.body,
        headers: webhook.headers.as_json(),
        verified_by: &webhook.verified.scheme,
        verified_with: &webhook.verified.secret,
    };
    let bodies = vec![ReadBody { receipt, events }];
    let processed = store(tx, config, &webhook.source.name, bodies, webhook.received_at).await?;
    Ok(processed.into_iter().flatten().collect())
}

/// A body with what was read in it, each event with its sender's id.
struct ReadBody<'a> {
    receipt: WebhookReceipt<'a>,
    events: Vec<(String, Reading)>,
}

/// Processes bodies of one source that arrived together, in their order, and keeps them. Returns the outcomes of each.
async fn store(
    tx: &mut Tx,
    config: &Config,
    source: &str,
    bodies: Vec<ReadBody<'_>>,
    received_at: DateTime<Utc>,
) -> Result<Vec<Vec<Processed>>, DbError> {
    let (mut receipts, mut readings) = (Vec::new(), Vec::new());
    for ReadBody { receipt, events } in bodies {
        receipts.push((receipt, events.len()));
        readings.extend(events);
    }
    // All at once and in one order: two bodies with the same deals can't deadlock.
    let names = lock(tx, readings.iter().map(|(_, reading)| reading)).await?;
    let known = known_losses(tx, source, &readings).await?;
    let (ids, readings): (Vec<_>, Vec<_>) = readings.into_iter().unzip();
    let event = |(reading, is_known)| Event { reading, is_known, arrived_at: received_at };
    let events = readings.into_iter().zip(known).map(event).collect();
    let all = process(tx, config, events, names, received_at).await?;
    let mut all = ids.into_iter().zip(all);
    let mut stored = Vec::new();
    for (receipt, length) in receipts {
        let (ids, mut processed): (Vec<_>, Vec<_>) = all.by_ref().take(length).unzip();
        let mut kept: Vec<InboxEvent> = Vec::new();
        for (position, (source_event_id, it)) in ids.into_iter().zip(&processed).enumerate() {
            if kept.iter().all(|event| event.source_event_id != source_event_id) {
                kept.push(it.as_event(position, source_event_id));
            }
        }
        let processed_before = receipts::keep(tx, &receipt, &kept, received_at).await?;
        for event in kept.iter().filter(|event| event.state == EventState::Received) {
            // Its lookup was done before.
            if processed_before.contains(&event.source_event_id) {
                processed[event.position].outcome = EventOutcome::Duplicate { conversion_id: None };
            }
        }
        stored.push(processed);
    }
    let all = || stored.iter().flatten();
    renew_status(tx, all()).await?;
    ignored::count(tx, source, ignored_of(all()), received_at).await?;
    Ok(stored)
}

/// Why events were ignored.
fn ignored_of<'a>(processed: impl Iterator<Item = &'a Processed>) -> impl Iterator<Item = &'a str> {
    processed.filter_map(|it| match &it.outcome {
        EventOutcome::Ignored { reason } => Some(reason.as_str()),
        _ => None,
    })
}

/// Which of these are losses that were processed before, in an earlier body or earlier in this one. A repeated loss
/// doesn't count again, even if the deal closed in between.
async fn known_losses(tx: &mut Tx, source: &str, readings: &[(String, Reading)]) -> Result<Vec<bool>, DbError> {
    let is_loss = |reading: &Reading| match &reading.meaning {
        Meaning::Report(Report::Lost(_)) => true,
        Meaning::Report(Report::Reached(deal)) => deal.is_open,
        _ => false,
    };
    let losses: Vec<_> = readings.iter().filter(|(_, reading)| is_loss(reading)).map(|(id, _)| id.as_str()).collect();
    let taken = events::taken(tx, source, &losses).await?;
    let mut seen: BTreeSet<&str> = taken.iter().map(String::as_str).collect();
    let mut known = Vec::with_capacity(readings.len());
    for (id, reading) in readings {
        let is_report = matches!(reading.meaning, Meaning::Report(_));
        let is_repeated = is_report && !seen.insert(id);
        known.push(is_repeated && is_loss(reading));
    }
    Ok(known)
}

/// Renews the status of the leads that events concern. Comes last in the transaction, but for what is counted.
async fn renew_status<'a>(tx: &mut Tx, processed: impl Iterator<Item = &'a Processed>) -> Result<(), DbError> {
    let deals = processed.filter_map(|it| it.concerns.as_deref());
    leads::renew_status(tx, &deals.collect::<Vec<_>>(), &[]).await
}

/// The outcomes a webhook would have, with everything that would be stored for each of its deals. Rolls back.
pub async fn dry_run(
    db: &Db,
    config: &Config,
    webhook: &Webhook<'_>,
) -> Result<Vec<(Processed, Option<Entry>)>, DbError> {
    db.rolled_back(async |tx| {
        let mut results = Vec::new();
        for item in receive(tx, config, webhook).await? {
            let stored = match item.inbox_id {
                Some(id) => entry::of_deal(tx, id).await?,
                None => None,
            };
            results.push((item, stored));
        }
        Ok(results)
    })
    .await
}

/// Locks the deals and persons of these readings, before they are applied. Returns whose the deals' names are.
async fn lock<'a>(tx: &mut Tx, readings: impl Iterator<Item = &'a Reading>) -> Result<Names, DbError> {
    let (mut deals, mut persons) = (Vec::new(), Locks::default());
    for reading in readings {
        deals.extend(reading.names());
        if let Meaning::Report(Report::Reached(deal)) = &reading.meaning {
            persons = persons.and(inbox::locks_of(deal));
        }
    }
    names::lock(tx, deals, persons).await
}

/// What identifies each item if it has no id: the hash of the body, or of its own part. What is no item is nothing but
/// its place in this body.
fn payload_hashes(of_body: &Hash, items: &[Item]) -> Vec<Hash> {
    let hash = |item: &Item| match item.fault {
        Some(_) => Hash::of(format!("{}\n{}", of_body.as_str(), item.at)),
        None => Hash::of(item.value.to_string()),
    };
    match items {
        [_] => vec![of_body.clone()],
        items => items.iter().map(hash).collect(),
    }
}
