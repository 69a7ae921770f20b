//! All functions in one process, on one database.

use std::sync::Arc;

use axum::Router;
use shared::App;
use shared::clock::Clock;
use shared::db::Db;
use shared::http::Endpoint;
use shared::http::entrance::Entrance;
use shared::settings::{FromSettings, Settings};

use crate::gateway::route;

/// Declares the functions that answer requests: each by the name of its binary, its crate, and what it reads from the
/// settings. The uploader answers none, and the tag is served without settings; they are there besides.
macro_rules! functions {
    ($($binary:literal: $function:ident($config:ty) $(then $after:ident)?),+ $(,)?) => {
        /// The binaries that answer requests.
        pub const BINARIES: &[&str] = &[$($binary,)+ "serve-tag"];

        /// The endpoints of the HTTP contract, in the same order.
        pub const ENDPOINTS: &[&Endpoint] = &[$(&$function::ENDPOINT,)+ &serve_tag::ENDPOINT];

        /// What all of them read from the settings.
        pub struct Config {
            entrance: Entrance,
            $($function: $config,)+
            upload_conversions: upload_conversions::Config,
        }

        impl FromSettings for Config {
            fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
                Self {
                    entrance: Entrance::from_settings(settings, clock),
                    $($function: <$config>::from_settings(settings, clock),)+
                    upload_conversions: upload_conversions::Config::from_settings(settings, clock),
                }
            }
        }

        /// Each with its own app, as on Lambda.
        pub struct Functions {
            entrance: Entrance,
            $(pub $function: App<$config>,)+
            pub upload_conversions: App<upload_conversions::Config>,
        }

        impl From<App<Config>> for Functions {
            fn from(App { config, db, clock }: App<Config>) -> Self {
                Self {
                    entrance: config.entrance,
                    $($function: app(config.$function, &db, &clock),)+
                    upload_conversions: app(config.upload_conversions, &db, &clock),
                }
            }
        }

        impl Functions {
            /// Every endpoint at its path.
            pub fn routes(&'static self) -> Router {
                Router::new()
                    $(.merge(route(&self.entrance, &$function::ENDPOINT, functions!(@handle self, $function $(, $after)?))))+
                    .merge(route(&self.entrance, &serve_tag::ENDPOINT, serve_tag::handle))
            }
        }
    };
    (@handle $functions:ident, $function:ident) => {
        |request| $function::handle(&$functions.$function, request)
    };
    // On Lambda it runs when the answer is out.
    (@handle $functions:ident, $function:ident, $after:ident) => {
        move |request| async move {
            let answer = $function::handle(&$functions.$function, request).await;
            tokio::spawn($function::$after(&$functions.$function));
            answer
        }
    };
}

functions! {
    "track-visit": track_visit(track_visit::Config),
    "track-event": track_event(track_event::Config) then after_response,
    "record-consent": record_consent(record_consent::Config),
    "create-lead": create_lead(create_lead::Config),
    "crm-conversion": crm_conversion(crm_conversion::Config),
    "tracking-health": tracking_health(tracking_health::Config),
}

fn app<C>(config: C, db: &Arc<Db>, clock: &Clock) -> App<C> {
    App { config, db: Arc::clone(db), clock: clock.clone() }
}
