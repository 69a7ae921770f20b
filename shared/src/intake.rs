//! From a webhook to what it comes to: kept, read by the declaration of its source, matched, recorded and queued. One
//! way for the endpoint, for what the CRM had to be asked about, and for the operator's second look.

mod later;

use chrono::{DateTime, Utc};
use lambda_http::http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use later::{Resumed, fetch_due, rematch, resume};

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
use crate::inbox::events::{self, Event, State};
use crate::inbox::matching::Waiting;
use crate::inbox::receipts::{self, WebhookReceipt};
use crate::inbox::{self, Received, losses};
use crate::leads;
use crate::locks::{self, Locks};
use crate::platforms::{self, Plans};
use crate::settings::{FromSettings, Settings};

/// What the settings say about reports of CRMs.
pub struct Config {
    /// The CRMs that may report deals.
    pub sources: Sources,
    /// Where phone numbers without a country code come from.
    pub phone_region: Option<Region>,
    /// What the platforms want of the conversions that deals become.
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

/// A webhook whose sender proved who it is.
#[derive(Debug)]
pub struct Webhook<'a> {
    /// Where it came in.
    pub source: &'a Source,
    /// How the sender proved who it is.
    pub verified: Verified,
    /// The body.
    pub body: &'a [u8],
    /// The headers.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// What became of one event, for the sender.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It is a conversion, and these platforms will hear of it.
    Queued {
        /// The conversion.
        conversion_id: Uuid,
        /// The platforms.
        platforms: Vec<&'static str>,
    },
    /// It says nothing new.
    Duplicate {
        /// The conversion it became.
        #[serde(skip_serializing_if = "Option::is_none")]
        conversion_id: Option<Uuid>,
    },
    /// It is a conversion, and no platform will hear of it.
    Skipped {
        /// The conversion.
        conversion_id: Uuid,
        /// Why.
        reason: SkipReason,
    },
    /// It waits for its lead.
    AwaitingLead,
    /// It waits until the CRM has said what it left out.
    Received,
    /// The conversion has another value or time now.
    Restated {
        /// The conversion.
        conversion_id: Uuid,
        /// The platforms that will be told.
        platforms: Vec<String>,
    },
    /// The conversion was taken back.
    Retracted {
        /// The conversion.
        conversion_id: Uuid,
        /// The platforms that will be told.
        platforms: Vec<String>,
    },
    /// A loss, and nothing to take back yet.
    NothingToRetract,
    /// It means nothing to us.
    Ignored {
        /// Why.
        reason: String,
    },
    /// It can't be used.
    Rejected {
        /// Why.
        errors: Vec<FieldError>,
    },
}

/// One event and what became of it.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What could be of more use.
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

impl Taken {
    fn of(reading: Reading, outcome: Outcome, inbox_id: Option<Uuid>) -> Self {
        Self { outcome, warnings: reading.warnings, rule: reading.rule, crm_deal_id: reading.crm_deal_id, inbox_id }
    }

    fn as_event(&self, position: usize, source_event_id: String) -> Event {
        let (state, reason) = match &self.outcome {
            Outcome::Received => (State::Received, None),
            Outcome::Ignored { reason } => (State::Ignored, Some(reason.clone())),
            Outcome::Rejected { errors } => (State::Rejected, Some(in_words(errors))),
            _ => (State::Taken, None),
        };
        let (rule, crm_deal_id) = (self.rule.clone(), self.crm_deal_id.clone());
        Event { position, source_event_id, state, reason, rule, crm_deal_id, inbox_id: self.inbox_id }
    }
}

/// What the items of a body say, with the sender's id of each, by the declaration of its source. A body that can't be
/// read is one item that can't be used.
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
    // The signature's name for it is the whole body's.
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

