//! The ad platforms that conversions are sent to. Platforms use HTTP and no SQL, the queue uses SQL and no HTTP; the
//! uploader combines them. A platform is code, in a folder of its own; a destination is one account of it, declared.

mod allowance;
mod check;
pub(crate) mod destinations;
pub(crate) mod google;
pub mod google_ads;
mod outcome;
mod plan;
mod unconnected;
mod when;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::attribution::{Click, Clicks};
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::deals::{Stage, Stages};
use crate::declarations::{DeclarationProblem, Table};
use crate::identity::Hash;
use crate::money::Money;
use crate::outgoing::http_client;
use crate::settings::Settings;

pub use allowance::{Allowance, Limits};
pub use check::Check;
pub use destinations::{Destination, Destinations, Planned, UNDECLARED};
pub use outcome::{Delivery, Exchange, Outcome, Reason, Request, Verdict};
pub use plan::{Candidate, Correction, Hashes, Plan, Platform, Preview, SkipReason, Window};
pub use when::When;

/// Every platform there is. To add one, add its folder and its line here: docs/adding-a-platform.md.
pub static REGISTRY: &[Entry] = &[google_ads::ENTRY];

/// What `platform` says in a declaration of where events are sent. It stands beside those of conversions, and has
/// nothing to do with them.
pub(crate) const OF_EVENTS: &str = "google-analytics";

/// A platform that conversions can be sent to.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What `platform` says in a declaration.
    pub id: &'static str,
    /// The network whose clicks it knows, as `clicks` names it.
    pub network: &'static str,
    /// Does a click belong to one account? Then one of several destinations gets a conversion, else each of them.
    pub click_has_one_account: bool,
    /// Reads what a declaration says besides `platform` and `when`.
    pub declared: ReadDeclaration,
    /// The corrections it accepts. They don't depend on any destination: what was told is corrected without it, too.
    pub corrections: &'static [Correction],
    /// A destination that settings of its own describe instead of a declaration.
    pub short_form: Option<ShortForm>,
}

/// How settings describe a destination.
#[derive(Clone, Copy)]
pub struct ShortForm {
    /// The name of the destination.
    pub name: &'static str,
    /// The setting that has to be there.
    pub setting: &'static str,
    /// Reads it; none if it isn't set.
    pub read: fn(&mut Settings<'_>, &Stages) -> Option<Arc<dyn Platform>>,
}

type ReadDeclaration = fn(Table<'_>, &Stages, &mut Settings<'_>) -> Result<Arc<dyn Platform>, Vec<DeclarationProblem>>;

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// What to do if there is no destination.
#[must_use]
pub fn no_destination() -> String {
    let settings: Vec<_> = REGISTRY.iter().filter_map(|entry| Some(entry.short_form?.setting)).collect();
    format!("There is no destination, so nothing is sent: declare one in DESTINATIONS, or set {}.", settings.join(", "))
}

/// The lanes of one or several destinations; they keep their access tokens.
pub type Lanes = Vec<Box<dyn Lane>>;

/// What a destination needs to get its lanes.
pub struct Connecting<'a, 's> {
    pub settings: &'a mut Settings<'s>,
    pub http: reqwest::Client,
    pub clock: Clock,
}

/// The destinations.
#[must_use]
pub fn destinations(settings: &mut Settings) -> Destinations {
    Destinations::from_settings(REGISTRY, settings)
}

/// The same with their lanes, for which credentials are needed.
pub fn connect(registry: &'static [Entry], settings: &mut Settings, clock: &Clock) -> (Destinations, Lanes) {
    let destinations = Destinations::from_settings(registry, settings);
    let http = match http_client() {
        Ok(http) => http,
        Err(problem) => {
            settings.refuse(problem);
            return (destinations, Lanes::new());
        }
    };
    let mut lanes = Lanes::new();
    for it in destinations.iter() {
        if !it.is_declared {
            let mut connecting = Connecting { settings, http: http.clone(), clock: clock.clone() };
            lanes.extend(it.platform.connect(&it.name, &mut connecting).unwrap_or_default());
            continue;
        }
        // Whatever is wrong with the credentials of one of them stops no other.
        let mut apart = settings.apart();
        let mut connecting = Connecting { settings: &mut apart, http: http.clone(), clock: clock.clone() };
        let connected = it.platform.connect(&it.name, &mut connecting);
        lanes.extend(apart.finish(connected).unwrap_or_else(|error| unconnected::lanes(it, &error)));
    }
    (destinations, lanes)
}

/// What is sent to a platform about a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Upload,
    Restatement,
    /// That it no longer counts.
    Retraction,
}

impl Operation {
    pub const ALL: [Self; 3] = [Self::Upload, Self::Restatement, Self::Retraction];
    /// What corrects an upload.
    pub const CORRECTIONS: [Self; 2] = [Self::Restatement, Self::Retraction];

    /// What the name of its lane ends with.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Upload => "",
            Self::Restatement => "_restatements",
            Self::Retraction => "_retractions",
        }
    }

    /// What `conversion_queue.platform` says of it for a destination.
    #[must_use]
    pub fn lane_of(self, destination: &str) -> String {
        format!("{destination}{}", self.suffix())
    }

    /// What `upload_attempts.operation` says.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Restatement => "restatement",
            Self::Retraction => "retraction",
        }
    }
}

