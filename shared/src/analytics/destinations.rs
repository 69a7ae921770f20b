//! The destinations of events, as the settings declare them.

use super::declared;
use super::limits::is_reserved_event;
use super::{EventOutcome, EventToSend, data_manager, measurement_protocol};
use crate::declarations::{DeclarationProblem, Problems};
use crate::platforms::destinations::{DESTINATIONS, KIND};
use crate::platforms::google::credentials::Names;
use crate::platforms::{OF_EVENTS, Preview};
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
    pub(super) way: Way,
    /// The names it is for; all without any.
    pub(super) events: Vec<String>,
    /// The sites it is for, in lower case; all without any.
    pub(super) sites: Vec<String>,
}

/// The API that events go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// It answers what is wrong, and later what became of an event.
    DataManager,
    /// It answers nothing.
    MeasurementProtocol,
}

impl Transport {
    /// What a declaration says.
    #[must_use]
    pub fn as_declared(self) -> &'static str {
        match self {
            Self::DataManager => "data-manager",
            Self::MeasurementProtocol => "measurement-protocol",
        }
    }
}

/// The same with what it needs.
#[derive(Clone, Debug)]
pub(super) enum Way {
    DataManager { property_id: String, credentials: Names, url: String, token_url: Option<String> },
    MeasurementProtocol { api_secret: String, url: String },
}

impl EventDestination {
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.way {
            Way::DataManager { .. } => Transport::DataManager,
            Way::MeasurementProtocol { .. } => Transport::MeasurementProtocol,
        }
    }

    /// Does it get this event? One whose name Google Analytics keeps for itself isn't even queued: anybody can report
    /// it.
    #[must_use]
    pub fn wants(&self, event: &EventFacts<'_>) -> bool {
        let is_named = self.events.is_empty() || self.events.iter().any(|name| name == event.name);
        let of_site = |site: &str| self.sites.iter().any(|wanted| wanted.eq_ignore_ascii_case(site));
        !is_reserved_event(event.name) && is_named && (self.sites.is_empty() || event.site.is_some_and(of_site))
    }

    /// Its settings for the operator, with their names. Without secrets.
    #[must_use]
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let mut rows =
            vec![("measurement_id", self.measurement_id.clone()), ("transport", self.transport().as_declared().into())];
        match &self.way {
            Way::DataManager { property_id, credentials, .. } => rows.extend([
                ("property_id", property_id.clone()),
                ("verdicts", "Google answers what becomes of each event".into()),
                ("credentials", credentials.in_words()),
            ]),
            Way::MeasurementProtocol { api_secret, url } => rows.extend([
                ("url", url.clone()),
                ("verdicts", "none: the Measurement Protocol answers nothing, so what arrives is unverifiable".into()),
                ("api_secret", api_secret.clone()),
            ]),
        }
        rows
    }

    /// Which events it gets, in words.
    #[must_use]
    pub fn gets(&self) -> String {
        let events = if self.events.is_empty() { "all".into() } else { self.events.join(", ") };
        if self.sites.is_empty() { events } else { format!("{events}; of {}", self.sites.join(" or ")) }
    }

    /// The request that its lane would send for this event alone, without its credentials.
    ///
    /// # Errors
    /// Why it isn't sent.
    pub fn preview(&self, event: &EventToSend) -> Result<Preview, EventOutcome> {
        match &self.way {
            Way::DataManager { property_id, url, .. } => {
                data_manager::preview(url, property_id, &self.measurement_id, event)
            }
            Way::MeasurementProtocol { url, .. } => measurement_protocol::preview(url, &self.measurement_id, event),
        }
    }
}

/// Where events are sent; declared in DESTINATIONS by `platform = "google-analytics"`, beside the destinations of
/// conversions.
#[derive(Clone, Debug, Default)]
pub struct EventDestinations {
    all: Vec<EventDestination>,
}

impl EventDestinations {
    pub(super) fn from_settings(settings: &mut Settings) -> Self {
        let read = settings.declarations(DESTINATIONS).and_then(|toml| declared_in(&toml, settings));
        let all = read.unwrap_or_else(|problem| {
            settings.refuse(format!("{DESTINATIONS} {problem}"));
            Vec::new()
        });
        Self { all }
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

fn declared_in(toml: &str, settings: &mut Settings) -> Result<Vec<EventDestination>, String> {
    let mut problems = Problems::of(toml, KIND);
    let mut all: Vec<EventDestination> = Vec::new();
    for table in problems.tables() {
        if table.text("platform") != Some(OF_EVENTS) {
            continue;
        }
        let name = table.name.clone();
        let read = declared::read(table, settings).and_then(|it| match all.iter().find(|other| other.measurement_id == it.measurement_id) {
            None => Ok(it),
            Some(other) => {
                let what = format!(
                    "sends to {}, as {} does: an event could be counted twice. Declare one of them, for all its sites and \
                     events",
                    it.measurement_id, other.name
                );
                Err(vec![DeclarationProblem::at(name.span(), what)])
            }
        });
        match read {
            Ok(it) => all.push(it),
            Err(found) => problems.add(name.get_ref(), found),
        }
    }
    problems.check()?;
    Ok(all)
}

#[cfg(test)]
mod tests;
