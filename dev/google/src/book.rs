//! The book of conversions. Both APIs write to it, and Google counts by it.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::ads_account::ConversionAction;
use crate::request_body::RequestBody;

/// By which API a conversion or an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Data Manager, `events:ingest`.
    DataManager,
    /// The Google Ads API, `uploadClickConversions`.
    GoogleAds,
    /// The Measurement Protocol, `mp/collect`.
    MeasurementProtocol,
}

/// A conversion as Google would count it: one per conversion action and id, however often it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// The account that it counts for: ten digits.
    pub customer_id: String,
    /// The conversion action's numeric id, within the account.
    pub conversion_action: String,
    /// The `transactionId` or `orderId`. Empty for a click conversion without one.
    pub id: String,
    /// The current value: the last one sent or restated. `None` when none was ever sent.
    pub value: Option<f64>,
    /// The currency of that value.
    pub currency: Option<String>,
    /// Whether it was retracted. A retracted conversion stays retracted.
    pub retracted: bool,
    /// How many times it was accepted, adjustments not counted.
    pub received: u32,
    /// By which APIs.
    pub transports: BTreeSet<Transport>,
    /// The request that brought it, the latest if it came more than once. `None` when bodies are not kept.
    #[serde(skip)]
    pub body: Option<RequestBody>,
}

/// What tells the conversions of one action apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// By the advertiser's own id.
    Order(String),
    /// By click id and time.
    Click(String, DateTime<Utc>),
}

/// One arrival of a conversion.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub transport: Transport,
    /// When the conversion happened.
    pub occurred_at: DateTime<Utc>,
    pub amount: Option<Amount>,
    /// What brought it, if that was Data Manager.
    pub submission: Option<Origin>,
    /// The request that brought it, if bodies are kept.
    pub body: Option<RequestBody>,
}

/// A place in a Data Manager request.
#[derive(Debug)]
pub(crate) struct Origin {
    pub request_id: String,
    /// Which of its destinations this is about.
    pub destination: usize,
    pub event: usize,
}

/// A value and its currency, if one was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Amount {
    pub value: f64,
    pub currency: Option<String>,
}

/// What was received about one conversion.
#[derive(Debug)]
enum Receipt {
    Arrived(Arrival),
    /// It arrived, and processing refused it later.
    Refused,
    Retracted,
    Restated {
        at: DateTime<Utc>,
        amount: Amount,
    },
}

/// The state of a conversion after everything received about it.
#[derive(Debug)]
pub(crate) struct Standing {
    pub occurred_at: DateTime<Utc>,
    pub amount: Option<Amount>,
    pub retracted: bool,
    pub last_restatement: Option<DateTime<Utc>>,
    received: u32,
    transports: BTreeSet<Transport>,
    body: Option<RequestBody>,
}

#[derive(Debug)]
struct Entry {
    action: ConversionAction,
    identity: Identity,
    receipts: Vec<Receipt>,
}

/// Everything received about every conversion.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Vec<Entry>,
    /// One place per conversion action.
    places: HashMap<Identity, Vec<usize>>,
}

impl Book {
    pub(crate) fn arrive(&mut self, action: &ConversionAction, identity: Identity, arrival: Arrival) {
        let place = self.place(action, &identity).unwrap_or_else(|| self.open(action, identity));
        self.entries[place].receipts.push(Receipt::Arrived(arrival));
    }

    /// Books an adjustment of a conversion that is there: without an amount its retraction, with one its restatement.
    pub(crate) fn adjust(
        &mut self,
        action: &ConversionAction,
        identity: &Identity,
        at: DateTime<Utc>,
        amount: Option<Amount>,
    ) {
        if let Some(place) = self.place(action, identity) {
            let receipt = amount.map_or(Receipt::Retracted, |amount| Receipt::Restated { at, amount });
            self.entries[place].receipts.push(receipt);
        }
    }

    /// Removes the arrivals of `identity` in the submissions for which `is_refused` returns true.
    pub(crate) fn refuse(&mut self, identity: &Identity, mut is_refused: impl FnMut(&Origin) -> bool) {
        for &place in self.places.get(identity).into_iter().flatten() {
            self.entries[place].refuse(&mut is_refused);
        }
    }

    /// Removes everything that arrived with one request for one of its destinations.
    pub(crate) fn refuse_submission(&mut self, request_id: &str, index: usize) {
        for entry in &mut self.entries {
            entry.refuse(&mut |origin| origin.request_id == request_id && origin.destination == index);
        }
    }

    /// The state of a conversion. `None` if Google counts none.
    pub(crate) fn standing(&self, action: &ConversionAction, identity: &Identity) -> Option<Standing> {
        self.entries[self.place(action, identity)?].standing()
    }

    /// In the order of their first arrival.
    pub(crate) fn conversions(&self) -> Vec<Conversion> {
        self.entries.iter().filter_map(Entry::counted).collect()
    }

    fn place(&self, action: &ConversionAction, identity: &Identity) -> Option<usize> {
        self.places.get(identity)?.iter().copied().find(|&place| self.entries[place].action == *action)
    }

    fn open(&mut self, action: &ConversionAction, identity: Identity) -> usize {
        let place = self.entries.len();
        self.places.entry(identity.clone()).or_default().push(place);
        self.entries.push(Entry { action: action.clone(), identity, receipts: Vec::new() });
        place
    }
}

impl Entry {
    fn refuse(&mut self, is_refused: &mut impl FnMut(&Origin) -> bool) {
        for receipt in &mut self.receipts {
            if let Receipt::Arrived(Arrival { submission: Some(submission), .. }) = receipt
                && is_refused(submission)
            {
                *receipt = Receipt::Refused;
            }
        }
    }

    fn standing(&self) -> Option<Standing> {
        let arrivals = || {
            self.receipts.iter().filter_map(|receipt| match receipt {
                Receipt::Arrived(arrival) => Some(arrival),
                _ => None,
            })
        };
        let mut standing = Standing {
            occurred_at: arrivals().next()?.occurred_at,
            amount: None,
            retracted: false,
            last_restatement: None,
            received: 0,
            transports: arrivals().map(|arrival| arrival.transport).collect(),
            body: arrivals().next_back().and_then(|arrival| arrival.body.clone()),
        };
        for receipt in &self.receipts {
            match receipt {
                Receipt::Arrived(arrival) => {
                    standing.received += 1;
                    if arrival.amount.is_some() {
                        standing.amount.clone_from(&arrival.amount);
                    }
                }
                Receipt::Refused => {}
                Receipt::Retracted => standing.retracted = true,
                Receipt::Restated { at, amount } => {
                    standing.last_restatement = Some(*at);
                    let currency = amount.currency.clone().or_else(|| standing.amount.take()?.currency);
                    standing.amount = Some(Amount { value: amount.value, currency });
                }
            }
        }
        Some(standing)
    }

    fn counted(&self) -> Option<Conversion> {
        let standing = self.standing()?;
        Some(Conversion {
            customer_id: self.action.customer_id.clone(),
            conversion_action: self.action.id.clone(),
            id: match &self.identity {
                Identity::Order(id) => id.clone(),
                Identity::Click(..) => String::new(),
            },
            value: standing.amount.as_ref().map(|amount| amount.value),
            currency: standing.amount.and_then(|amount| amount.currency),
            retracted: standing.retracted,
            received: standing.received,
            transports: standing.transports,
            body: standing.body,
        })
    }
}
