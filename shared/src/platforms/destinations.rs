//! Destinations: where conversions go, as the operator declares them in DESTINATIONS, or by the settings of a platform
//! that has a short form.

use std::sync::Arc;

use toml::Spanned;

use super::{Candidate, Entry, OF_EVENTS, Operation, Plan, Platform, ShortForm, SkipReason, When, Window};
use crate::attribution::networks;
use crate::deals::{Stage, Stages};
use crate::declarations::{DeclarationProblem, Kind, Problems, Table};
use crate::identity::Hash;
use crate::settings::Settings;

pub(crate) const DESTINATIONS: &str = "DESTINATIONS";
pub(crate) const KIND: Kind = Kind {
    noun: "destination",
    // People paste credentials wherever they seem to belong.
    repeats_values: false,
    fix: |message| {
        let fix = "expected a table, such as when = { site = \"www.example.com\" } or actions = { closed = 987654321 }";
        message.ends_with("expected a map").then_some(fix)
    },
};
/// What is to be done about open rows in a lane of no destination.
pub const UNDECLARED: &str = "No destination of this name is declared, so its rows wait until they expire: declare it \
     again, or give its rows to another one with adtrail destinations rename.";
/// An agency may have a hundred clients.
const MOST: usize = 200;

/// One account of a platform, and which conversions it is for.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What `conversion_queue.platform` says of its uploads: at most 40 lower-case letters, digits and underscores, the
    /// first of them a letter.
    pub name: String,
    pub entry: &'static Entry,
    pub when: When,
    /// In DESTINATIONS, not by settings of its own?
    pub is_declared: bool,
    pub platform: Arc<dyn Platform>,
}

impl Destination {
    /// What `conversion_queue.platform` says of what is sent to it.
    #[must_use]
    pub fn lane(&self, operation: Operation) -> String {
        operation.lane_of(&self.name)
    }

    /// What it is sent: uploads, and the corrections that it accepts.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        let corrections = self.entry.corrections.iter().map(|correction| correction.operation);
        std::iter::once(Operation::Upload).chain(corrections)
    }

    /// Should it get this conversion, and when?
    #[must_use]
    pub fn plan(&self, candidate: &Candidate) -> Plan {
        if self.platform.target(&candidate.stage).is_none() {
            Plan::Skip(SkipReason::NoConversionAction)
        } else if !self.when.allows(candidate) {
            Plan::Skip(SkipReason::NoDestination)
        } else {
            self.platform.plan(candidate)
        }
    }

    /// The stages that it takes, each with where it goes.
    pub fn targets<'a>(&'a self, stages: &'a Stages) -> impl Iterator<Item = (&'a Stage, String)> {
        stages.iter().filter_map(|stage| Some((stage, self.platform.target(stage)?)))
    }

    fn planned(&self, window: Window, stage: &Stage) -> Option<Planned> {
        Some(Planned {
            destination: self.name.clone(),
            window,
            target: self.platform.target(stage)?,
            kind: self.entry.id,
            is_only_one: self.entry.click_has_one_account,
        })
    }

    /// Does only one of the two get a conversion?
    #[must_use]
    pub fn is_alternative_of(&self, other: &Self) -> bool {
        self.entry.click_has_one_account && self.entry.id == other.entry.id
    }
}

/// A destination that gets a conversion, and when it counts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub destination: String,
    pub window: Window,
    /// Where it goes, see [`Platform::target`].
    pub target: String,
    /// Its platform, as [`Entry::id`].
    pub kind: &'static str,
    /// Does only one destination of this kind get a conversion?
    pub is_only_one: bool,
}

/// The stages there are, and the destinations.
#[derive(Clone, Debug)]
pub struct Destinations {
    pub stages: Stages,
    /// Those for some conversions before those for all, else in the order of their declarations.
    all: Vec<Destination>,
    fingerprint: String,
}

impl Default for Destinations {
    fn default() -> Self {
        Self::new(Stages::default(), Vec::new())
    }
}

impl Destinations {
    /// As the settings declare them, of these platforms.
    pub fn from_settings(registry: &'static [Entry], settings: &mut Settings) -> Self {
        let stages = Stages::from_settings(settings);
        let short = registry.iter().filter_map(|entry| {
            let ShortForm { name, read, .. } = entry.short_form?;
            let platform = read(settings, &stages)?;
            Some(Destination { name: name.into(), entry, when: When::default(), is_declared: false, platform })
        });
        let short: Vec<_> = short.collect();
        let declared = settings.declarations(DESTINATIONS);
        let declared = declared.and_then(|toml| declared_in(&toml, registry, &stages, &short, settings));
        let mut all = short;
        match declared {
            Ok(declared) => all.extend(declared),
            Err(problem) => settings.refuse(format!("{DESTINATIONS} {problem}")),
        }
        Self::new(stages, all)
    }