/// Which lane it is.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name of the destination.
    pub destination: String,
    /// What `conversion_queue.platform` says.
    pub lane: String,
    /// What `upload_attempts.operation` says.
    pub operation: Operation,
    /// The API, as `upload_attempts.transport` says.
    pub transport: &'static str,
    /// The network whose clicks it sends.
    pub network: &'static str,
    /// Whose requests are counted together: the lanes of one transport with the same quota share its limits.
    pub quota: String,
}

/// A way to a platform, with its own queue rows and its own pause.
///
/// Delivery is at least once: after a lost reply the same conversion is sent again, with the same `transaction_id` and
/// time, and the platform must count it once.
pub trait Lane: Send + Sync {
    fn route(&self) -> &Route;

    /// Can it reject a conversion with this code? Metrics name these only, so that nobody else decides how many there
    /// are.
    fn names_reason(&self, _code: &str) -> bool {
        false
    }

    /// The limits of its API, if there are any.
    fn limits(&self) -> Option<Limits> {
        None
    }

    /// How many conversions to claim at once if so many are due: as many as can be sent and settled within a minute.
    fn claim_size(&self, due: usize) -> usize;

    /// Can it send now? Called before a claim, so that no conversion loses an attempt to a missing token.
    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>>;

    /// Would the platform take conversions of this stage? Nothing is recorded there. A platform that can't be asked
    /// says no more than whether the lane is ready.
    fn check<'a>(&'a self, _stage: &'a Stage, _allowance: &'a Allowance) -> BoxFuture<'a, Check> {
        Box::pin(async { self.ready().await.map_or_else(Check::from, |()| Check::NotOffered) })
    }

    /// Sends these conversions. Failures are outcomes, never an error. What no longer counts by now is rejected as
    /// `expired`, without a request: it may have waited for long.
    fn upload<'a>(&'a self, conversions: &'a [Conversion], allowance: &'a Allowance) -> BoxFuture<'a, Delivery>;

    /// Asks for the verdicts on a receipt of what was sent there, see [`Platform::target`], if that is known. One for
    /// each of its conversions, which are in the order of their queue ids.
    /// None if the allowance is used up. A lane whose outcomes are never [`Outcome::Accepted`] has no receipts.
    fn verdict<'a>(
        &'a self,
        _request_id: &'a str,
        _sent_to: Option<&'a str>,
        conversions: &'a [Facts],
        _allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<Verdict>, Exchange)>> {
        let unknowable = Verdict::Unknowable(Reason::new("no_receipts", "The platform gives no receipts."));
        Box::pin(async move { Some((vec![unknowable; conversions.len()], Exchange::default())) })
    }
}

/// A conversion as a platform needs it.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Its row in the queue.
    pub queue_id: Uuid,
    /// What the platform identifies it by.
    pub transaction_id: String,
    /// The stage the deal reached.
    pub conversion_type: Stage,
    pub occurred_at: DateTime<Utc>,
    pub money: Option<Money>,
    /// The newest click of the lane's network; none when the platform refused it.
    pub clicks: Clicks,
    /// What Google's tag stored of the session that began with the click.
    pub session_attributes: Option<String>,
    pub email_hash: Option<Hash>,
    /// The e-mail hash by Google's normalisation.
    pub email_hash_google: Option<Hash>,
    pub phone_hash: Option<Hash>,
    /// Of the digits without the +.
    pub phone_hash_digits: Option<Hash>,
    /// Of a correction: where the conversion was sent, see [`Platform::target`].
    pub sent_to: Option<String>,
    /// Through whom, see [`Platform::reached_through`]; none if that isn't known.
    pub sent_through: Option<String>,
    /// May it be sent for advertising? Never denied: such rows aren't claimed.
    pub ad_user_data: ConsentStatus,
    /// May it be used to personalise?
    pub ad_personalization: ConsentStatus,
    /// When the rest of it happened, and more that a verdict depends on.
    pub facts: Facts,
}

impl Conversion {
    /// The click of this network.
    #[must_use]
    pub fn click(&self, network: &str) -> Option<&Click> {
        self.clicks.get(network)
    }
}

/// What a verdict on a conversion depends on.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a row")]
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When the click of the platform's network was seen.
    pub click_at: Option<DateTime<Utc>>,
    /// When the person left e-mail or phone.
    pub lead_at: DateTime<Utc>,
    /// When the value was last changed, if it was.
    pub restated_at: Option<DateTime<Utc>>,
    /// When the deal was lost, if it was.
    pub retracted_at: Option<DateTime<Utc>>,
    /// Was it sent with a click id that isn't needed, because there is an e-mail or a phone?
    pub can_omit_click_id: bool,
    /// Did the platform refuse its click id, so that it is sent without?
    pub click_id_omitted: bool,
    /// May the platform have it from an earlier attempt?
    pub sent_before: bool,
    /// Is it a correction of what was sent?
    pub is_correction: bool,
    /// How many seconds later than it was it is said to be, because the click had another conversion at its time.
    pub seconds_later: i32,
    /// Is it sent in a separate request, because the verdict on a request of several named none?
    pub send_alone: bool,
}