/// Takes a webhook, all of it or, when this fails, nothing.
pub async fn receive(tx: &mut Tx, config: &Config, webhook: &Webhook<'_>) -> Result<Vec<Taken>, DbError> {
    let payload_hash = Hash::of(webhook.body);
    let readings = read_hashed(config, webhook, &payload_hash);
    // All at once and in one order: two bodies with the same deals can't deadlock.
    locks::take(tx, &readings.iter().map(|(_, reading)| locks_of(reading)).fold(Locks::default(), Locks::and)).await?;
    let (mut taken, mut kept): (Vec<Taken>, Vec<Event>) = (Vec::new(), Vec::new());
    for (position, (source_event_id, reading)) in readings.into_iter().enumerate() {
        // A loss that came before is no second one, even if the deal closed in between.
        let is_known = matches!(reading.meaning, Meaning::Report(Report::Lost(_)))
            && events::is_taken(tx, &webhook.source.name, &source_event_id).await?;
        let came = Came { at: webhook.received_at, is_known };
        let it = take(tx, config, reading, came, webhook.received_at).await?;
        if kept.iter().all(|event| event.source_event_id != source_event_id) {
            kept.push(it.as_event(position, source_event_id));
        }
        taken.push(it);
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
    let taken_before = events::keep(tx, receipt_id, receipt.source, &kept, webhook.received_at).await?;
    for event in kept.iter().filter(|event| event.state == State::Received) {
        // The CRM was asked about it before.
        if taken_before.contains(&event.source_event_id) {
            taken[event.position].outcome = Outcome::Duplicate { conversion_id: None };
        }
    }
    Ok(taken)
}

/// What would become of a webhook, with everything that would be stored for each of its deals. Rolls back.
pub async fn rehearse(db: &Db, config: &Config, webhook: &Webhook<'_>) -> Result<Vec<(Taken, Option<Entry>)>, DbError> {
    /// Rolls back in any case.
    enum End {
        Rehearsed(Vec<(Taken, Option<Entry>)>),
        Failed(DbError),
    }
    impl From<DbError> for End {
        fn from(error: DbError) -> Self {
            Self::Failed(error)
        }
    }
    let end = db.tx(async |tx| -> Result<(), End> {
        let mut rehearsed = Vec::new();
        for taken in receive(tx, config, webhook).await? {
            let stored = match taken.inbox_id {
                Some(id) => entry::of_deal(tx, id).await?,
                None => None,
            };
            rehearsed.push((taken, stored));
        }
        Err(End::Rehearsed(rehearsed))
    });
    match end.await {
        Err(End::Rehearsed(rehearsed)) => Ok(rehearsed),
        Err(End::Failed(error)) => Err(error),
        Ok(()) => Ok(Vec::new()),
    }
}

/// How a report came.
#[derive(Clone, Copy)]
struct Came {
    /// When it came first.
    at: DateTime<Utc>,
    /// Was the event taken before?
    is_known: bool,
}

/// What a reading comes to.
async fn take(
    tx: &mut Tx,
    config: &Config,
    mut reading: Reading,
    came: Came,
    now: DateTime<Utc>,
) -> Result<Taken, DbError> {
    let (outcome, inbox_id) = match &reading.meaning {
        Meaning::Report(Report::Reached(deal)) => {
            let received = inbox::receive(tx, deal, came.at, now).await?;
            reading.warnings.extend(shared_id(deal, &received));
            (reach(tx, config, deal, &received, now).await?, Some(received.inbox_id))
        }
        Meaning::Report(Report::Lost(loss)) => (undo(tx, &config.plans, loss, came.is_known, now).await?, None),
        Meaning::Fetch => (Outcome::Received, None),
        Meaning::Ignored(reason) => (Outcome::Ignored { reason: reason.clone() }, None),
        Meaning::Unusable(errors) => (Outcome::Rejected { errors: errors.clone() }, None),
    };
    Ok(Taken::of(reading, outcome, inbox_id))
}

async fn reach(
    tx: &mut Tx,
    config: &Config,
    deal: &Deal,
    received: &Received,
    now: DateTime<Utc>,
) -> Result<Outcome, DbError> {
    let inbox_id = received.inbox_id;
    if let Some(conversion_id) = received.conversion_id {
        let duplicate = Outcome::Duplicate { conversion_id: Some(conversion_id) };
        if !received.is_new {
            return Ok(duplicate);
        }
        if !conversions::reopen(tx, inbox_id).await? {
            let restated = conversions::restate(tx, &config.plans, inbox_id, now).await?;
            let Some(restated) = restated.filter(|it| it.is_worth_else || !it.is_retracted) else {
                return Ok(duplicate);
            };
            // It may have closed before its loss after all.
            let retracted =
                if restated.is_moved { retract(tx, &config.plans, &deal.crm_deal_id, now).await? } else { None };
            return Ok(retracted.unwrap_or(Outcome::Restated { conversion_id, platforms: restated.platforms }));
        }
    }
    let recorded = record_matches(tx, &config.plans, Waiting::Deal(inbox_id), now).await?.pop();
    Ok(recorded.map_or(Outcome::AwaitingLead, |recorded| match recorded.skip_reason {
        Some(reason) => Outcome::Skipped { conversion_id: recorded.conversion_id, reason },
        None => Outcome::Queued { conversion_id: recorded.conversion_id, platforms: recorded.platforms },
    }))
}

/// Two CRMs that number their deals alike would mix them up without a word.
fn shared_id(deal: &Deal, received: &Received) -> Option<Warning> {
    let detail = format!(
        "was reported by the source {} before: if that is another CRM, set their ids apart with deal_id = {{ join = […] }}",
        received.source
    );
    (received.source != deal.source).then_some(Warning { field: "deal_id", detail })
}

async fn undo(tx: &mut Tx, plans: &Plans, loss: &Loss, is_known: bool, now: DateTime<Utc>) -> Result<Outcome, DbError> {
    losses::keep(tx, loss, is_known, now).await?;
    // What was noticed after the loss counts now.
    for inbox_id in inbox::settle_times(tx, &loss.crm_deal_id).await? {
        conversions::restate(tx, plans, inbox_id, now).await?;
    }
    let retracted = retract(tx, plans, &loss.crm_deal_id, now).await?;
    if retracted.is_none() {
        leads::renew_status(tx, &[&loss.crm_deal_id]).await?;
    }
    Ok(retracted.unwrap_or(Outcome::NothingToRetract))
}

async fn retract(
    tx: &mut Tx,
    plans: &Plans,
    crm_deal_id: &str,
    now: DateTime<Utc>,
) -> Result<Option<Outcome>, DbError> {
    let Some(retracted) = conversions::retract(tx, plans, crm_deal_id, now).await? else { return Ok(None) };
    leads::renew_status(tx, &[crm_deal_id]).await?;
    Ok(Some(Outcome::Retracted { conversion_id: retracted.conversion_id, platforms: retracted.platforms }))
}

/// What to lock before a reading is applied.
fn locks_of(reading: &Reading) -> Locks {
    match &reading.meaning {
        Meaning::Report(Report::Reached(deal)) => inbox::locks_of(deal),
        Meaning::Report(Report::Lost(loss)) => Locks::of_deal(&loss.crm_deal_id),
        _ => Locks::default(),
    }
}

/// What each item is recognised by when it has no id: the body, or its own part of it.
fn payload_hashes(of_body: &Hash, items: &[Value]) -> Vec<Hash> {
    match items {
        [_] => vec![of_body.clone()],
        items => items.iter().map(|item| Hash::of(item.to_string())).collect(),
    }
}

/// Headers that help to explain a webhook and can't be secret or personal.
const TELLING: [&str; 8] = [
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
        let known = TELLING.contains(&name.as_str());
        (name.to_string(), value(name.as_str()).filter(|_| known).unwrap_or(Value::Null))
    });
    Value::Object(shown.collect::<Map<_, _>>())
}
