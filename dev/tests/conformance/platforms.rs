//! The platforms under test. Add one with two lines: its module, and its line in [`ALL`].

mod google_ads;
mod recorder;

use std::sync::LazyLock;

use axum::Router;
use serde_json::Value;
use shared::clock::Clock;
use shared::platforms::Entry;

/// A platform, and what plays its part.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    pub entry: Entry,
    /// Its sandbox, which goes by this clock.
    pub sandbox: fn(&Clock) -> Box<dyn Sandbox>,
}

/// Every platform there is. Each has to pass every check.
pub const ALL: &[Platform] = &[
    // One a line.
    Platform { entry: google_ads::ENTRY, sandbox: google_ads::sandbox },
    Platform { entry: recorder::ENTRY, sandbox: recorder::sandbox },
];

/// What the functions of the suite know instead of `platforms::REGISTRY`.
pub static REGISTRY: LazyLock<Vec<Entry>> = LazyLock::new(|| ALL.iter().map(|it| it.entry).collect());

/// The other side of a platform: its API with two accounts, which takes what the real one takes, and refuses on demand.
pub trait Sandbox {
    /// Its API.
    fn routes(&self) -> Router;

    /// The settings that its destinations share, with the API at this URL.
    fn settings(&self, url: &str) -> Vec<(&'static str, String)>;

    /// Those among them that hold credentials. A pause because they were refused names one.
    fn credentials(&self) -> &'static [&'static str];

    /// What the declaration of the first account (0) or the second (1) has to say for closed deals: each key with its
    /// value in TOML. Without any of the keys it is incomplete.
    fn declaration(&self, account: usize) -> Vec<(&'static str, String)>;

    /// A click as its network names it, as it is in `clicks`.
    fn click(&self, id: &str) -> Value;

    /// The conversions as it counts them.
    fn received(&self) -> Vec<Received>;

    /// Refuses this conversion for good from now on, and those that come along with it are accepted.
    fn reject(&self, transaction_id: &str);

    /// Refuses the next request as wrong, in a sentence that quotes this.
    fn refuse_quoting(&self, quoted: &str);

    /// Refuses the credentials from now on.
    fn refuse_credentials(&self);

    /// Takes them again.
    fn take_credentials(&self);
}

/// A conversion that a platform counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Received {
    pub transaction_id: String,
    /// Where, as its `Platform::target` says.
    pub target: String,
    /// How often it came.
    pub times: u32,
}
