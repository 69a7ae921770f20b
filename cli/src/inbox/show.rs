//! `adtrail inbox show`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::consent::statements::Statement;
use shared::inbox::entry::{Entry, StoredEvent};
use shared::settings::Values;

use super::{find, words};
use crate::answer::Answer;
use crate::table::{section, time};
use crate::{Failure, app, body};

pub(crate) async fn show(values: &Values, name: &str) -> Result<Answer, Failure> {
    let app = app::with_database::<()>(values)?;
    let entries = app.db.tx(async |tx| find(tx, name).await).await?;
    let documents: Vec<_> = entries.iter().map(document).collect();
    let texts: Vec<_> = entries.iter().map(text).collect();
    Ok(Answer::new(json!({ "entries": documents }), &texts.join("\n----\n\n")))
}

fn document(entry: &Entry) -> Value {
    json!({
        "deal": entry.deal,
        "events": entry.events.iter().map(event_document).collect::<Vec<_>>(),
        "conversion": entry.conversion,
        "queue": entry.queue,
        "lead": entry.lead,
        "candidates": entry.candidates,
        "consent": entry.consent,
    })
}

/// With the body as text, or in base64 if it isn't text.
fn event_document(event: &StoredEvent) -> Value {
    let mut document = json!(event);
    let text = event.body.as_deref().map(std::str::from_utf8);
    document["body"] = text.and_then(Result::ok).into();
    if let (Some(Err(_)), Some(bytes)) = (text, &event.body) {
        document["body_base64"] = STANDARD.encode(bytes).into();
    }
    document
}

fn text(entry: &Entry) -> String {
    let mut sections = Vec::new();
    sections.extend(entry.deal.as_ref().map(|deal| section("deal", fields(json!(deal)))));
    sections.extend(entry.lead.as_ref().map(|lead| section("lead", fields(json!(lead)))));
    let of_all = format!("candidate (of {})", entry.candidates.len());
    sections.extend(entry.candidates.iter().map(|lead| section(&of_all, fields(json!(lead)))));
    sections.extend((!entry.consent.is_empty()).then(|| section("consent", entry.consent.iter().map(statement))));
    sections.extend(entry.conversion.as_ref().map(|it| section("conversion", fields(json!(it)))));
    sections.extend(entry.queue.iter().map(|row| section("queue", fields(json!(row)))));
    let mut shown = None;
    for event in &entry.events {
        sections.push(section("event", fields(without_warnings(event)).into_iter().chain(warnings(event))));
        let is_shown = shown.replace(event.receipt_id) == Some(event.receipt_id);
        sections.push(if is_shown { "  Same body as above.\n".into() } else { body::lines(event.body.as_deref()) });
    }
    sections.join("\n")
}

fn without_warnings(event: &StoredEvent) -> Value {
    let mut row = json!(event);
    row["warnings"] = Value::Null;
    row
}

/// What of it was left out, guessed or isn't as it should be.
fn warnings(event: &StoredEvent) -> impl Iterator<Item = (String, String)> {
    let all = event.warnings.as_array().into_iter().flatten();
    all.map(|it| ("warning".into(), format!("{} {}", words::text(&it["pointer"]), words::text(&it["detail"]))))
}

/// When it was said, what, where and by whom.
fn statement(it: &Statement) -> (String, String) {
    let document = json!(it);
    let word = |name: &str| words::text(&document[name]);
    let whose = ["lead_id", "visitor_id", "crm_deal_id"].into_iter().filter(|name| !document[name].is_null());
    let whose: Vec<_> = whose.map(|name| format!("{name} {}", word(name))).collect();
    let said = format!("{} {}, {}, {}", word("purpose"), word("value"), word("source"), whose.join(", "));
    (time(it.stated_at), said)
}

/// The fields of a stored row that are set, by name.
fn fields(row: Value) -> Vec<(String, String)> {
    let is_set = |value: &Value| match value {
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        other => !other.is_null(),
    };
    let Value::Object(row) = row else { return Vec::new() };
    row.into_iter().filter(|(_, value)| is_set(value)).map(|(name, value)| (name, words::text(&value))).collect()
}
