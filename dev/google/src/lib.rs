//! A sandbox Google for local development and tests: its token endpoints, the Data Manager API v1, the conversion
//! uploads of the Google Ads API, and the Measurement Protocol, as a router at the paths Google has them. Never
//! deployed.
//!
//! It never calls Google and never pretends to be Google: every answer carries `x-adtrail-sandbox: google`. It accepts
//! what Google accepts, checked with Google's own message descriptors (`*.fds`), and rejects what Google is known to
//! reject. It cannot know whether a click id exists, so every accepted event counts as matched, unless it was told of
//! the click ([`GoogleSandbox::add_click`]).
//!
//! Of the product it uses only [`shared::clock::Clock`], so that a test can move its time together with the uploader's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderValue;
use axum::http::header::DATE;
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use shared::clock::Clock;
use tokio::sync::watch;

mod access;
mod account;
mod adjustment_log;
mod ads;
mod ads_account;
mod analytics;
mod answer;
mod aws_signature;
mod bad_answer;
mod book;
mod clicks;
mod control;
mod currencies;
mod destinations;
mod endpoint;
mod events;
mod faults;
mod iam_credentials;
mod identifiers;
mod ingest;
mod ledger;
mod poison;
mod quota;
mod request;
mod request_body;
mod schema;
mod security_token_service;
mod status;
mod token;

#[cfg(test)]
mod tests;

pub use account::{AwsRole, GoogleAccount, RefreshTokenCredentials, ServiceAccount, WorkloadIdentity};
pub use adjustment_log::{AdjustmentType, ReceivedAdjustment};
pub use ads::failure::ErrorCode;
pub use ads_account::AdsAccount;
pub use analytics::{Analytics, AnalyticsProperty, CountedEvent, Finding};
pub use bad_answer::BadAnswer;
pub use book::{Conversion, Transport};
pub use clicks::Click;
pub use endpoint::{Endpoint, Requests};
pub use faults::{Fault, FaultKind, FaultRefused, FieldStyle};
pub use ledger::ReceivedEvent;
pub use poison::{EventPoison, Named, Poison, RowPoison};
pub use request_body::RequestBody;
pub use status::{RequestStatus, Verdict};

/// A running sandbox. Clones are handles to the same one.
#[derive(Clone)]
pub struct GoogleSandbox(Arc<Sandbox>);

struct Sandbox {
    account: GoogleAccount,
    clock: Clock,
    memory: Mutex<Memory>,
    /// Signals that events were accepted.
    arrivals: watch::Sender<()>,
    /// Signals that the faults were cleared.
    clearings: watch::Sender<()>,
}

/// Everything that changes while the sandbox runs.
struct Memory {
    accounts: ads_account::AdsAccounts,
    properties: analytics::Properties,
    analytics: analytics::Analytics,
    tokens: access::AccessTokens,
    ledger: ledger::Ledger,
    script: faults::Script,
    poisons: poison::Poisons,
    quota: quota::Quota,
    requests: Requests,
    keeps_bodies: bool,
    largest_body: Option<usize>,
    most_indices: Option<usize>,
}

impl Memory {
    /// The body of a request, if bodies are kept.
    fn kept(&self, body: &[u8]) -> Option<RequestBody> {
        self.keeps_bodies.then(|| RequestBody::new(body))
    }
}

impl GoogleSandbox {
    /// A sandbox that has `account` and uses the machine's clock.
    #[must_use]
    pub fn new(account: GoogleAccount) -> Self {
        Self::with_clock(account, Clock::system())
    }

    /// A sandbox that uses `clock`. An uploader under test should share it.
    #[must_use]
    pub fn with_clock(account: GoogleAccount, clock: Clock) -> Self {
        let mut accounts = ads_account::AdsAccounts::default();
        accounts.add(AdsAccount::from(&account));
        let mut properties = analytics::Properties::default();
        properties.add(AnalyticsProperty::dev());
        let memory = Memory {
            accounts,
            properties,
            analytics: analytics::Analytics::default(),
            tokens: access::AccessTokens::default(),
            ledger: ledger::Ledger::default(),
            script: faults::Script::default(),
            poisons: poison::Poisons::default(),
            quota: quota::Quota::default(),
            requests: Requests::default(),
            keeps_bodies: true,
            largest_body: None,
            most_indices: Some(usize::MAX),
        };
        let (arrivals, clearings) = (watch::Sender::new(()), watch::Sender::new(()));
        Self(Arc::new(Sandbox { account, clock, memory: Mutex::new(memory), arrivals, clearings }))
    }

