//! What comes of telling a platform about conversions.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Why, in the platform's own word and in a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The platform's name for it, or ours in lower case.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What came of sending one conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken, with a receipt; the verdict comes later.
    Accepted {
        /// The receipt.
        request_id: String,
    },
    /// Taken and processed; there is nothing to wait for.
    Recorded,
    /// The platform has it from an earlier attempt.
    AlreadyDone(Reason),
    /// Not yet; costs no attempt.
    Later(DateTime<Utc>, Reason),
    /// Never, because of what the conversion is.
    Rejected(Reason),
    /// Not this time, because of what the conversion is or for no known reason. Costs one of the attempts.
    Retry(Reason),
    /// Conversions like this one are refused until somebody changes a setting; others may go on. Costs no attempt.
    Held(Reason),
    /// The request failed on its way or the platform is overloaded; costs no attempt. Says how long the platform asks
    /// us to wait, if it does.
    Unavailable(Reason, Option<TimeDelta>),
    /// The platform refuses us as such until somebody changes a setting; costs no attempt.
    Paused(Reason),
    /// It was in a request that was refused because of another conversion, or its verdict couldn't be told from
    /// others'; it goes again in a request of its own. Costs no attempt.
    SendAlone(Reason),
    /// The platform can't use its click id; it goes again with what else there is. Costs no attempt, and happens once.
    OmitClickId(Reason),
    /// It wasn't sent at all: the run is over or the platform's limit reached. It stays as it is.
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
            Self::Later(..) => "later",
            Self::Rejected(_) => "rejected",
            Self::Retry(_) => "retry",
            Self::Held(_) => "held",
            Self::Unavailable(..) => "unavailable",
            Self::Paused(_) => "paused",
            Self::SendAlone(_) => "send_alone",
            Self::OmitClickId(_) => "omit_click_id",
            Self::Unsent => "unsent",
        }
    }

    /// Has the platform got it, now or before?
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Recorded | Self::AlreadyDone(_))
    }

    /// Why, where there is a reason.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted { .. } | Self::Recorded | Self::Unsent => None,
            Self::AlreadyDone(reason)
            | Self::Later(_, reason)
            | Self::Rejected(reason)
            | Self::Retry(reason)
            | Self::Held(reason)
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
}

/// What came of telling a platform about some conversions.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// One outcome for each conversion, in their order.
    pub outcomes: Vec<Outcome>,
    /// The requests it took.
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

/// One request of a delivery. Conversions go by their place.
#[derive(Clone, Debug)]
pub struct Request {
    /// How it went.
    pub exchange: Exchange,
    /// The conversions in it.
    pub conversions: Vec<usize>,
    /// Those it settled; the others went into another request, because it was refused.
    pub settled: Vec<usize>,
}

/// What became of a conversion that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Processed.
    Confirmed,
    /// Ask again later.
    Processing,
    /// Refused after all, as this outcome says.
    Refused(Outcome),
    /// The question failed; ask again later.
    Unanswered(Reason),
    /// The platform refuses us as such until somebody changes a setting; ask again then.
    Paused(Reason),
    /// There will be no verdict any more.
    Unknowable(Reason),
}