    fn new(stages: Stages, mut all: Vec<Destination>) -> Self {
        all.sort_by_key(|it| it.when.is_always());
        let fingerprint = fingerprint(&all, &stages);
        Self { stages, all, fingerprint }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.all.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Destination> {
        self.all.iter().find(|it| it.name == name)
    }

    /// Another one whenever a destination accepts something else than before.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Those that get this conversion; or why none does.
    ///
    /// # Errors
    /// The reason that is nearest to being sent.
    pub fn plan(&self, candidate: &Candidate) -> Result<Vec<Planned>, SkipReason> {
        let mut planned: Vec<(&Destination, Window)> = Vec::new();
        let mut skipped = None;
        for it in &self.all {
            match it.plan(candidate) {
                Plan::Send(window) if planned.iter().all(|(first, _)| !it.is_alternative_of(first)) => {
                    planned.push((it, window));
                }
                Plan::Send(_) => {}
                Plan::Skip(reason) => skipped = nearest(skipped, reason),
            }
        }
        if !candidate.is_attributable() {
            return Err(SkipReason::NoAttribution);
        }
        if planned.is_empty() {
            return Err(skipped.unwrap_or(SkipReason::NoConversionAction));
        }
        Ok(planned.into_iter().filter_map(|(it, window)| it.planned(window, &candidate.stage)).collect())
    }

    /// The destinations that may get this conversion instead of this one, with when it counts there, in their order
    /// after this one. None if a click of its platform may belong to several accounts.
    #[must_use]
    pub fn instead_of(&self, name: &str, candidate: &Candidate) -> Vec<(&Destination, Window)> {
        let Some(at) = self.all.iter().position(|it| it.name == name) else { return Vec::new() };
        let after = self.all[at + 1..].iter().chain(&self.all[..at]);
        let alternatives = after.filter(|it| it.is_alternative_of(&self.all[at]));
        let open = alternatives.filter_map(|it| match it.plan(candidate) {
            Plan::Send(window) => Some((it, window)),
            Plan::Skip(_) => None,
        });
        open.collect()
    }

    /// What `conversion_queue.platform` may say: the lanes of all destinations.
    #[must_use]
    pub fn lanes(&self) -> Vec<String> {
        self.all.iter().flat_map(|it| it.operations().map(|operation| it.lane(operation))).collect()
    }

    /// What it says of these corrections: the lanes of each destination that accepts them.
    #[must_use]
    pub fn correction_lanes(&self, operation: Operation) -> Vec<String> {
        let accepting = self.all.iter().filter(|it| it.operations().any(|accepted| accepted == operation));
        accepting.map(|it| it.lane(operation)).collect()
    }

    /// The click ids that a destination can use; any, as long as there is no destination.
    #[must_use]
    pub fn click_ids(&self) -> Vec<String> {
        networks::ids_of(|network| self.is_empty() || self.all.iter().any(|it| it.entry.network == network.id))
    }
}

fn fingerprint(all: &[Destination], stages: &Stages) -> String {
    let accepted = all.iter().map(|it| {
        let mut stages: Vec<_> = it.targets(stages).map(|(stage, _)| stage.as_str()).collect();
        stages.sort_unstable();
        let when = if it.when.is_always() { String::new() } else { format!(" when {}", it.when) };
        // Whatever else its settings are may decide what it accepts.
        format!("{}: {}{when} {:?}", it.name, stages.join(", "), it.platform.described())
    });
    let mut accepted: Vec<_> = accepted.collect();
    accepted.sort_unstable();
    Hash::of(accepted.join("; ")).as_str()[..16].to_owned()
}

/// Of the reasons of several destinations the one that says most.
fn nearest(known: Option<SkipReason>, reason: SkipReason) -> Option<SkipReason> {
    let distance = |reason| match reason {
        SkipReason::NoConversionAction => 2,
        SkipReason::NoDestination => 1,
        _ => 0,
    };
    known.into_iter().chain([reason]).min_by_key(|it| distance(*it))
}

fn declared_in(
    toml: &str,
    registry: &'static [Entry],
    stages: &Stages,
    short: &[Destination],
    settings: &mut Settings,
) -> Result<Vec<Destination>, String> {
    let mut problems = Problems::of(toml, KIND);
    let mut destinations: Vec<Destination> = Vec::new();
    for (number, table) in problems.tables().into_iter().enumerate() {
        if table.text("platform") == Some(OF_EVENTS) {
            continue;
        }
        let name = table.name.clone();
        let read = declared(table, registry, stages, settings).and_then(|it| {
            let others = || short.iter().chain(&destinations);
            let found = [
                (number == MOST)
                    .then(|| format!("is one of more than {MOST} destinations: deploy Adtrail again for the others")),
                clash(&it, others(), stages),
            ];
            let found: Vec<_> =
                found.into_iter().flatten().map(|what| DeclarationProblem::at(name.span(), what)).collect();
            if found.is_empty() { Ok(it) } else { Err(found) }
        });
        match read {
            Ok(destination) => destinations.push(destination),
            Err(found) => problems.add(name.get_ref(), found),
        }
    }
    problems.check()?;
    Ok(destinations)
}

/// What another destination has already.
fn clash<'a>(it: &Destination, mut others: impl Iterator<Item = &'a Destination>, stages: &Stages) -> Option<String> {
    others.find_map(|other| {
        if other.name == it.name {
            return Some(format!(
                "is declared by {} and the settings that belong to it as well: unset those, or give this one another \
                 name than {}",
                other.entry.short_form.map_or("DESTINATIONS", |it| it.setting),
                it.name
            ));
        }
        let same = |target: &String| {
            other.entry.id == it.entry.id && other.targets(stages).any(|(_, of_other)| of_other == *target)
        };
        let (stage, target) = it.targets(stages).find(|(_, target)| same(target))?;
        Some(format!(
            "sends {stage} to {target}, as {} does: a conversion could be counted twice. Use another action, or one \
             destination for both",
            other.name
        ))
    })
}