    /// The routes, at the paths that Google has them.
    pub fn router(&self) -> Router {
        let attended = |endpoint| from_fn_with_state((self.clone(), endpoint), endpoint::attend);
        Router::new()
            .route("/token", post(token::grant).route_layer(attended(Endpoint::Token)))
            .route("/v1/token", post(security_token_service::exchange).route_layer(attended(Endpoint::SecurityTokens)))
            .route(
                "/v1/projects/-/serviceAccounts/{account}",
                post(iam_credentials::generate).route_layer(attended(Endpoint::IamCredentials)),
            )
            .route("/v1/events:ingest", post(ingest::ingest).route_layer(attended(Endpoint::Ingest)))
            .route("/v1/requestStatus:retrieve", get(status::retrieve).route_layer(attended(Endpoint::Status)))
            .route(
                "/{version}/customers/{call}",
                post(ads::upload).route_layer(from_fn_with_state(self.clone(), ads::attend)),
            )
            .route("/mp/collect", post(analytics::collect::collect).route_layer(attended(Endpoint::Collect)))
            .route("/debug/mp/collect", post(analytics::collect::validate))
            .route("/sandbox/google/analytics", get(control::show_analytics))
            .route("/sandbox/google/events", get(control::list_events).delete(control::forget_events))
            .route("/sandbox/google/conversions", get(control::list_conversions))
            .route("/sandbox/google/adjustments", get(control::list_adjustments))
            .route(
                "/sandbox/google/poisons",
                get(control::list_poisons).post(control::add_poison).delete(control::clear_poisons),
            )
            .route(
                "/sandbox/google/faults",
                get(control::list_faults).post(control::script_fault).delete(control::clear_faults),
            )
            // The endpoints have a limit of their own, which is higher.
            .layer(DefaultBodyLimit::disable())
            .layer(map_response_with_state(self.clone(), mark))
            .with_state(self.clone())
    }

    /// The accepted events in the order of their first arrival, one per `transactionId`, account and conversion action.
    #[must_use]
    pub fn events(&self) -> Vec<ReceivedEvent> {
        self.memory().ledger.events().to_vec()
    }

    /// The conversions as Google would count them, in the order of their first arrival: one per account,
    /// conversion action and id, whichever API brought it. Events that processing refused are not among them.
    #[must_use]
    pub fn conversions(&self) -> Vec<Conversion> {
        self.memory().ledger.book.conversions()
    }

    /// What Google Analytics counts, and what it silently doesn't.
    #[must_use]
    pub fn analytics(&self) -> Analytics {
        self.memory().analytics.clone()
    }

    /// The adjustments that were carried out, in the order of their first arrival.
    #[must_use]
    pub fn adjustments(&self) -> Vec<ReceivedAdjustment> {
        self.memory().ledger.adjustments.all().to_vec()
    }

    /// Waits until `reached` returns true for the accepted events. Events are accepted before the call
    /// that brought them is answered.
    pub async fn wait_until(&self, mut reached: impl FnMut(&[ReceivedEvent]) -> bool) {
        let mut arrivals = self.0.arrivals.subscribe();
        let is_reached = |(): &()| reached(self.memory().ledger.events());
        // It fails only when the sender is gone, and that lives as long as this handle.
        let _ = arrivals.wait_for(is_reached).await;
    }

