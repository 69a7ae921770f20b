//! The newest click of each advertising network: a click of one never erases another's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::networks::{self, GOOGLE, Kind, NETWORKS, Named, Network, Parameter};

/// The clicks, by the network's id. As JSON: `{"microsoft": {"msclkid": "…", "at": "…"}, "meta": {"fbp": "…"}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Clicks(BTreeMap<&'static str, Click>);

impl Clicks {
    /// What these values are. What can't be a value of its network is left out. A click has a time only if one of its
    /// values says so, and none is later than `now`.
    #[must_use]
    pub fn read(now: DateTime<Utc>, mut find: impl FnMut(&Parameter) -> Option<String>) -> Self {
        let clicks = NETWORKS.iter().map(|network| (network.id, Click::read(network, now, &mut find)));
        Self(clicks.filter(|(_, click)| !click.values.is_empty()).collect())
    }

    #[must_use]
    pub fn get(&self, network: &str) -> Option<&Click> {
        self.0.get(network)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is there a click of any network?
    #[must_use]
    pub fn has_click(&self) -> bool {
        self.0.values().any(|click| click.has(Kind::Id))
    }

    /// Do these say the same click as those, of any network?
    #[must_use]
    pub fn have_a_click_of(&self, others: &Self) -> bool {
        let of_others = |network| others.get(network).map(Click::ids).unwrap_or_default();
        self.0.iter().any(|(network, click)| {
            let theirs = of_others(network);
            click.ids().iter().any(|(name, id)| theirs.get(name) == Some(id))
        })
    }

    /// What says which clicks they are, by the parameter's name.
    #[must_use]
    pub fn ids(&self) -> BTreeMap<&'static str, String> {
        self.0.values().flat_map(Click::ids).collect()
    }

    /// When the newest of them was seen.
    #[must_use]
    pub fn newest_at(&self) -> Option<DateTime<Utc>> {
        self.0.values().filter_map(|click| click.at).max()
    }

    /// These clicks and what was seen later, the newer click of each network: `merge_clicks` in SQL. The same click
    /// keeps its time, from which its age is counted. A click without a time gives way to any other.
    #[must_use]
    pub fn merged(mut self, seen: Self) -> Self {
        for (network, seen) in seen.0 {
            let known = self.0.remove(network).unwrap_or_default();
            self.0.insert(network, known.merged(seen));
        }
        self
    }

    /// These, and if there is no click of Google's among them, the one that is found elsewhere, not later than now.
    #[must_use]
    pub fn or_google(mut self, find: impl FnOnce() -> Option<Named>, now: DateTime<Utc>) -> Self {
        if !self.get(GOOGLE).is_some_and(Click::is_one)
            && let Some(Named { parameter, id, at }) = find()
        {
            let found = Click { values: [(parameter, id)].into(), at: Some(at.min(now)) };
            self.0.insert(GOOGLE, found);
        }
        self
    }

    /// These, and the clicks of the networks that have none among them.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (network, other) in others.0.iter().filter(|(_, click)| click.is_one()) {
            let known = self.0.remove(network).unwrap_or_default();
            self.0.insert(network, if known.is_one() { known } else { other.clone().over(known) });
        }
        self
    }

    /// None is later than now; those without a time are of now.
    #[must_use]
    pub fn dated(mut self, now: DateTime<Utc>) -> Self {
        for click in self.0.values_mut().filter(|click| click.has(Kind::Id)) {
            click.at = Some(click.at.map_or(now, |at| at.min(now)));
        }
        self
    }

    /// These clicks, of the newer of two reports, and what only the older one has.
    #[must_use]
    pub fn over(self, older: Self) -> Self {
        let mut clicks = older.0;
        for (network, newer) in self.0 {
            let older = clicks.remove(network).unwrap_or_default();
            clicks.insert(network, newer.replacing(older));
        }
        Self(clicks)
    }

    /// Those that don't say when they were happened then.
    #[must_use]
    pub fn clicked(mut self, at: DateTime<Utc>) -> Self {
        for click in self.0.values_mut().filter(|click| click.has(Kind::Id)) {
            click.at.get_or_insert(at);
        }
        self
    }

    /// Without the clicks that have no time.
    pub(super) fn only_dated(mut self) -> Self {
        self.0.retain(|_, click| click.at.is_some() || !click.has(Kind::Id));
        self
    }

    /// Only what says which clicks they are.
    pub(super) fn only_ids(mut self) -> Self {
        for click in self.0.values_mut() {
            click.values = click.of(Kind::Id);
        }
        self.0.retain(|_, click| !click.values.is_empty());
        self
    }

    pub(super) fn remove(&mut self, network: &str) -> Option<Click> {
        self.0.remove(network)
    }
}

