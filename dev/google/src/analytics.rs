//! Google Analytics: the properties that exist in the sandbox, and the events that they count.

pub(crate) mod collect;
pub(crate) mod ingested;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::book::Transport;

/// A property of Google Analytics that the same credentials may write to.
#[derive(Clone, Debug)]
pub struct AnalyticsProperty {
    /// Its number.
    pub property_id: String,
    /// The measurement ids of its web streams.
    pub streams: BTreeSet<String>,
    /// The Measurement Protocol API secret of all its streams.
    pub api_secret: String,
}

impl AnalyticsProperty {
    pub fn new<S: Into<String>>(
        property_id: impl Into<String>,
        streams: impl IntoIterator<Item = S>,
        api_secret: impl Into<String>,
    ) -> Self {
        let streams = streams.into_iter().map(Into::into).collect();
        Self { property_id: property_id.into(), streams, api_secret: api_secret.into() }
    }

    /// The property of local development.
    #[must_use]
    pub fn dev() -> Self {
        Self::new("123456789", ["G-DEV1234567"], "dev-ga4-secret")
    }
}

/// An event as Google Analytics counts it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CountedEvent {
    /// The stream.
    pub measurement_id: String,
    pub transport: Transport,
    pub name: String,
    pub client_id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The parameters by their names, also those that have fields of their own in the Data Manager API.
    pub params: BTreeMap<String, Value>,
    /// What the person said: `ad_user_data` and `ad_personalization`, each `GRANTED` or `DENIED`.
    pub consent: BTreeMap<String, String>,
    /// Did it come with hashes of a person?
    pub has_user_data: bool,
    pub received_at: DateTime<Utc>,
}

impl CountedEvent {
    /// A parameter as a text.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        self.params.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
    }
}

/// What is wrong with a request to the Measurement Protocol, which it doesn't tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub field_path: String,
    pub description: String,
    pub validation_code: String,
}

/// What the properties received.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Analytics {
    /// The events that are counted. Of purchases with the same transaction id at one stream only the first.
    pub events: Vec<CountedEvent>,
    /// How many purchases came again.
    pub repeated_purchases: usize,
    /// What was wrong with requests to the Measurement Protocol, and why the others weren't counted.
    pub findings: Vec<Finding>,
    #[serde(skip)]
    purchases: HashSet<(String, String)>,
}

impl Analytics {
    fn count(&mut self, event: CountedEvent) {
        let id = event.param("transaction_id").filter(|_| event.name == "purchase");
        // One without an id can't be told from another.
        if id.is_some_and(|id| !self.purchases.insert((event.measurement_id.clone(), id))) {
            self.repeated_purchases += 1;
        } else {
            self.events.push(event);
        }
    }
}

/// All properties, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Properties(BTreeMap<String, AnalyticsProperty>);

impl Properties {
    pub(crate) fn add(&mut self, property: AnalyticsProperty) {
        self.0.insert(property.property_id.clone(), property);
    }

    pub(crate) fn get(&self, property_id: &str) -> Option<&AnalyticsProperty> {
        self.0.get(property_id)
    }

    /// May events be sent to this stream with this secret?
    fn is_open(&self, measurement_id: &str, api_secret: &str) -> bool {
        self.0.values().any(|it| it.streams.contains(measurement_id) && it.api_secret == api_secret)
    }
}