    /// The calls that arrived so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.memory().requests.clone()
    }

    /// Scripts a failure.
    ///
    /// # Errors
    /// The fault does not fit its endpoint, or a number in it is out of range.
    pub fn script(&self, fault: Fault) -> Result<(), FaultRefused> {
        self.memory().script.arm(fault)
    }

    /// Forgets the faults that have not happened yet, and answers the requests that are held.
    pub fn clear_faults(&self) {
        self.memory().script.disarm();
        self.0.clearings.send_replace(());
    }

    /// Has every request refused that contains this `transactionId` or `orderId`, because of it. An event of Google
    /// Analytics without one goes by its name. One id takes one
    /// [`EventPoison`] and one [`RowPoison`]; another one replaces it. It happens to requests that are right otherwise,
    /// and to those that only validate too.
    pub fn poison(&self, transaction_id: impl Into<String>, poison: impl Into<Poison>) {
        self.memory().poisons.add(transaction_id.into(), poison.into());
    }

    /// Ends what [`GoogleSandbox::poison`] began.
    pub fn unpoison(&self, transaction_id: &str) {
        self.memory().poisons.remove(transaction_id);
    }

    /// Has Data Manager's processing refuse the events with this `transactionId`, for a `ProcessingErrorReason` or one
    /// that Google has yet to invent: those to come, and those already there whose status nobody has received. The
    /// status of their request becomes `FAILED` at a destination where all records are refused, otherwise
    /// `PARTIAL_SUCCESS`. A verdict from the script comes first.
    pub fn decide(&self, transaction_id: impl Into<String>, reason: impl Into<String>) {
        self.memory().ledger.decide(transaction_id.into(), reason.into());
    }

    /// Lets processing accept future events with this `transactionId`. Those it rejected stay rejected.
    pub fn undecide(&self, transaction_id: &str) {
        self.memory().ledger.undecide(transaction_id);
    }

    /// Adds a Google Ads account to which the same credentials have access. One with the same customer id is replaced,
    /// also the first.
    pub fn add_account(&self, account: AdsAccount) {
        self.memory().accounts.add(account);
    }

    /// Adds a property of Google Analytics to which the same credentials have access. One with the same number is
    /// replaced, also the first.
    pub fn add_property(&self, property: AnalyticsProperty) {
        self.memory().properties.add(property);
    }

    /// Lets Google know a click. Conversions sent with its id, by either API, are refused if they are earlier than the
    /// click or are sent for another account; at Data Manager by processing, after they were accepted. What is known of
    /// clicks can change: what was refused may be accepted when it comes again.
    pub fn add_click(&self, id: impl Into<String>, click: Click) {
        self.memory().ledger.clicks.add(id.into(), click);
    }

    /// How many refused records the status of a request names for each reason, in `recordIndices`: in the beginning
    /// all, as since release 1.9 of the Data Manager API. With `None` the field is missing, as it was before. A verdict
    /// from the script never has it.
    ///
    /// Google's descriptors here are older than the field. That it is a list of int64, as the counts are, and that
    /// places in the request count from 0, is assumed.
    pub fn name_refused(&self, most: Option<usize>) {
        self.memory().most_indices = most;
    }

    /// How many Data Manager calls may come within 60 seconds of the sandbox's clock, ingest and status together.
    /// Those beyond are answered with 429, before a fault can happen to them. No limit with `None`, as in the
    /// beginning.
    pub fn limit_per_minute(&self, calls: Option<u32>) {
        self.memory().quota.limit = calls;
    }

    /// Answers bodies of more bytes with 413, as a proxy does. With `None`, as in the beginning, only Google's own
    /// limit counts.
    pub fn limit_bodies(&self, bytes: Option<usize>) {
        self.memory().largest_body = bytes;
    }

    /// Makes every access token invalid that was handed out so far.
    pub fn revoke_tokens(&self) {
        self.memory().tokens = access::AccessTokens::default();
    }

    /// Whether the bodies of requests, and with them the events as they were written, are kept, as they are in the
    /// beginning, until [`GoogleSandbox::clear`]. Without them a run of 100,000 rows fits in memory.
    pub fn keep_bodies(&self, keep: bool) {
        self.memory().keeps_bodies = keep;
    }

    /// Forgets the events, the conversions, the adjustments and the calls. Access tokens stay valid, and the status of
    /// a request accepted before can still be asked for.
    pub fn clear(&self) {
        let mut memory = self.memory();
        memory.ledger.forget_events();
        memory.requests = Requests::default();
        memory.analytics = Analytics::default();
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Who may come in. What they may write to is in [`Memory::accounts`].
    fn account(&self) -> &GoogleAccount {
        &self.0.account
    }

    /// A panic elsewhere leaves nothing half-written here, so a poisoned lock is as good as new.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.0.arrivals.send_replace(());
    }
}

/// Marks the answer, so that it can't be mistaken for Google's. Its Date header has the sandbox's time.
async fn mark(State(sandbox): State<GoogleSandbox>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-adtrail-sandbox", HeaderValue::from_static("google"));
    if let Ok(date) = HeaderValue::from_str(&sandbox.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        // A fault may have set another.
        headers.entry(DATE).or_insert(date);
    }
    response
}
