//! All functions in one process, on one database.

use std::sync::Arc;

use shared::App;
use shared::clock::Clock;
use shared::db::Db;
use shared::http::cors::Origins;
use shared::intake;
use shared::settings::{FromSettings, Settings};

/// What all of them read from the settings.
pub struct Config {
    origins: Origins,
    track_visit: track_visit::Config,
    create_lead: create_lead::Config,
    crm_conversion: intake::Config,
    tracking_health: tracking_health::Config,
    upload_conversions: upload_conversions::Config,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self {
            origins: FromSettings::from_settings(settings, clock),
            track_visit: FromSettings::from_settings(settings, clock),
            create_lead: FromSettings::from_settings(settings, clock),
            crm_conversion: FromSettings::from_settings(settings, clock),
            tracking_health: FromSettings::from_settings(settings, clock),
            upload_conversions: FromSettings::from_settings(settings, clock),
        }
    }
}

/// Each with its own app, as on Lambda.
pub struct Functions {
    pub origins: Origins,
    pub track_visit: App<track_visit::Config>,
    pub track_event: App<()>,
    pub create_lead: App<create_lead::Config>,
    pub crm_conversion: App<intake::Config>,
    pub tracking_health: App<tracking_health::Config>,
    pub upload_conversions: App<upload_conversions::Config>,
}

impl From<App<Config>> for Functions {
    fn from(App { config, db, clock }: App<Config>) -> Self {
        fn app<C>(config: C, db: &Arc<Db>, clock: &Clock) -> App<C> {
            App { config, db: Arc::clone(db), clock: clock.clone() }
        }
        Self {
            origins: config.origins,
            track_visit: app(config.track_visit, &db, &clock),
            track_event: app((), &db, &clock),
            create_lead: app(config.create_lead, &db, &clock),
            crm_conversion: app(config.crm_conversion, &db, &clock),
            tracking_health: app(config.tracking_health, &db, &clock),
            upload_conversions: app(config.upload_conversions, &db, &clock),
        }
    }
}
