//! A stream of Google Analytics as a destination declares it.

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::destinations::{EventDestination, Way};
use super::{Transport, limits};
use crate::attribution::Site;
use crate::declarations::{DeclarationProblem, Table};
use crate::events;
use crate::outgoing::endpoint;
use crate::platforms::REGISTRY;
use crate::platforms::destinations::check_name;
use crate::platforms::google;
use crate::platforms::google::declared::{Check, DeclaredNames, Text};
use crate::settings::{self, Settings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [google_analytics]")]
struct Declared {
    #[serde(rename = "platform")]
    _platform: String,
    measurement_id: Option<Spanned<Text>>,
    property_id: Option<Spanned<Text>>,
    transport: Option<Spanned<Text>>,
    api_secret: Option<Spanned<String>>,
    region: Option<Spanned<Text>>,
    events: Option<Spanned<Vec<String>>>,
    when: Option<When>,
    credentials: Option<Spanned<DeclaredNames>>,
}

/// An event has no more to choose by than its name and its page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, such as when = { site = \"www.example.com\" }")]
struct When {
    site: Spanned<Sites>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or an array of texts")]
enum Sites {
    One(String),
    Several(Vec<String>),
}

/// Reads the table of a destination.
pub(super) fn read(table: Table<'_>, settings: &mut Settings) -> Result<EventDestination, Vec<DeclarationProblem>> {
    let name = table.name.clone();
    check_name(&name)?;
    let short_form = REGISTRY.iter().filter_map(|entry| entry.short_form).find(|it| it.name == *name.get_ref());
    if let Some(short_form) = short_form {
        let what = format!("is what {} declares: give this one another name", short_form.setting);
        return Err(vec![DeclarationProblem::at(name.span(), what)]);
    }
    let own_url = settings.parsed("GOOGLE_ANALYTICS_URL", endpoint);
    let declared: Declared = table.read()?;
    let mut check = Check { here: name.span(), problems: Vec::new() };
    let id = check.parsed("measurement_id", declared.measurement_id.as_ref(), measurement_id);
    if declared.measurement_id.is_none() {
        let what =
            "doesn't say its stream: add measurement_id = \"G-ABC1234567\" (Google Analytics, Admin, Data streams)";
        check.refuse(name.span(), what);
    }
    let transport = check.parsed("transport", declared.transport.as_ref(), transport);
    let events = check.events(declared.events.as_ref());
    let sites = check.sites(declared.when.as_ref());
    let way = match transport.unwrap_or(Transport::DataManager) {
        Transport::DataManager => {
            if let Some(it) = &declared.api_secret {
                let what = "api_secret is for transport = \"measurement-protocol\"; the Data Manager API takes the \
                            credentials of Google Ads: remove it";
                check.refuse(it.span(), what);
            }
            if let Some(it) = &declared.region {
                let what = "region is for transport = \"measurement-protocol\"; the Data Manager API has one address: \
                            remove it";
                check.refuse(it.span(), what);
            }
            let property = check.parsed("property_id", declared.property_id.as_ref(), property_id);
            if declared.property_id.is_none() {
                let what = "doesn't say its property: add property_id = 123456789 (Google Analytics, Admin, Property \
                            details)";
                check.refuse(name.span(), what);
            }
            Way::DataManager {
                property_id: property.unwrap_or_default(),
                credentials: check.credentials(declared.credentials),
                url: google::data_manager_url(settings),
                token_url: google::token_url(settings),
            }
        }
        Transport::MeasurementProtocol => {
            if let Some(it) = &declared.credentials {
                let what = "credentials are for transport = \"data-manager\"; the Measurement Protocol takes an \
                            api_secret: remove them";
                check.refuse(it.span(), what);
            }
            check.parsed("property_id", declared.property_id.as_ref(), property_id);
            let region = check.parsed("region", declared.region.as_ref(), region);
            Way::MeasurementProtocol {
                api_secret: check.api_secret(declared.api_secret.as_ref()),
                url: own_url.unwrap_or_else(|| region.unwrap_or(WORLDWIDE).into()),
            }
        }
    };
    let measurement_id = id.unwrap_or_default();
    let it = EventDestination { name: name.into_inner(), measurement_id, way, events, sites };
    if check.problems.is_empty() { Ok(it) } else { Err(check.problems) }
}

const WORLDWIDE: &str = "https://www.google-analytics.com";
const EUROPE: &str = "https://region1.google-analytics.com";

fn region(text: &str) -> Result<&'static str, String> {
    if text == "eu" { Ok(EUROPE) } else { Err("must be eu; without it, events go to the nearest servers".into()) }
}

fn measurement_id(text: &str) -> Result<String, String> {
    let id = text.to_ascii_uppercase();
    let known = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit();
    let is_id = id.strip_prefix("G-").is_some_and(|it| (4..=20).contains(&it.len()) && it.bytes().all(known));
    if is_id { Ok(id) } else { Err("must be the measurement id of a web stream, such as G-ABC1234567".into()) }
}

fn property_id(text: &str) -> Result<String, String> {
    let id = text.strip_prefix("properties/").unwrap_or(text);
    let is_id = (1..=20).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_digit());
    if is_id { Ok(id.into()) } else { Err("must be the number of a property, such as 123456789".into()) }
}

fn transport(text: &str) -> Result<Transport, String> {
    let known = [Transport::DataManager, Transport::MeasurementProtocol];
    let found = known.into_iter().find(|it| it.as_declared() == text.replace('_', "-"));
    found.ok_or_else(|| "must be data-manager or measurement-protocol".into())
}

impl Check {
    fn events(&mut self, declared: Option<&Spanned<Vec<String>>>) -> Vec<String> {
        let Some(declared) = declared else { return Vec::new() };
        if declared.get_ref().is_empty() {
            self.refuse(declared.span(), "events needs at least one name; without events all of them are sent");
        }
        for name in declared.get_ref() {
            if let Err(what) = events::name(name) {
                self.refuse(declared.span(), format!("a name in events {what}"));
            } else if limits::is_reserved_event(name) {
                self.refuse(declared.span(), format!("Google Analytics keeps {name} for itself: rename the event"));
            }
        }
        declared.get_ref().clone()
    }

    fn sites(&mut self, when: Option<&When>) -> Vec<String> {
        let Some(When { site }) = when else { return Vec::new() };
        let sites = match site.get_ref() {
            Sites::One(site) => vec![site.to_lowercase()],
            Sites::Several(sites) => sites.iter().map(|site| site.to_lowercase()).collect(),
        };
        if sites.is_empty() {
            self.refuse(site.span(), "site needs at least one value");
        }
        let is_site = |text: &String| {
            let url = Url::parse(&format!("https://{text}")).ok();
            url.as_ref().and_then(Site::of).is_some_and(|site| site.as_str() == text)
        };
        if !sites.iter().all(is_site) {
            let what = "site needs a host as pages have it, such as www.example.fr, without https:// and path";
            self.refuse(site.span(), what);
        }
        sites
    }

    fn api_secret(&mut self, declared: Option<&Spanned<String>>) -> String {
        let Some(declared) = declared else {
            let what = "has no secret: add api_secret = \"GA4_API_SECRET\", the name of a setting that holds it (Google \
                        Analytics, Admin, Data streams, Measurement Protocol API secrets)";
            self.refuse(self.here.clone(), what);
            return String::new();
        };
        let name = declared.get_ref().trim();
        if name.is_empty() || !settings::is_name(name) {
            let what = "api_secret is named, never written here: give the name of a setting, such as GA4_API_SECRET";
            self.refuse(declared.span(), what);
        }
        name.to_owned()
    }
}
