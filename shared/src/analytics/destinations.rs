//! The destinations of events, as the settings declare them.

use crate::settings::Settings;

/// What decides whether a destination gets an event.
#[derive(Clone, Copy, Debug)]
pub struct EventFacts<'a> {
    pub name: &'a str,
    /// The host of the page it happened on.
    pub site: Option<&'a str>,
}

/// One stream of Google Analytics, and which events it is for.
#[derive(Clone, Debug)]
pub struct EventDestination {
    /// Also the name of its lane: at most 40 lower-case letters, digits and underscores, the first of them a letter.
    pub name: String,
    /// The stream, such as `G-ABC1234567`: it names the cookie that has the session.
    pub measurement_id: String,
}

impl EventDestination {
    /// Does it get this event?
    #[must_use]
    pub fn wants(&self, _event: &EventFacts<'_>) -> bool {
        true
    }
}

/// Where events are sent; declared in DESTINATIONS by `platform = "google-analytics"`, beside the destinations of
/// conversions.
#[derive(Clone, Debug, Default)]
pub struct EventDestinations {
    all: Vec<EventDestination>,
}

impl EventDestinations {
    pub(super) fn from_settings(_settings: &mut Settings) -> Self {
        Self::default()
    }

    /// In the order of their declarations.
    pub fn iter(&self) -> impl Iterator<Item = &EventDestination> {
        self.all.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&EventDestination> {
        self.all.iter().find(|it| it.name == name)
    }
}