fn declared(
    mut table: Table<'_>,
    registry: &'static [Entry],
    stages: &Stages,
    settings: &mut Settings,
) -> Result<Destination, Vec<DeclarationProblem>> {
    let name = table.name.clone();
    check_name(&name)?;
    let known = || registry.iter().map(|entry| entry.id).chain([OF_EVENTS]).collect::<Vec<_>>().join(", ");
    let Some(platform) = table.take::<String>("platform")? else {
        let what = format!("doesn't say its platform: add platform = \"…\", one of {}", known());
        return Err(vec![DeclarationProblem::at(name.span(), what)]);
    };
    let Some(entry) = registry.iter().find(|entry| entry.id == platform.get_ref()) else {
        let what = format!("is no platform; those are {}", known());
        return Err(vec![DeclarationProblem::at(platform.span(), what)]);
    };
    let when = table.take::<When>("when")?;
    let wrong_when = when.as_ref().into_iter().flat_map(|when| {
        let unknown = when.get_ref().unknown_stages(stages).into_iter();
        let unknown = unknown.map(|name| format!("{name} isn't one of STAGES: {stages}"));
        unknown
            .chain(when.get_ref().problems())
            .map(|what| DeclarationProblem::at(when.span(), what))
            .collect::<Vec<_>>()
    });
    let mut problems: Vec<_> = wrong_when.collect();
    match (entry.declared)(table, stages, settings) {
        Ok(platform) if problems.is_empty() => Ok(Destination {
            name: name.into_inner(),
            entry,
            when: when.map(Spanned::into_inner).unwrap_or_default(),
            is_declared: true,
            platform,
        }),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}

/// Can a destination be called so?
pub(crate) fn check_name(name: &Spanned<String>) -> Result<(), Vec<DeclarationProblem>> {
    let refuse = |what: String| Err(vec![DeclarationProblem::at(name.span(), what)]);
    let text = name.get_ref();
    let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    if text.len() > 40 || !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.bytes().all(known) {
        return refuse(
            "the name of a destination is 1 to 40 lower-case letters, digits and underscores, the first of them a letter"
                .into(),
        );
    }
    match Operation::CORRECTIONS.into_iter().find(|it| text.ends_with(it.suffix())) {
        Some(operation) => refuse(format!(
            "the name of a destination can't end with {}: corrections of another one would be called so",
            operation.suffix()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
