//! Sandbox CRMs: the requests of HubSpot's, Pipedrive's and Close's APIs by which Adtrail fetches what a webhook
//! left out, for local development and tests.
//!
//! It never speaks to a CRM and never pretends to: every answer carries `x-adtrail-sandbox: crm`. Paths, methods,
//! authentication and the shapes of found records follow the vendors' documentation. Guessed are the texts of refusals,
//! what a deleted record looks like (here it is unknown), and rate limits (there are none unless
//! [`CrmSandbox::fail`] simulates one). It doesn't check scopes or permissions, and has only the records that were
//! added to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use google_sandbox::BadAnswer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod attendance;
mod close;
mod control;
mod hubspot;
mod pipedrive;

#[cfg(test)]
mod tests;

pub use attendance::Failure;

/// One of the CRMs that the sandbox stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crm {
    /// At `/crm/v3`.
    Hubspot,
    /// At `/api/v2`.
    Pipedrive,
    /// At `/api/v1`.
    Close,
}

impl Crm {
    /// The only token that is accepted.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Hubspot => "dev-hubspot-token",
            Self::Pipedrive => "dev-pipedrive-token",
            Self::Close => "dev-close-key",
        }
    }
}

/// What kind of thing a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// HubSpot's.
    Deal,
    /// HubSpot's.
    Contact,
    /// Pipedrive's.
    Person,
    /// Close's.
    Lead,
}

/// A running sandbox. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct CrmSandbox(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    records: BTreeMap<(Kind, String), Value>,
    failures: BTreeMap<Crm, Failure>,
    /// With the number of answers that are still to be broken.
    bad_answers: BTreeMap<Crm, (BadAnswer, u32)>,
    requests: BTreeMap<Crm, usize>,
}

impl CrmSandbox {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The routes, at the paths that the CRMs have them. All three are at one address: no path is in two of them.
    pub fn router(&self) -> Router {
        let attended = |crm| from_fn_with_state((self.clone(), crm), attendance::attend);
        Router::new()
            .route("/crm/v3/objects/deals/{id}", get(hubspot::deal).route_layer(attended(Crm::Hubspot)))
            .route("/crm/v3/objects/contacts/batch/read", post(hubspot::contacts).route_layer(attended(Crm::Hubspot)))
            .route("/api/v2/persons/{id}", get(pipedrive::person).route_layer(attended(Crm::Pipedrive)))
            .route("/api/v1/lead/{id}/", get(close::lead).route_layer(attended(Crm::Close)))
            .route("/sandbox/crm/hubspot", post(control::put_hubspot))
            .route("/sandbox/crm/pipedrive", post(control::put_pipedrive))
            .route("/sandbox/crm/close", post(control::put_close))
            .route("/sandbox/crm/failures", post(control::fail))
            .route("/sandbox/crm/requests", get(control::count_requests))
            .layer(map_response(mark))
            .with_state(self.clone())
    }

    /// Adds records as the CRM shows them, or replaces those with the same id: `id` is a number or a text, a HubSpot
    /// deal names its contacts in `associations.contacts.results`. Of an unusable one nothing is added.
    ///
    /// # Errors
    /// When one of them has no id.
    pub fn put(&self, kind: Kind, records: impl IntoIterator<Item = Value>) -> Result<(), RecordRefused> {
        let records: Result<Vec<_>, _> =
            records.into_iter().map(|record| Ok(((kind, id(&record).ok_or(RecordRefused)?), record))).collect();
        self.memory().records.extend(records?);
        Ok(())
    }

    /// Adds what HubSpot, Pipedrive and Close know of the deals in the samples of their presets: all of them are
    /// jane@example.com's.
    ///
    /// # Panics
    /// Never: the records have ids.
    pub fn put_samples(&self) {
        let properties = json!({"amount": "6000.50", "deal_currency_code": "EUR", "dealstage": "closedwon"});
        let associations = json!({"contacts": {"results": [{"id": "501", "type": "deal_to_contact"}]}});
        let contacts = json!([{"emails": [{"email": "jane@example.com"}], "phones": []}]);
        let lead = "lead_zwqexample00000000000000000000000000000000001";
        for (kind, record) in [
            (Kind::Deal, json!({"id": "17812345678", "properties": properties, "associations": associations})),
            (Kind::Contact, json!({"id": "501", "properties": {"email": "jane@example.com"}})),
            (
                Kind::Person,
                json!({"id": 179, "emails": [{"value": "jane@example.com", "primary": true}], "phones": []}),
            ),
            (Kind::Lead, json!({"id": lead, "contacts": contacts})),
        ] {
            self.put(kind, [record]).expect("records have ids");
        }
    }

    /// Makes the next requests to this CRM fail. Another failure of the same CRM replaces it.
    pub fn fail(&self, crm: Crm, failure: Failure) {
        self.memory().failures.insert(crm, failure);
    }

    /// Breaks the next answers of this CRM, this number of times. Replaces what was set before for the same CRM.
    pub fn spoil(&self, crm: Crm, bad: BadAnswer, times: u32) {
        self.memory().bad_answers.insert(crm, (bad, times));
    }

    /// How many requests arrived for this CRM, including failed ones.
    #[must_use]
    pub fn requests(&self, crm: Crm) -> usize {
        self.memory().requests.get(&crm).copied().unwrap_or_default()
    }

    fn record(&self, kind: Kind, id: &str) -> Option<Value> {
        self.memory().records.get(&(kind, id.to_owned())).cloned()
    }

    /// A panic can't leave the records half-written, so a poisoned lock is used all the same.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record without an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRefused;

impl std::fmt::Display for RecordRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Every record needs an id, a number or a text.")
    }
}

impl std::error::Error for RecordRefused {}

fn id(record: &Value) -> Option<String> {
    match &record["id"] {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Marks the answer, so that it can't be mistaken for a CRM's.
async fn mark(mut response: Response) -> Response {
    response.headers_mut().insert("x-adtrail-sandbox", HeaderValue::from_static("crm"));
    response
}

type Sandbox = State<CrmSandbox>;
