//! From a webhook to its outcome: stored, read by the declaration of its source, matched, recorded and queued. One path
//! for the endpoint, for events that needed a lookup, and for the operator's retries.

mod follow_up;

use chrono::{DateTime, Utc};
use lambda_http::http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use follow_up::{Resumed, fetch_due, rematch, resume};

use crate::clock::Clock;
use crate::config;
use crate::conversions::{self, SkipReason, record_matches};
use crate::crm::authentication::Verified;
use crate::crm::{Circumstances, Meaning, Reading, Report, Source, Sources};
use crate::db::{Db, DbError, Tx};
use crate::deals::{Deal, Loss};
use crate::http::Warning;
use crate::http::problem::{FieldError, in_words};
use crate::identity::{Hash, Region};
use crate::inbox::entry::{self, Entry};
use crate::inbox::events::{self, EventState, InboxEvent};
use crate::inbox::matching::Waiting;
use crate::inbox::receipts::{self, WebhookReceipt};
use crate::inbox::{self, Received, losses};
use crate::leads;
use crate::locks::{self, Locks};
use crate::platforms::{self, Plans};
use crate::settings::{FromSettings, Settings};

/// Settings for the reports of CRMs.
pub struct Config {
    /// The CRMs that may report deals.
    pub sources: Sources,
    /// The region of phone numbers without a country code.
    pub phone_region: Option<Region>,
    /// What the platforms accept of the conversions that deals become.
    pub plans: Plans,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        Self {
            sources: config::crm_sources(settings),
            phone_region: config::phone_region(settings),
            plans: platforms::plans(settings),
        }
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
    /// The headers.
    pub headers: &'a HeaderMap,
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
        platforms: Vec<&'static str>,
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
    /// The rule of the declaration that decided.
    #[serde(skip)]
    pub rule: Option<String>,
    /// The deal it is about.
    #[serde(skip)]
    pub crm_deal_id: Option<String>,
    /// Where in the inbox that deal is.
    #[serde(skip)]
    pub inbox_id: Option<Uuid>,
}

impl Processed {
    fn of(reading: Reading, outcome: EventOutcome, inbox_id: Option<Uuid>) -> Self {
        Self { outcome, warnings: reading.warnings, rule: reading.rule, crm_deal_id: reading.crm_deal_id, inbox_id }
    }

