//! Which conversions a destination is for.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::Candidate;
use url::Url;

use crate::attribution::networks::{Kind, NETWORKS};
use crate::attribution::{Site, UTM_LIMIT};
use crate::deals::Stages;

/// Conditions that must all match: fields, each with the values of which it must have one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct When(BTreeMap<Field, Values>);

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Site,
    Source,
    Stage,
    UtmSource,
    UtmMedium,
    UtmCampaign,
    UtmTerm,
    UtmContent,
    /// What a network passes beside its click id: the network, and the parameter.
    Click(&'static str, &'static str),
}

impl Field {
    const OF_CONVERSION: [Self; 8] = [
        Self::Site,
        Self::Source,
        Self::Stage,
        Self::UtmSource,
        Self::UtmMedium,
        Self::UtmCampaign,
        Self::UtmTerm,
        Self::UtmContent,
    ];

    fn all() -> impl Iterator<Item = Self> {
        let details = NETWORKS.iter().flat_map(|network| {
            let details = network.parameters.iter().filter(|it| it.kind == Kind::Detail && it.is_in_url);
            details.map(|it| Self::Click(network.id, it.name))
        });
        Self::OF_CONVERSION.into_iter().chain(details)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Source => "source",
            Self::Stage => "stage",
            Self::UtmSource => "utm_source",
            Self::UtmMedium => "utm_medium",
            Self::UtmCampaign => "utm_campaign",
            Self::UtmTerm => "utm_term",
            Self::UtmContent => "utm_content",
            Self::Click(_, parameter) => parameter,
        }
    }

    fn of(self, candidate: &Candidate) -> Option<&str> {
        let Candidate { utm, .. } = candidate;
        match self {
            Self::Site => candidate.site.as_deref(),
            Self::Source => candidate.source.as_deref(),
            Self::Stage => Some(candidate.stage.as_str()),
            Self::UtmSource => utm.source.as_deref(),
            Self::UtmMedium => utm.medium.as_deref(),
            Self::UtmCampaign => utm.campaign.as_deref(),
            Self::UtmTerm => utm.term.as_deref(),
            Self::UtmContent => utm.content.as_deref(),
            Self::Click(network, parameter) => candidate.clicks.get(network)?.get(parameter),
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let text = String::deserialize(text)?;
        Self::all().find(|field| field.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            let names = names.join(", ");
            D::Error::custom(format!("{text} is no field that a destination can be chosen by; those are {names}"))
        })
    }
}

/// The values of which one must be there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrSeveral")]
struct Values(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or an array of texts")]
enum OneOrSeveral {
    One(Value),
    Several(Vec<Value>),
}

/// A campaign's id may be written as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(i64),
}

impl From<OneOrSeveral> for Values {
    fn from(values: OneOrSeveral) -> Self {
        let values = match values {
            OneOrSeveral::One(value) => vec![value],
            OneOrSeveral::Several(values) => values,
        };
        let text = |value| match value {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string(),
        };
        Self(values.into_iter().map(text).collect())
    }
}

impl When {
    /// Is the destination for this conversion? Upper and lower case are the same.
    #[must_use]
    pub fn allows(&self, candidate: &Candidate) -> bool {
        self.differing(candidate).next().is_none()
    }

    /// Without conditions it is for all conversions.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// Which conditions don't match, for people: `site is www.example.com, not www.example.fr`.
    pub fn differing(&self, candidate: &Candidate) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(field, Values(wanted))| {
            let found = field.of(candidate);
            let same = |it: &String| found.is_some_and(|found| found.to_lowercase() == it.to_lowercase());
            (!wanted.iter().any(same)).then(|| {
                let found = found.map_or_else(|| "absent".into(), |found| format!("{found:?}"));
                format!("{} is {found}, not {}", field.name(), wanted.join(" or "))
            })
        })
    }

    /// The values of `stage` that aren't stages.
    pub(super) fn unknown_stages(&self, stages: &Stages) -> Vec<&str> {
        let wanted = self.0.get(&Field::Stage).map_or(&[][..], |Values(wanted)| wanted);
        wanted.iter().map(String::as_str).filter(|name| stages.find(name).is_none()).collect()
    }

    /// What no conversion can match.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (field, Values(wanted)) in &self.0 {
            let name = field.name();
            if wanted.is_empty() {
                problems.push(format!("{name} needs at least one value"));
            }
            for value in wanted {
                let is_text = (1..=UTM_LIMIT).contains(&value.chars().count()) && !value.chars().any(char::is_control);
                if *field == Field::Site && !is_site(value) {
                    problems.push(
                        "site needs a host as pages have it, such as www.example.fr, without https:// and path".into(),
                    );
                } else if !is_text {
                    problems.push(format!("{name} needs 1 to {UTM_LIMIT} characters, without control characters"));
                }
            }
        }
        problems
    }
}

/// Is it a host, as it is kept of a page?
fn is_site(text: &str) -> bool {
    let url = Url::parse(&format!("https://{text}")).ok();
    url.as_ref().and_then(Site::of).is_some_and(|site| site.as_str() == text.to_lowercase())
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions =
            self.0.iter().map(|(field, Values(wanted))| format!("{} = {}", field.name(), wanted.join(" or ")));
        f.write_str(&conditions.collect::<Vec<_>>().join(", "))
    }
}
