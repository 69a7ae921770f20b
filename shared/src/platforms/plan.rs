//! What a platform answers when it is asked about a conversion, before anything needs its credentials.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Connecting, Conversion, Lanes, Operation, Outcome, Reason};
use crate::attribution::{Clicks, Utm};
use crate::deals::Stage;

/// A destination's platform with its settings.
pub trait Platform: fmt::Debug + Send + Sync {
    /// Where conversions of this stage go, such as the account and the conversion action; none if it doesn't take them.
    /// It is kept with what was sent, and corrections go there. What one destination has under a target isn't sent to
    /// another with the same target, so no other platform's may be the same.
    fn target(&self, stage: &Stage) -> Option<String>;

    /// Should it get this conversion, and when? Asked for stages that it takes.
    fn plan(&self, candidate: &Candidate) -> Plan;

    /// Through whom its targets are reached, such as a manager account. Kept with what was sent, like the target.
    fn reached_through(&self) -> Option<&str> {
        None
    }

    /// Its settings for the operator, with their names. Without secrets.
    fn described(&self) -> Vec<(&'static str, String)>;

    /// What of it the platform soon switches off, such as a version of its API: when, and what to do.
    fn ends_soon(&self, _now: DateTime<Utc>) -> Option<Reason> {
        None
    }

    /// The request that a lane would send for this conversion alone.
    ///
    /// # Errors
    /// Why it isn't sent now.
    fn preview(&self, conversion: &Conversion, operation: Operation, now: DateTime<Utc>) -> Result<Preview, Outcome>;

    /// Its lanes, which need credentials; none if these are missing or wrong, which is noted.
    fn connect(&self, destination: &str, connecting: &mut Connecting<'_, '_>) -> Option<Lanes>;
}

/// A conversion as a platform sees it when it is asked whether it wants it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub stage: Stage,
    pub occurred_at: DateTime<Utc>,
    /// When the person left e-mail or phone.
    pub lead_at: DateTime<Utc>,
    pub clicks: Clicks,
    pub hashes: Hashes,
    /// The host of the page that the click led to.
    pub site: Option<String>,
    /// The CRM source that reported the deal.
    pub source: Option<String>,
    pub utm: Utm,
}

/// Which hashes of the person there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hashes {
    pub email: bool,
    /// By Google's normalisation.
    pub email_google: bool,
    pub phone: bool,
}

impl Candidate {
    /// Is there anything that some platform could recognise the person by?
    #[must_use]
    pub fn is_attributable(&self) -> bool {
        let Hashes { email, email_google, phone } = self.hashes;
        self.clicks.has_click() || email || email_google || phone
    }
}

/// Whether and when a destination gets a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Send(Window),
    Skip(SkipReason),
}

/// From when until when a conversion counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From now on if none.
    pub from: Option<DateTime<Utc>>,
    /// For ever if none.
    pub until: Option<DateTime<Utc>>,
}

/// Why a conversion isn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum SkipReason {
    /// Consent was denied.
    ConsentDenied,
    /// The lead came from a program: `bots`.
    Bot,
    /// Nothing that the platform could recognise the person by.
    NoAttribution,
    /// No destination takes conversions of this stage.
    NoConversionAction,
    /// Those that take the stage are declared for others, by `when`.
    NoDestination,
    /// The deal was lost before the conversion was sent.
    DealLost,
    /// When a destination that accepts it was set up, it no longer counted there.
    TooOld,
}

crate::db::text_in_sql!(SkipReason);

/// A correction that a platform accepts.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    pub operation: Operation,
    /// How long after the conversion it accepts them.
    pub window: TimeDelta,
}

/// A request as it would be sent, without its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    pub method: &'static str,
    pub url: String,
    /// Byte for byte.
    pub body: String,
}
