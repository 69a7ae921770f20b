//! Whether a platform would take conversions, asked without sending any.

use super::{Outcome, Reason};

/// What asking comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Access, account and target are right.
    Passed,
    /// It refuses every conversion, or every one for this target, until someone changes a setting.
    Refused(Reason),
    /// It couldn't be asked, or its answer says nothing: try again later.
    Unanswered(Reason),
    /// The lane is ready. The platform has no request that only checks.
    NotOffered,
}

/// Of the outcome for a conversion that nobody made: what is wrong with that conversion is as expected.
impl From<Outcome> for Check {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Paused(reason) | Outcome::Held(reason) => Self::Refused(reason),
            Outcome::Unavailable(reason, _) | Outcome::Retry(reason) => Self::Unanswered(reason),
            Outcome::Unsent => Self::Unanswered(Reason::new("unsent", "The time or the platform's limit is used up.")),
            Outcome::Accepted { .. }
            | Outcome::Recorded
            | Outcome::AlreadyDone(_)
            | Outcome::AlreadyThere(_)
            | Outcome::SecondLater(_)
            | Outcome::Later(..)
            | Outcome::Rejected(_)
            | Outcome::OtherAccount(_)
            | Outcome::SendAlone(_)
            | Outcome::OmitClickId(_) => Self::Passed,
        }
    }
}
