//! Where events of the website are sent: to Google Analytics. It uses HTTP and no SQL; what waits is kept elsewhere.
//!
//! Google Analytics counts every event it is told, and recognises repetitions of purchases only. So each event has
//! exactly one sender, and an event that may have arrived isn't sent again.

mod data_manager;
mod declared;
mod destinations;
mod event;
mod fitted;
mod lane;
mod limits;
mod measurement_protocol;
mod unconnected;

use std::sync::Arc;

use crate::clock::Clock;
use crate::outgoing::http_client;
use crate::platforms::google::api::Api;
use crate::platforms::google::auth::{Scope, TokenSource};
use crate::platforms::google::credentials;
use crate::settings::Settings;

use data_manager::DataManager;
use destinations::Way;
pub use destinations::{EventDestination, EventDestinations, EventFacts, Transport};
pub use event::EventToSend;
pub use fitted::is_recognised_again;
pub use lane::{EventLane, EventLanes, EventOutcome, EventRoute, EventVerdict};
use measurement_protocol::MeasurementProtocol;

/// What `platform` says in their declarations.
pub const PLATFORM: &str = crate::platforms::OF_EVENTS;

/// The destinations of events. They need no credentials.
#[must_use]
pub fn destinations(settings: &mut Settings) -> EventDestinations {
    EventDestinations::from_settings(settings)
}

/// The same with their lanes, for which credentials are needed. Whatever is wrong with those of one destination stops
/// no other: its lane is paused with what is wrong.
pub fn connect(settings: &mut Settings, clock: &Clock) -> (EventDestinations, EventLanes) {
    let destinations = EventDestinations::from_settings(settings);
    let lane = |it: &EventDestination| {
        let mut apart = settings.apart();
        let connected = connected(it, &mut apart, clock);
        apart.finish(connected).unwrap_or_else(|error| unconnected::lane(it, &error))
    };
    let lanes = destinations.iter().map(lane).collect();
    (destinations, lanes)
}

fn connected(it: &EventDestination, settings: &mut Settings, clock: &Clock) -> Option<Box<dyn EventLane>> {
    let route = |transport, quota| EventRoute { destination: it.name.clone(), transport, quota };
    Some(match &it.way {
        Way::DataManager { property_id, credentials: names, url, token_url } => {
            let credentials = credentials::read(settings, names)?;
            let http = http_client().map_err(|problem| settings.refuse(problem)).ok()?;
            let tokens = TokenSource::new(credentials, token_url.clone(), http.clone(), clock.clone());
            Box::new(DataManager {
                property_id: property_id.clone(),
                measurement_id: it.measurement_id.clone(),
                url: url.clone(),
                api: Api { tokens: Arc::new(tokens), scope: Scope::DataManager, http },
                clock: clock.clone(),
                // Google counts by the project of the credentials.
                route: route("data_manager", names.iter().collect::<Vec<_>>().join(" ")),
            })
        }
        Way::MeasurementProtocol { api_secret, url } => {
            settings.require(&[api_secret]);
            Box::new(MeasurementProtocol {
                measurement_id: it.measurement_id.clone(),
                api_secret: settings.secret(api_secret)?,
                url: url.clone(),
                clock: clock.clone(),
                route: route("measurement_protocol", it.measurement_id.clone()),
            })
        }
    })
}
