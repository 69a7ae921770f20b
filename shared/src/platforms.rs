//! The ad platforms a conversion can be told to. Platforms speak HTTP and know no SQL; the queue speaks SQL and knows no
//! HTTP; the uploader brings them together.

pub mod google_ads;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::attribution::ClickId;
use crate::clock::Clock;
use crate::config::Config;
use crate::consent::ConsentStatus;
use crate::conversions::ConversionType;
use crate::identity::Hash;
use crate::money::Money;

/// A platform Adtrail can tell conversions to. Adding one is adding its line to [`REGISTRY`].
pub struct Entry {
    /// What `conversion_queue.platform` says.
    pub id: &'static str,
    /// Is it set up for conversions of this type?
    pub accepts: fn(&Config, ConversionType) -> bool,
    /// Makes it ready; none without credentials. An error says the fix.
    pub connect: fn(&Config, &Clock) -> Result<Connected, String>,
}

/// A platform made ready, if we have credentials for it.
pub type Connected = Option<Box<dyn Platform>>;

/// Every platform there is.
pub const REGISTRY: &[Entry] = &[google_ads::ENTRY];

/// The ids of the platforms that are set up for conversions of this type.
#[must_use]
pub fn accepting(config: &Config, conversion_type: ConversionType) -> Vec<&'static str> {
    REGISTRY.iter().filter(|entry| (entry.accepts)(config, conversion_type)).map(|entry| entry.id).collect()
}

/// The ids of the platforms that are set up at all.
#[must_use]
pub fn configured(config: &Config) -> Vec<&'static str> {
    let any = |entry: &&Entry| ConversionType::ALL.into_iter().any(|kind| (entry.accepts)(config, kind));
    REGISTRY.iter().filter(any).map(|entry| entry.id).collect()
}

/// One platform, ready to be told.
///
/// Delivery is at least once: after a lost reply the same conversion is sent again, with the same `transaction_id`, time
/// and value, and the platform must count it once.
pub trait Platform: Send + Sync {
    /// What `conversion_queue.platform` says.
    fn id(&self) -> &'static str;

    /// The most conversions to be told at a time: what is sure to be sent, and settled, in a minute.
    fn batch(&self) -> usize;

    /// Tells it about these conversions. One attempt for each, in their order; never an error, whatever happens.
    fn upload<'a>(&'a self, conversions: &'a [Conversion]) -> BoxFuture<'a, Vec<Attempt>>;

    /// Asks what became of a receipt.
    fn verdict<'a>(&'a self, request_id: &'a str) -> BoxFuture<'a, (Verdict, Exchange)>;
}

/// A conversion as a platform needs it.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Its row in the queue.
    pub queue_id: Uuid,
    /// What the platform recognises it by.
    pub transaction_id: String,
    /// The stage the deal reached.
    pub conversion_type: ConversionType,
    /// When it did.
    pub occurred_at: DateTime<Utc>,
    /// What it is worth.
    pub money: Option<Money>,
    /// Google's click ids, all of one click.
    pub gclid: Option<ClickId>,
    /// See [`crate::attribution::Click`].
    pub gbraid: Option<ClickId>,
    /// See [`crate::attribution::Click`].
    pub wbraid: Option<ClickId>,
    /// When the click was seen.
    pub click_at: Option<DateTime<Utc>>,
    /// The e-mail hash by Google's normalisation.
    pub email_hash_google: Option<Hash>,
    /// The phone hash.
    pub phone_hash: Option<Hash>,
    /// May it be sent for advertising? Never denied: such rows aren't claimed.
    pub ad_user_data: ConsentStatus,
    /// May it be used to personalise?
    pub ad_personalization: ConsentStatus,
}

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
    /// The platform has it from an earlier attempt.
    AlreadyDone(Reason),
    /// Not yet; costs no attempt.
    Later(DateTime<Utc>, Reason),
    /// Never, because of what the conversion is.
    Rejected(Reason),
    /// Not this time, because of what the conversion is or for no known reason. Costs one of the attempts.
    Retry(Reason),
    /// The request failed on its way or the platform is overloaded; costs no attempt. Says how long the platform asks
    /// us to wait, if it does.
    Unavailable(Reason, Option<TimeDelta>),
    /// The platform refuses us as such until somebody changes a setting; costs no attempt.
    Paused(Reason),
}

/// The facts of one exchange, for the log of attempts.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The status, if there was an answer.
    pub http_status: Option<u16>,
    /// How long it took.
    pub duration: Duration,
}

/// One conversion, sent or not.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What came of it.
    pub outcome: Outcome,
    /// How.
    pub exchange: Exchange,
}

/// What became of a receipt.
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
}

/// A client for calls to platforms: our one TLS stack, Mozilla's roots, no redirects, and an end to waiting.
///
/// # Errors
/// When TLS can't be set up.
pub fn http_client() -> Result<reqwest::Client, String> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .user_agent(concat!("adtrail/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}
