//! The results of sending conversions to a platform.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::texts::{CODE, SENTENCE, fit_without_hashes};

/// A reason: the platform's code, and a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The platform's code, or Adtrail's in lower case.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

impl Reason {
    /// From a code and a sentence. Both are made safe to store, because they quote the platform.
    #[must_use]
    pub fn new(code: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        let (code, message) = (code.as_ref(), message.as_ref());
        Self { code: fit_without_hashes(code, CODE), message: fit_without_hashes(message, SENTENCE) }
    }
}

/// The result of sending one conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted, with a receipt; the verdict follows.
    Accepted { request_id: String },
    /// Accepted and processed; no verdict follows.
    Recorded,
    /// The platform accepted it in an earlier attempt.
    AlreadyDone(Reason),
    /// The platform has one with this id, although none was sent to it before: another system may have sent it. Sending
    /// it again wouldn't help, so it counts as accepted, but not as confirmed.
    AlreadyThere(Reason),
    /// The platform counts one conversion of a click at a time, and has another one at this time: retry as if it was a
    /// second later. Costs no attempt.
    SecondLater(Reason),
    /// Retry at this time; costs no attempt.
    Later(DateTime<Utc>, Reason),
    /// Rejected permanently, because of the conversion.
    Rejected(Reason),
    /// Rejected because of the conversion or for an unknown reason: retry. Costs one of the attempts.
    Retry(Reason),
    /// Conversions like this one are refused until someone changes a setting; others are sent. Costs no attempt.
    Held(Reason),
    /// Its click belongs to another account: the next destination gets it that may, or it waits until someone changes a
    /// setting; others are sent. Costs no attempt.
    OtherAccount(Reason),
    /// The request failed, or the platform is overloaded; costs no attempt. With the delay that the platform asks for,
    /// if any.
    Unavailable(Reason, Option<TimeDelta>),
    /// The platform refuses every request until someone changes a setting; costs no attempt.
    Paused(Reason),
    /// Its request was refused because of another conversion, or its verdict couldn't be told from that of others:
    /// retry in a separate request. Costs no attempt.
    SendAlone(Reason),
    /// The platform can't use its click id: retry with the other identifiers. Costs no attempt, and happens once.
    OmitClickId(Reason),
    /// Not sent: the run is over or the platform's limit is reached. The row doesn't change.
    Unsent,
}

impl Outcome {
    /// What `upload_attempts.outcome` says.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Recorded => "recorded",
            Self::AlreadyDone(_) => "already_done",
            Self::AlreadyThere(_) => "already_there",
            Self::SecondLater(_) => "second_later",
            Self::Later(..) => "later",
            Self::Rejected(_) => "rejected",
            Self::Retry(_) => "retry",
            Self::Held(_) => "held",
            Self::OtherAccount(_) => "other_account",
            Self::Unavailable(..) => "unavailable",
            Self::Paused(_) => "paused",
            Self::SendAlone(_) => "send_alone",
            Self::OmitClickId(_) => "omit_click_id",
            Self::Unsent => "unsent",
        }
    }

    /// Has the platform accepted it, now or before?
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Recorded | Self::AlreadyDone(_) | Self::AlreadyThere(_))
    }

    /// The reason, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted { .. } | Self::Recorded | Self::Unsent => None,
            Self::AlreadyDone(reason)
            | Self::AlreadyThere(reason)
            | Self::SecondLater(reason)
            | Self::Later(_, reason)
            | Self::Rejected(reason)
            | Self::Retry(reason)
            | Self::Held(reason)
            | Self::OtherAccount(reason)
            | Self::Unavailable(reason, _)
            | Self::Paused(reason)
            | Self::SendAlone(reason)
            | Self::OmitClickId(reason) => Some(reason),
        }
    }
}

/// The facts of one request, for the log of attempts.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The status, if there was an answer.
    pub http_status: Option<u16>,
    /// The platform's id of the request, to quote to its support.
    pub request_id: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// Was it sent, without an answer that says what became of it?
    pub may_have_arrived: bool,
}

/// The result of sending some conversions.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// One outcome for each conversion, in their order.
    pub outcomes: Vec<Outcome>,
    /// The requests that were sent.
    pub requests: Vec<Request>,
}

impl Delivery {
    /// If any conversion was accepted, the account is fine: holds only the refused ones instead of pausing the lane.
    pub fn hold_paused_if_any_accepted(&mut self) {
        if self.outcomes.iter().any(Outcome::is_accepted) {
            for outcome in &mut self.outcomes {
                if let Outcome::Paused(reason) = outcome {
                    *outcome = Outcome::Held(reason.clone());
                }
            }
        }
    }
}

/// One request of a delivery. Conversions are identified by their index.
#[derive(Clone, Debug)]
pub struct Request {
    /// Status, id and duration.
    pub exchange: Exchange,
    /// The conversions in it.
    pub conversions: Vec<usize>,
    /// Those it settled; the others were sent in another request, because this one was refused.
    pub settled: Vec<usize>,
}

/// The verdict on a conversion that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Confirmed,
    /// Ask again later.
    Processing,
    /// Refused, with this outcome.
    Refused(Outcome),
    /// The status request failed; ask again later.
    Unanswered(Reason),
    /// The platform answered that it doesn't know the receipt. Ask again later: it may be a fault of one machine.
    Forgotten(Reason),
    /// The platform refuses every request until someone changes a setting; ask again then.
    Paused(Reason),
    /// The verdict is no longer available.
    Unknowable(Reason),
}
