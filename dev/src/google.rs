//! A Google of one's own: the token endpoints and the Data Manager API v1, for local development
//! and tests.
//!
//! It never speaks to Google and never pretends to: every answer carries
//! `x-adtrail-sandbox: google`. It accepts what Google accepts, measured with Google's own message
//! descriptors, and rejects what Google is known to reject. What it cannot know is whether a click
//! id exists, so every accepted event counts as matched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use shared::clock::Clock;
use tokio::sync::watch;

mod access;
mod account;
mod answer;
mod aws_signature;
mod control;
mod destinations;
mod endpoint;
mod events;
mod faults;
mod iam_credentials;
mod identifiers;
mod ingest;
mod ledger;
mod request;
mod schema;
mod security_token_service;
mod status;
mod token;

#[cfg(test)]
mod tests;

pub use account::{AwsRole, GoogleAccount, RefreshTokenCredentials, ServiceAccount, WorkloadIdentity};
pub use endpoint::{Endpoint, Requests};
pub use faults::{Fault, FaultKind, FaultRefused, FieldStyle};
pub use ledger::ReceivedEvent;
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
}

/// Everything that changes while the sandbox runs.
#[derive(Default)]
struct Memory {
    tokens: access::AccessTokens,
    ledger: ledger::Ledger,
    script: faults::Script,
    requests: Requests,
}

impl GoogleSandbox {
    /// A sandbox that has `account` and lives by the machine's clock.
    #[must_use]
    pub fn new(account: GoogleAccount) -> Self {
        Self::with_clock(account, Clock::system())
    }

    /// A sandbox that lives by `clock`. An uploader under test should share it.
    #[must_use]
    pub fn with_clock(account: GoogleAccount, clock: Clock) -> Self {
        Self(Arc::new(Sandbox { account, clock, memory: Mutex::default(), arrivals: watch::Sender::new(()) }))
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
            .route("/sandbox/google/events", get(control::list_events).delete(control::forget_events))
            .route(
                "/sandbox/google/faults",
                get(control::list_faults).post(control::script_fault).delete(control::clear_faults),
            )
            // The endpoints have a limit of their own, which is higher.
            .layer(DefaultBodyLimit::disable())
            .layer(map_response(mark))
            .with_state(self.clone())
    }

    /// The accepted events in the order of their first arrival, one per `transactionId` and
    /// destination.
    #[must_use]
    pub fn events(&self) -> Vec<ReceivedEvent> {
        self.memory().ledger.events().to_vec()
    }

    /// Waits until `reached` holds for the accepted events. Events are accepted before the call
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

    /// Lets something go wrong.
    ///
    /// # Errors
    /// The fault does not fit its endpoint, or a number in it is out of range.
    pub fn script(&self, fault: Fault) -> Result<(), FaultRefused> {
        self.memory().script.arm(fault)
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.memory().script.disarm();
    }

    /// Forgets the events and the calls. Access tokens stay valid, and the status of a request
    /// accepted before can still be asked for.
    pub fn clear(&self) {
        let mut memory = self.memory();
        memory.ledger.forget_events();
        memory.requests = Requests::default();
    }

    fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

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

/// Nobody shall take an answer for one of Google's.
async fn mark(mut response: Response) -> Response {
    response.headers_mut().insert("x-adtrail-sandbox", HeaderValue::from_static("google"));
    response
}
