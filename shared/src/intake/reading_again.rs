//! Reads a kept event again, by the declaration as it is today or from a body that the operator mended.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Config, payload_hashes};
use crate::clock::Clock;
use crate::crm::lookup::LookupError;
use crate::crm::{Circumstances, Item, Meaning, Reading, Report, Source};
use crate::http::Warning;
use crate::identity::Hash;
use crate::inbox::events::Kept;

/// Why an event can't be read now.
pub(super) struct Postponed {
    pub reason: String,
    pub after: Option<TimeDelta>,
    /// Does it affect the other events of the source, too?
    pub is_of_source: bool,
}

impl Postponed {
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), after: None, is_of_source: true }
    }
}

/// An event as it is read today, from the mended body if there is one, with what has to be looked up.
pub(super) async fn read_again(
    clock: &Clock,
    config: &Config,
    kept: &Kept,
    mended_body: Option<&[u8]>,
) -> Result<Reading, Postponed> {
    let Some(source) = config.sources.get(&kept.source) else {
        return Err(Postponed::because(format!("{} is no longer among CRM_SOURCES: declare it again", kept.source)));
    };
    let Some(body) = mended_body.or(kept.body.as_deref()) else {
        return Err(Postponed::because("its body is no longer kept"));
    };
    let items = match source.items(body) {
        Ok(items) => items,
        Err(errors) => return Ok(Reading::unusable(errors)),
    };
    let payload_hashes = payload_hashes(&Hash::of(body), &items);
    let position = position(source, kept, &items, mended_body.is_some())
        .map_err(|reason| Postponed { is_of_source: false, ..Postponed::because(reason) })?;
    let (Some(mut item), Some(payload_hash)) =
        (items.into_iter().nth(position), payload_hashes.into_iter().nth(position))
    else {
        return Err(Postponed::because("the declaration no longer finds it in its body: fix items"));
    };
    let circumstances = Circumstances {
        received_at: kept.received_at,
        region: config.phone_region,
        // An event without an id goes by the hash of what was received.
        event_id: (mended_body.is_none() && kept.source_event_id != payload_hash.as_str())
            .then(|| kept.source_event_id.clone()),
        payload_hash,
        has_replaced: item.has_replaced,
    };
    let mut reading = source.read_item(&item, &circumstances);
    if matches!(reading.meaning, Meaning::Fetch) {
        item.value = fetched(source, item.value).await?;
        reading = source.read_item(&item, &circumstances);
    }
    if mended_body.is_some() {
        let detail = "was given by the operator in place of the one that was received";
        reading.warnings.push(Warning { field: "body", detail: detail.into() });
    }
    // The same content is a duplicate, unless it is read differently now: so it gets another hash.
    if let (true, Meaning::Report(Report::Reached(deal))) = (kept.is_taken, &mut reading.meaning) {
        deal.payload_hash = Hash::of(format!("{} read again at {}", deal.payload_hash.as_str(), clock.now()));
    }
    Ok(reading)
}

/// Which of these items the event is.
///
/// # Errors
/// If that can't be told, or others of a mended body would be left unread: which, and the fix.
fn position(source: &Source, kept: &Kept, items: &[Item], is_mended: bool) -> Result<usize, String> {
    let received = kept.body.as_deref().and_then(|body| source.items(body).ok().map(|items| (Hash::of(body), items)));
    // A body that couldn't be split is one event, whatever should have been in it.
    let was_split = received.filter(|(of_body, items)| items.len() > 1 && kept.source_event_id != of_body.as_str());
    let position = usize::try_from(kept.position).unwrap_or_default();
    let places = |items: &[&Item]| {
        let some: Vec<_> = items.iter().take(10).map(|item| item.at.as_str()).collect();
        some.join(", ") + if items.len() > some.len() { ", …" } else { "" }
    };
    let Some((_, received)) = was_split else {
        return match items {
            [_] if is_mended => Ok(0),
            [_] => Ok(position),
            several => Err(format!(
                "the body has {} items ({}), and this event is one: send it as a webhook instead, so that all of them \
                 are read, with adtrail crm sign {} FILE | sh",
                several.len(),
                places(&several.iter().collect::<Vec<_>>()),
                source.name
            )),
        };
    };
    if !is_mended {
        return Ok(position);
    }
    let own = received.get(position).map_or("", |item| &item.at);
    if let [_] = items {
        return Ok(0);
    }
    if items.len() != received.len() {
        return Err(format!(
            "the mended body has {} items and the received one {}, so it can't be told which is this event, {own} of \
             the received one: leave only that in the file",
            items.len(),
            received.len()
        ));
    }
    let is_other = |(at, (item, received)): (usize, (&Item, &Item))| at != position && item.value != received.value;
    let others: Vec<_> = items.iter().zip(&received).enumerate().filter(|it| is_other(*it)).collect();
    if others.is_empty() {
        return Ok(position);
    }
    let others: Vec<_> = others.into_iter().map(|(_, (item, _))| item).collect();
    Err(format!(
        "only {own} of the mended body is this event, and {} would be left unread, which differ from what arrived, \
         too: retry each by the id of its own event, with a file in which only that one is mended",
        places(&others)
    ))
}

/// The item, with the result of the lookup.
async fn fetched(source: &Source, mut item: Value) -> Result<Value, Postponed> {
    let Some(fetch) = &source.fetch else {
        return Err(Postponed::because(format!("{} no longer declares fetch: declare it again", source.name)));
    };
    let fetched = match fetch.fetch(&item).await {
        Ok(fetched) => fetched,
        // Nothing more can be found. The deal is kept without a person, and the operator can assign it to a lead.
        Err(LookupError::Gone { .. }) => json!({"emails": [], "phones": []}),
        Err(LookupError::Later { reason, after }) => return Err(Postponed { after, ..Postponed::because(reason) }),
        Err(LookupError::Unreadable { reason }) => {
            return Err(Postponed { is_of_source: false, ..Postponed::because(reason) });
        }
        Err(LookupError::Refused { reason }) => return Err(Postponed::because(reason)),
    };
    if let Value::Object(fields) = &mut item {
        fields.insert("fetched".into(), fetched);
    }
    Ok(item)
}
