//! Where events of the website are sent: to Google Analytics. It uses HTTP and no SQL; what waits is kept elsewhere.
//!
//! Google Analytics counts every event it is told, and recognises repetitions of purchases only. So each event has
//! exactly one sender, and an event that may have arrived isn't sent again.

mod destinations;
mod event;
mod lane;

use crate::clock::Clock;
use crate::settings::Settings;

pub use destinations::{EventDestination, EventDestinations, EventFacts};
pub use event::EventToSend;
pub use lane::{EventLane, EventLanes, EventOutcome, EventRoute, EventVerdict};

/// The destinations of events. They need no credentials.
#[must_use]
pub fn destinations(settings: &mut Settings) -> EventDestinations {
    EventDestinations::from_settings(settings)
}

/// The same with their lanes, for which credentials are needed.
pub fn connect(settings: &mut Settings, _clock: &Clock) -> (EventDestinations, EventLanes) {
    (EventDestinations::from_settings(settings), EventLanes::new())
}
