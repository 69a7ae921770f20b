//! A way for events to Google Analytics, and what sending them comes to.

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use super::EventToSend;
use super::limits::CONNECTING;
use crate::outgoing::http_client_connecting_within;
use crate::platforms::{Allowance, Exchange, Limits, Reason};

/// The lanes of the destinations of events; they keep their access tokens.
pub type EventLanes = Vec<Box<dyn EventLane>>;

/// Why an event isn't sent again.
pub(super) const NO_ANSWER: &str = "The event was sent, and no answer came. Google Analytics would count it twice if it \
     had arrived, so only purchases, which it recognises, are sent again";

/// A client without connections. One that was kept while the process stood still breaks once it is used, and then
/// nobody knows whether the events arrived.
///
/// # Errors
/// That nothing is sent, when TLS can't be set up.
pub(super) fn new_connections() -> Result<reqwest::Client, EventOutcome> {
    http_client_connecting_within(CONNECTING)
        .map_err(|problem| EventOutcome::Unavailable(Reason::new("no_client", problem), None))
}

/// Which lane it is.
#[derive(Clone, Debug)]
pub struct EventRoute {
    /// The name of the destination, and of the lane.
    pub destination: String,
    /// The API: `data_manager` or `measurement_protocol`; `none` if its credentials are missing or wrong.
    pub transport: &'static str,
    /// Whose requests are counted together: lanes with the same quota and transport share their limits, also with the
    /// lanes of conversions.
    pub quota: String,
}

/// The result of sending one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// Accepted, with a receipt; the verdict follows.
    Accepted { request_id: String },
    /// Taken, and no verdict follows.
    Recorded,
    /// The request was sent and no answer came: it may have arrived. It is never sent again.
    Unverifiable(Reason),
    /// Refused because of what it is. It is never sent again.
    Rejected(Reason),
    /// It hasn't arrived, or a repetition of it is recognised: it is sent again later. With the delay that Google asks
    /// for, if any.
    Unavailable(Reason, Option<TimeDelta>),
    /// Every event is refused until someone changes a setting.
    Paused(Reason),
    /// Not sent: the run is over or the limit is reached.
    Unsent,
}

impl EventOutcome {
    /// One word for the log and the metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Recorded => "recorded",
            Self::Unverifiable(_) => "unverifiable",
            Self::Rejected(_) => "rejected",
            Self::Unavailable(..) => "unavailable",
            Self::Paused(_) => "paused",
            Self::Unsent => "unsent",
        }
    }

    /// The reason, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted { .. } | Self::Recorded | Self::Unsent => None,
            Self::Unverifiable(reason)
            | Self::Rejected(reason)
            | Self::Unavailable(reason, _)
            | Self::Paused(reason) => Some(reason),
        }
    }
}

/// The verdict on an event that was accepted with a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventVerdict {
    Confirmed,
    /// Ask again later.
    Processing,
    /// Google refused it. It is never sent again.
    Refused(Reason),
    /// The question failed; ask again later.
    Unanswered(Reason),
    /// Google refused some events of the request and doesn't say which, or no longer knows the request. It is never
    /// sent again.
    Unknowable(Reason),
}

/// A way to Google Analytics, with its own queue rows and its own pause.
pub trait EventLane: Send + Sync {
    fn route(&self) -> &EventRoute;

    /// The limits of its API, if there are any.
    fn limits(&self) -> Option<Limits>;

    /// How many events to claim at once if so many are due.
    fn claim_size(&self, due: usize) -> usize;

    /// Does Google answer what became of an event? If not, the best outcome is [`EventOutcome::Recorded`].
    fn can_verify(&self) -> bool;

    /// How old an event may be when it is sent. Older ones expire.
    fn oldest(&self) -> TimeDelta;

    /// Can it send now? Called before a claim. The error is `Unavailable` or `Paused`.
    fn ready(&self) -> BoxFuture<'_, Result<(), EventOutcome>>;

    /// Sends these events. There is one outcome for each, in their order, and the requests that were made. Failures are
    /// outcomes, never an error.
    fn send<'a>(
        &'a self,
        events: &'a [EventToSend],
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, (Vec<EventOutcome>, Vec<Exchange>)>;

    /// Asks for the verdicts on a receipt that this number of events has: one for each, in the order of their queue
    /// ids. None if the allowance is used up.
    fn verdict<'a>(
        &'a self,
        request_id: &'a str,
        events: usize,
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<EventVerdict>, Exchange)>>;
}
