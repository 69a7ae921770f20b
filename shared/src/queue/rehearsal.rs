//! What would be sent of a conversion, to whom and when: for the operator, before anything is sent.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Leased, Policy, facts};
use crate::consent::Consent;
use crate::consent::statements;
use crate::conversions::{Considered, consider};
use crate::db::{DbError, Tx};
use crate::deals::Stage;
use crate::platforms::{Conversion, Destination, Destinations, Operation, Outcome, Plan, Preview, SkipReason, Window};

/// A conversion and what each destination would get of it.
#[derive(Debug)]
pub struct Rehearsal {
    pub conversion_id: Uuid,
    pub stage: Stage,
    /// By all that its person said.
    pub consent: Consent,
    /// Is it held until there is consent?
    pub is_held: bool,
    /// Why no destination gets it, if it was decided before.
    pub skip_reason: Option<SkipReason>,
    pub destinations: Vec<Rehearsed>,
}

/// What one destination would get of a conversion.
#[derive(Debug)]
pub struct Rehearsed {
    pub destination: String,
    pub fate: Fate,
    /// The request, if it were sent alone when it is due; or why it wouldn't be sent.
    pub preview: Option<Result<Preview, Outcome>>,
}

/// Whether a destination gets a conversion.
#[derive(Debug)]
pub enum Fate {
    /// It gets it.
    Gets(Window),
    /// It gets it if another destination, whose turn it is before, says that the click is another account's.
    GetsIfDeclined(Window, String),
    /// It doesn't get it. The conditions of `when` that don't match, if any.
    Skipped(SkipReason, Vec<String>),
}

/// What would be sent of these conversions.
pub async fn rehearse(
    tx: &mut Tx,
    policy: &Policy,
    destinations: &Destinations,
    conversion_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Rehearsal>, DbError> {
    let considered = consider(tx, conversion_ids).await?;
    let subjects: Vec<_> = considered.iter().map(|it| it.subject.clone()).collect();
    let consents = statements::decide(tx, &subjects).await?;
    let mut rehearsals = Vec::with_capacity(considered.len());
    for (it, decided) in considered.iter().zip(consents) {
        let consent = decided.or(it.consent);
        rehearsals.push(Rehearsal {
            conversion_id: it.conversion_id,
            stage: it.candidate.stage.clone(),
            consent,
            is_held: !consent.ad_user_data.may_be_sent(policy.unknown_consent),
            skip_reason: it.skip_reason,
            destinations: each(tx, destinations, it, consent, now).await?,
        });
    }
    Ok(rehearsals)
}

async fn each(
    tx: &mut Tx,
    destinations: &Destinations,
    it: &Considered,
    consent: Consent,
    now: DateTime<Utc>,
) -> Result<Vec<Rehearsed>, DbError> {
    let planned = destinations.plan(&it.candidate).unwrap_or_default();
    // The conversion with the click of each network, read once.
    let mut read: HashMap<&str, facts::Stored> = HashMap::new();
    let mut rehearsed = Vec::new();
    for destination in destinations.iter() {
        let fate = match destination.plan(&it.candidate) {
            Plan::Skip(reason) => Fate::Skipped(reason, destination.when.differing(&it.candidate).collect()),
            Plan::Send(window) => {
                let chosen = planned.iter().filter_map(|it| destinations.get(&it.destination));
                match chosen.into_iter().find(|it| it.is_alternative_of(destination)) {
                    Some(first) if first.name != destination.name => Fate::GetsIfDeclined(window, first.name.clone()),
                    _ => Fate::Gets(window),
                }
            }
        };
        let preview = match &fate {
            Fate::Skipped(..) => None,
            Fate::Gets(window) | Fate::GetsIfDeclined(window, _) => {
                let network = destination.entry.network;
                if !read.contains_key(network) {
                    read.extend(facts::read(tx, network, &[it.conversion_id]).await?.pop().map(|it| (network, it)));
                }
                let due_at = window.from.map_or(now, |from| from.max(now));
                read.get(network).map(|stored| preview(destination, stored.clone(), consent, due_at))
            }
        };
        rehearsed.push(Rehearsed { destination: destination.name.clone(), fate, preview });
    }
    Ok(rehearsed)
}

fn preview(
    destination: &Destination,
    stored: facts::Stored,
    consent: Consent,
    due_at: DateTime<Utc>,
) -> Result<Preview, Outcome> {
    let Consent { ad_user_data, ad_personalization } = consent;
    let conversion = stored.into_conversion(&Leased::default());
    let conversion = Conversion { ad_user_data, ad_personalization, ..conversion };
    destination.platform.preview(&conversion, Operation::Upload, due_at)
}
