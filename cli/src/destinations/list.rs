//! `adtrail destinations`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::analytics::{EventDestination, PLATFORM};
use shared::clock::Clock;
use shared::deals::Stages;
use shared::platforms::{Correction, Destination, UNDECLARED, no_destination};
use shared::queue::{self, LaneState};
use shared::settings::Values;

use crate::answer::Answer;
use crate::table::section;
use crate::{Failure, app};

pub(crate) async fn list(values: &Values) -> Result<Answer, Failure> {
    let (app, has_database) = app::for_declarations(values, Clock::system())?;
    let mut lanes: BTreeMap<String, LaneState> = BTreeMap::new();
    if has_database {
        let found = app.db.tx(async |tx| queue::lanes(tx, app.clock.now()).await).await?;
        lanes.extend(found.into_iter().map(|lane| (lane.lane.clone(), lane)));
    }
    let destinations = &app.config.intake.destinations;
    let (mut documents, mut blocks) = (Vec::new(), Vec::new());
    for destination in destinations.iter() {
        let own: Vec<_> = destination.operations().filter_map(|it| lanes.remove(&destination.lane(it))).collect();
        documents.push(document(destination, &destinations.stages, has_database.then_some(&own)));
        blocks.push(section(&destination.name, rows(destination, &destinations.stages, has_database.then_some(&own))));
    }
    let events = &app.config.events;
    blocks.extend(events.iter().map(|it| section(&it.name, of_events(it))));
    if destinations.is_empty() && events.is_empty() {
        blocks.push(no_destination());
    }
    let undeclared: Vec<_> = lanes.into_values().filter(|lane| lane.open > 0).collect();
    blocks.extend(undeclared.iter().map(|LaneState { lane, open, .. }| format!("{lane}: {open} open. {UNDECLARED}\n")));
    if !has_database {
        blocks.push("Open rows and pauses are not shown: DATABASE_URL isn't set.".into());
    }
    let undeclared = undeclared.iter().map(|it| json!({ "lane": it.lane, "open": it.open }));
    let document = json!({
        "destinations": documents,
        "undeclared": undeclared.collect::<Vec<_>>(),
        "events": events.iter().map(document_of_events).collect::<Vec<_>>(),
    });
    Ok(Answer::new(document, &blocks.join("\n")))
}

fn document(destination: &Destination, stages: &Stages, lanes: Option<&Vec<LaneState>>) -> Value {
    let settings: serde_json::Map<_, _> =
        destination.platform.described().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let targets: BTreeMap<_, _> =
        destination.targets(stages).map(|(stage, target)| (stage.as_str().to_owned(), target)).collect();
    let corrections = destination.entry.corrections.iter();
    let corrections = corrections.map(|it| json!({ "operation": it.operation.as_str(), "days": it.window.num_days() }));
    json!({
        "name": destination.name,
        "platform": destination.entry.id,
        "when": destination.when.to_string(),
        "settings": settings,
        "stages": targets,
        "corrections": corrections.collect::<Vec<_>>(),
        "lanes": lanes.map(|lanes| lanes.iter().map(lane_document).collect::<Vec<_>>()),
    })
}

/// A destination of events.
fn of_events(destination: &EventDestination) -> Vec<(&'static str, String)> {
    let mut rows = vec![("platform", PLATFORM.to_owned()), ("events", destination.gets())];
    rows.extend(destination.described());
    rows
}

fn document_of_events(destination: &EventDestination) -> Value {
    let settings: serde_json::Map<_, _> =
        destination.described().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "name": destination.name,
        "platform": PLATFORM,
        "events": destination.gets(),
        "settings": settings,
    })
}

fn lane_document(lane: &LaneState) -> Value {
    json!({ "lane": lane.lane, "open": lane.open, "paused": lane.paused })
}

fn rows(destination: &Destination, stages: &Stages, lanes: Option<&Vec<LaneState>>) -> Vec<(&'static str, String)> {
    let when = if destination.when.is_always() { "always".into() } else { destination.when.to_string() };
    let mut rows = vec![("platform", destination.entry.id.to_owned()), ("when", when)];
    rows.extend(destination.platform.described());
    let targets = destination.targets(stages).map(|(stage, target)| format!("{stage}: {target}"));
    rows.extend(targets.enumerate().map(|(at, it)| (if at == 0 { "stages" } else { "" }, it)));
    if rows.last().is_none_or(|(name, _)| *name != "stages" && !name.is_empty()) {
        rows.push(("stages", "NONE HAS A CONVERSION ACTION, so nothing is sent to it".into()));
    }
    let correction =
        |it: &Correction| format!("{} within {} days of the conversion", it.operation.as_str(), it.window.num_days());
    let corrections: Vec<_> = destination.entry.corrections.iter().map(correction).collect();
    rows.push(("corrections", if corrections.is_empty() { "none".into() } else { corrections.join("; ") }));
    for LaneState { lane, open, paused, .. } in lanes.into_iter().flatten() {
        let paused = paused.as_ref().map(|reason| format!("; PAUSED: {reason}")).unwrap_or_default();
        rows.push(("queue", format!("{lane}: {open} open{paused}")));
    }
    rows
}
