//! All functions in one process, on one database.

use std::sync::Arc;

use shared::App;
use shared::clock::Clock;
use shared::db::Db;
use shared::http::cors::Origins;
use shared::intake;
use shared::settings::{FromSettings, Settings};

/// Declares the functions: each by the name of its crate, and what it reads from the settings.
macro_rules! functions {
    ($($function:ident: $config:ty),+ $(,)?) => {
        /// What all of them read from the settings.
        pub struct Config {
            origins: Origins,
            $($function: $config),+
        }

        impl FromSettings for Config {
            fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
                Self {
                    origins: Origins::from_settings(settings, clock),
                    $($function: <$config>::from_settings(settings, clock)),+
                }
            }
        }

        /// Each with its own app, as on Lambda.
        pub struct Functions {
            pub origins: Origins,
            $(pub $function: App<$config>),+
        }

        impl From<App<Config>> for Functions {
            fn from(App { config, db, clock }: App<Config>) -> Self {
                Self { origins: config.origins, $($function: app(config.$function, &db, &clock)),+ }
            }
        }
    };
}

functions! {
    track_visit: track_visit::Config,
    track_event: (),
    create_lead: create_lead::Config,
    crm_conversion: intake::Config,
    tracking_health: tracking_health::Config,
    upload_conversions: upload_conversions::Config,
}

fn app<C>(config: C, db: &Arc<Db>, clock: &Clock) -> App<C> {
    App { config, db: Arc::clone(db), clock: clock.clone() }
}