    fn as_event(&self, position: usize, source_event_id: String) -> InboxEvent {
        let (state, reason) = match &self.outcome {
            EventOutcome::Received => (EventState::Received, None),
            EventOutcome::Ignored { reason } => (EventState::Ignored, Some(reason.clone())),
            EventOutcome::Rejected { errors } => (EventState::Rejected, Some(in_words(errors))),
            _ => (EventState::Taken, None),
        };
        let (rule, crm_deal_id) = (self.rule.clone(), self.crm_deal_id.clone());
        InboxEvent { position, source_event_id, state, reason, rule, crm_deal_id, inbox_id: self.inbox_id }
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
        .iter()
        .zip(payload_hashes)
        .map(|(item, payload_hash)| {
            let source_event_id = payload_hash.as_str().to_owned();
            let circumstances = Circumstances {
                received_at: webhook.received_at,
                region: config.phone_region,
                payload_hash,
                event_id: event_id.clone(),
            };
            let reading = webhook.source.read(item, &circumstances);
            (reading.event_id.clone().unwrap_or(source_event_id), reading)
        })
        .collect()
}

/// Processes a webhook, all of it or, if this fails, nothing.
pub async fn receive(tx: &mut Tx, config: &Config, webhook: &Webhook<'_>) -> Result<Vec<Processed>, DbError> {
    let payload_hash = Hash::of(webhook.body);
    let readings = read_hashed(config, webhook, &payload_hash);
    // All at once and in one order: two bodies with the same deals can't deadlock.
    locks::take(tx, &readings.iter().map(|(_, reading)| locks_of(reading)).fold(Locks::default(), Locks::and)).await?;
    let (mut processed, mut kept): (Vec<Processed>, Vec<InboxEvent>) = (Vec::new(), Vec::new());
    for (position, (source_event_id, reading)) in readings.into_iter().enumerate() {
        // A repeated loss doesn't count again, even if the deal closed in between.
        let is_known = matches!(reading.meaning, Meaning::Report(Report::Lost(_)))
            && events::is_taken(tx, &webhook.source.name, &source_event_id).await?;
        let arrival = Arrival { at: webhook.received_at, is_known };
        let it = process(tx, config, reading, arrival, webhook.received_at).await?;
        if kept.iter().all(|event| event.source_event_id != source_event_id) {
            kept.push(it.as_event(position, source_event_id));
        }
        processed.push(it);
    }
    let receipt = WebhookReceipt {
        source: &webhook.source.name,
        payload_hash: &payload_hash,
        body: webhook.body,
        headers: &redacted(webhook.headers),
        verified_by: webhook.verified.scheme,
        verified_with: &webhook.verified.secret,
    };
    let receipt_id = receipts::keep(tx, &receipt, webhook.received_at).await?;
    let processed_before = events::keep(tx, receipt_id, receipt.source, &kept, webhook.received_at).await?;
    for event in kept.iter().filter(|event| event.state == EventState::Received) {
        // Its lookup was done before.
        if processed_before.contains(&event.source_event_id) {
            processed[event.position].outcome = EventOutcome::Duplicate { conversion_id: None };
        }
    }
    Ok(processed)
}

/// The outcomes a webhook would have, with everything that would be stored for each of its deals. Rolls back.
pub async fn dry_run(
    db: &Db,
    config: &Config,
    webhook: &Webhook<'_>,
) -> Result<Vec<(Processed, Option<Entry>)>, DbError> {
    /// Rolls back in any case.
    enum End {
        DryRun(Vec<(Processed, Option<Entry>)>),
        Failed(DbError),
    }
    impl From<DbError> for End {
        fn from(error: DbError) -> Self {
            Self::Failed(error)
        }
    }
    let end = db.tx(async |tx| -> Result<(), End> {
        let mut results = Vec::new();
        for item in receive(tx, config, webhook).await? {
            let stored = match item.inbox_id {
                Some(id) => entry::of_deal(tx, id).await?,
                None => None,
            };
            results.push((item, stored));
        }
        Err(End::DryRun(results))
    });
    match end.await {
        Err(End::DryRun(results)) => Ok(results),
        Err(End::Failed(error)) => Err(error),
        Ok(()) => Ok(Vec::new()),
    }
}

/// How a report arrived.
#[derive(Clone, Copy)]
struct Arrival {
    /// When it was first received.
    at: DateTime<Utc>,
    /// Was the event processed before?
    is_known: bool,
}

/// Applies a reading and returns its outcome.
async fn process(
    tx: &mut Tx,
    config: &Config,
    mut reading: Reading,
    arrival: Arrival,
    now: DateTime<Utc>,
) -> Result<Processed, DbError> {
    let (outcome, inbox_id) = match &reading.meaning {
        Meaning::Report(Report::Reached(deal)) => {
            let received = inbox::receive(tx, deal, arrival.at, now).await?;
            reading.warnings.extend(shared_id(deal, &received));
            (apply_stage(tx, config, deal, &received, now).await?, Some(received.inbox_id))
        }
        Meaning::Report(Report::Lost(loss)) => {
            (apply_loss(tx, &config.plans, loss, arrival.is_known, now).await?, None)
        }
        Meaning::Fetch => (EventOutcome::Received, None),
        Meaning::Ignored(reason) => (EventOutcome::Ignored { reason: reason.clone() }, None),
        Meaning::Unusable(errors) => (EventOutcome::Rejected { errors: errors.clone() }, None),
    };
    Ok(Processed::of(reading, outcome, inbox_id))
}

async fn apply_stage(
    tx: &mut Tx,
    config: &Config,
    deal: &Deal,
    received: &Received,
    now: DateTime<Utc>,
) -> Result<EventOutcome, DbError> {
    let inbox_id = received.inbox_id;
    if let Some(conversion_id) = received.conversion_id {
        let duplicate = EventOutcome::Duplicate { conversion_id: Some(conversion_id) };
        if !received.is_new {
            return Ok(duplicate);
        }
        if !conversions::reopen(tx, inbox_id).await? {
            let restated = conversions::restate(tx, &config.plans, inbox_id, now).await?;
            let Some(restated) = restated.filter(|it| it.value_changed || !it.was_retracted) else {
                return Ok(duplicate);
            };
            // Its new time may be before the loss.
            let retracted =
                if restated.time_changed { retract(tx, &config.plans, &deal.crm_deal_id, now).await? } else { None };
            return Ok(retracted.unwrap_or(EventOutcome::Restated { conversion_id, platforms: restated.platforms }));
        }
    }
    let recorded = record_matches(tx, &config.plans, Waiting::Deal(inbox_id), now).await?.pop();
    Ok(recorded.map_or(EventOutcome::AwaitingLead, |recorded| match recorded.skip_reason {
        Some(reason) => EventOutcome::Skipped { conversion_id: recorded.conversion_id, reason },
        None => EventOutcome::Queued { conversion_id: recorded.conversion_id, platforms: recorded.platforms },
    }))
}

/// Warns when two CRMs may use the same deal numbers, which would silently mix their deals.
fn shared_id(deal: &Deal, received: &Received) -> Option<Warning> {
    let detail = format!(
        "was reported by the source {} before: if that is another CRM, separate their ids with deal_id = {{ join = […] }}",
        received.source
    );
    (received.source != deal.source).then_some(Warning { field: "deal_id", detail })
}

async fn apply_loss(
    tx: &mut Tx,
    plans: &Plans,
    loss: &Loss,
    is_known: bool,
    now: DateTime<Utc>,
) -> Result<EventOutcome, DbError> {
    losses::keep(tx, loss, is_known, now).await?;
    // Reports with a time after the loss count now.
    for inbox_id in inbox::settle_times(tx, &loss.crm_deal_id).await? {
        conversions::restate(tx, plans, inbox_id, now).await?;
    }
    let retracted = retract(tx, plans, &loss.crm_deal_id, now).await?;
    if retracted.is_none() {
        leads::renew_status(tx, &[&loss.crm_deal_id]).await?;
    }
    Ok(retracted.unwrap_or(EventOutcome::NothingToRetract))
}

async fn retract(
    tx: &mut Tx,
    plans: &Plans,
    crm_deal_id: &str,
    now: DateTime<Utc>,
) -> Result<Option<EventOutcome>, DbError> {
    let Some(retracted) = conversions::retract(tx, plans, crm_deal_id, now).await? else { return Ok(None) };
    leads::renew_status(tx, &[crm_deal_id]).await?;
    Ok(Some(EventOutcome::Retracted { conversion_id: retracted.conversion_id, platforms: retracted.platforms }))
}

/// What to lock before a reading is applied.
fn locks_of(reading: &Reading) -> Locks {
    match &reading.meaning {
        Meaning::Report(Report::Reached(deal)) => inbox::locks_of(deal),
        Meaning::Report(Report::Lost(loss)) => Locks::of_deal(&loss.crm_deal_id),
        _ => Locks::default(),
    }
}

/// What identifies each item if it has no id: the hash of the body, or of its own part.
fn payload_hashes(of_body: &Hash, items: &[Value]) -> Vec<Hash> {
    match items {
        [_] => vec![of_body.clone()],
        items => items.iter().map(|item| Hash::of(item.to_string())).collect(),
    }
}

/// Headers that help to explain a webhook and can't be secret or personal.
const SAFE_HEADERS: [&str; 8] = [
    "content-type",
    "content-length",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-hubspot-request-timestamp",
    "close-sig-timestamp",
    "x-amzn-trace-id",
];

fn redacted(headers: &HeaderMap) -> Value {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Value::from);
    let shown = headers.keys().take(50).map(|name| {
        let known = SAFE_HEADERS.contains(&name.as_str());
        (name.to_string(), value(name.as_str()).filter(|_| known).unwrap_or(Value::Null))
    });
    Value::Object(shown.collect::<Map<_, _>>())
}