impl<'de> Deserialize<'de> for Clicks {
    /// What isn't a click of a known network is left out: a cookie may be forged, and on `leads` the site may have had
    /// a column of this name.
    fn deserialize<D: Deserializer<'de>>(document: D) -> Result<Self, D::Error> {
        let document = Value::deserialize(document)?;
        let clicks = NETWORKS.iter().map(|network| {
            let stored = &document[network.id];
            let mut click =
                Click::read(network, DateTime::<Utc>::MAX_UTC, |it| stored[it.name].as_str().map(String::from));
            let at = stored["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
            let at = at.filter(|at| *at >= DateTime::UNIX_EPOCH);
            click.at = at.filter(|_| click.has(Kind::Id));
            (network.id, click)
        });
        Ok(Self(clicks.filter(|(_, click)| !click.values.is_empty()).collect()))
    }
}

/// One click on an ad, byte for byte as its network issued it, and what the network keeps in the browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Click {
    /// The values, by the parameter's name.
    #[serde(flatten)]
    values: BTreeMap<&'static str, String>,
    /// When it was first seen. None if that isn't known, or if there is no click but only what is the browser's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

impl Click {
    fn read(network: &Network, now: DateTime<Utc>, mut find: impl FnMut(&Parameter) -> Option<String>) -> Self {
        let mut value = |it: &Parameter| find(it).filter(|value| (it.is_valid)(value));
        let values = network.parameters.iter().filter_map(|it| Some((it.name, value(it)?)));
        let mut click = Self { values: values.collect(), at: None };
        for (parameter, names) in network.parameters.iter().filter_map(|it| Some((it.name, it.names?))) {
            let Some(value) = click.values.remove(parameter) else { continue };
            let Some(named) = names(&value) else { continue };
            // It may be a value of an earlier click, which the network's tag hasn't renewed yet.
            if click.get(named.parameter).is_none_or(|id| id == named.id) {
                click.at = Some(named.at.min(now));
                click.values.extend([(parameter, value), (named.parameter, named.id)]);
            }
        }
        if click.has(Kind::Id) { click } else { Self { values: click.of(Kind::Browser), at: None } }
    }

    #[must_use]
    pub fn get(&self, parameter: &str) -> Option<&str> {
        self.values.get(parameter).map(String::as_str)
    }

    /// What says which click it is.
    #[must_use]
    pub fn ids(&self) -> BTreeMap<&'static str, String> {
        self.of(Kind::Id)
    }

    fn merged(self, seen: Self) -> Self {
        let of_browser = seen.of(Kind::Browser);
        let mut click = if !self.has(Kind::Id) || !seen.has(Kind::Id) {
            seen.over(self)
        } else if self.of(Kind::Id) == seen.of(Kind::Id) {
            self.over(seen)
        } else if seen.at > self.at {
            seen.over(Self { values: self.of(Kind::Browser), at: None })
        } else {
            self
        };
        click.values.extend(of_browser);
        click
    }

    fn replacing(self, older: Self) -> Self {
        let is_another = self.has(Kind::Id) && self.of(Kind::Id) != older.of(Kind::Id);
        self.over(if is_another { Self { values: older.of(Kind::Browser), at: None } } else { older })
    }

    fn over(self, under: Self) -> Self {
        let at = self.at.or(under.at);
        let mut values = under.values;
        values.extend(self.values);
        Self { values, at }
    }

    fn of(&self, wanted: Kind) -> BTreeMap<&'static str, String> {
        let values = self.values.iter().filter(|(name, _)| networks::kind(name) == Some(wanted));
        values.map(|(name, value)| (*name, value.clone())).collect()
    }

    /// Is there a click, or only what is the browser's?
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.has(Kind::Id)
    }

    fn has(&self, wanted: Kind) -> bool {
        self.values.keys().any(|name| networks::kind(name) == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clicks(document: &Value) -> Clicks {
        serde_json::from_value(document.clone()).unwrap()
    }

    #[test]
    fn of_two_reports_the_newer_one_counts_and_keeps_what_only_the_older_one_has() {
        let at = "2026-11-19T10:00:00Z";
        let older = json!({
            "google": {"gclid": "one", "gad_campaignid": "7", "at": at}, "meta": {"fbclid": "one", "fbp": "p"},
        });
        for (newer, expected) in [
            (json!({}), older.clone()),
            (json!({"tiktok": {"ttclid": "one"}}), json!({"tiktok": {"ttclid": "one"}})),
            // The same click.
            (json!({"google": {"gclid": "one"}}), json!({})),
            (json!({"google": {"gclid": "two"}}), json!({"google": {"gclid": "two"}})),
            (json!({"meta": {"fbp": "q"}}), json!({"meta": {"fbclid": "one", "fbp": "q"}})),
            (json!({"meta": {"fbclid": "two"}}), json!({"meta": {"fbclid": "two", "fbp": "p"}})),
        ] {
            let mut all = older.clone();
            all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
            assert_eq!(clicks(&newer).over(clicks(&older)), clicks(&all), "{newer}");
        }
    }
}
