//! The app from the operator's settings.

use shared::analytics::EventDestinations;
use shared::clock::Clock;
use shared::queue::Policy;
use shared::settings::{self, FromSettings, Settings, Values};
use shared::{App, analytics, config, forms, intake, lead_sources, platforms};

use crate::Failure;

const DATABASE_URL: &str = "DATABASE_URL";

/// Needs a database.
pub(crate) fn with_database<C: FromSettings>(values: &Values) -> Result<App<C>, Failure> {
    Ok(App::new(values, &[], Clock::system(), 1)?)
}

/// Declarations whose secrets may be missing.
pub(crate) struct Draft {
    pub(crate) intake: intake::Config,
    pub(crate) leads: lead_sources::Sources,
    pub(crate) forms: forms::Config,
    pub(crate) policy: Policy,
    pub(crate) events: EventDestinations,
}

impl FromSettings for Draft {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        let intake = intake::Config {
            sources: config::crm_sources_draft(settings),
            phone_region: config::phone_region(settings),
            match_by: config::match_by(settings),
            destinations: platforms::destinations(settings),
        };
        Self {
            intake,
            leads: lead_sources::Sources::draft_from_settings(settings),
            forms: forms::Config::from_settings(settings, clock),
            policy: Policy::from_settings(settings, clock),
            events: analytics::destinations(settings),
        }
    }
}

/// For testing declarations: secrets of sources may be missing, and so may the database. Also answers whether there is
/// one.
pub(crate) fn for_declarations(values: &Values, clock: Clock) -> Result<(App<Draft>, bool), Failure> {
    let has_database = settings::value(values, DATABASE_URL).is_some();
    let mut values = values.clone();
    if !has_database {
        // The discard port: nothing listens there, and nothing is going to connect.
        values.insert(DATABASE_URL.into(), "postgresql://nobody@127.0.0.1:9/nothing".into());
    }
    Ok((App::new(&values, &[], clock, 1)?, has_database))
}
