//! The ad platforms that conversions are sent to. Platforms use HTTP and no SQL, the queue uses SQL and no HTTP; the
//! uploader combines them.

mod allowance;
pub mod google_ads;
mod outcome;
mod plan;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::attribution::ClickId;
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::deals::{Stage, Stages};
use crate::identity::Hash;
use crate::money::Money;
use crate::settings::Settings;

pub use allowance::{Allowance, Limits};
pub use outcome::{Delivery, Exchange, Outcome, Reason, Request, Verdict};
pub use plan::{Correction, Plan, Plans, Window};

/// A platform that conversions can be sent to. To add one, add its line to [`REGISTRY`].
pub struct RegistryEntry {
    /// What it accepts, by its settings; none if it isn't configured.
    pub plan: fn(&mut Settings, &Stages) -> Option<Plan>,
    /// The same with its lanes, for which credentials are needed.
    pub connect: fn(&mut Settings, &Stages, &Clock) -> Option<(Plan, Lanes)>,
}

/// The lanes of one or several platforms; they keep their access tokens.
pub type Lanes = Vec<Box<dyn Lane>>;

/// Every platform there is.
pub const REGISTRY: &[RegistryEntry] = &[google_ads::ENTRY];

/// What the configured platforms accept.
#[must_use]
pub fn plans(settings: &mut Settings) -> Plans {
    let stages = Stages::from_settings(settings);
    let platforms = REGISTRY.iter().filter_map(|entry| (entry.plan)(settings, &stages)).collect();
    Plans { stages, platforms }
}

/// The same with their lanes.
pub fn connect(settings: &mut Settings, clock: &Clock) -> (Plans, Lanes) {
    let stages = Stages::from_settings(settings);
    let connected = REGISTRY.iter().filter_map(|entry| (entry.connect)(settings, &stages, clock));
    let (platforms, lanes): (_, Vec<_>) = connected.unzip();
    (Plans { stages, platforms }, lanes.into_iter().flatten().collect())
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

/// The names of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// What `conversion_queue.platform` says.
    pub platform: &'static str,
    /// What `upload_attempts.operation` says.
    pub operation: Operation,
    /// The API, as `upload_attempts.transport` says.
    pub transport: &'static str,
}

/// A way to a platform, with its own queue rows and its own pause.
///
/// Delivery is at least once: after a lost reply the same conversion is sent again, with the same `transaction_id` and
/// time, and the platform must count it once.
pub trait Lane: Send + Sync {
    fn route(&self) -> Route;

    /// The limits of its API, if there are any. All lanes of one transport share them.
    fn limits(&self) -> Option<Limits>;

    /// How many conversions to claim at once if so many are due: as many as can be sent and settled within a minute.
    fn claim_size(&self, due: usize) -> usize;

    /// Can it send now? Called before a claim, so that no conversion loses an attempt to a missing token.
    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>>;

    /// Sends these conversions. Failures are outcomes, never an error.
    fn upload<'a>(&'a self, conversions: &'a [Conversion], allowance: &'a Allowance) -> BoxFuture<'a, Delivery>;

    /// Asks for the verdicts on a receipt, one for each of its conversions, which are in the order of their queue ids.
    /// None if the allowance is used up.
    fn verdict<'a>(
        &'a self,
        request_id: &'a str,
        conversions: &'a [Facts],
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<Verdict>, Exchange)>>;
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
    /// Google's click ids, all of one click; none when the platform refused them.
    pub gclid: Option<ClickId>,
    /// See [`crate::attribution::Click`].
    pub gbraid: Option<ClickId>,
    /// See [`crate::attribution::Click`].
    pub wbraid: Option<ClickId>,
    /// What Google's tag stored of the session that began with the click.
    pub session_attributes: Option<String>,
    /// The e-mail hash by Google's normalisation.
    pub email_hash_google: Option<Hash>,
    pub phone_hash: Option<Hash>,
    /// May it be sent for advertising? Never denied: such rows aren't claimed.
    pub ad_user_data: ConsentStatus,
    /// May it be used to personalise?
    pub ad_personalization: ConsentStatus,
    /// When the rest of it happened, and more that a verdict depends on.
    pub facts: Facts,
}

/// What a verdict on a conversion depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When the click was seen.
    pub click_at: Option<DateTime<Utc>>,
    /// When the person left e-mail or phone.
    pub lead_at: DateTime<Utc>,
    /// When the value was last changed, if it was.
    pub restated_at: Option<DateTime<Utc>>,
    /// When the deal was lost, if it was.
    pub retracted_at: Option<DateTime<Utc>>,
    /// Was it sent with a click id that isn't needed, because there is an e-mail or a phone?
    pub can_omit_click_id: bool,
    /// Is it sent in a separate request, because the verdict on a request of several named none?
    pub send_alone: bool,
}
