//! `adtrail inbox show`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::settings::Values;

use super::{find, words};
use crate::answer::Answer;
use crate::table::section;
use crate::{Failure, setting};

pub(crate) async fn show(values: &Values, name: &str) -> Result<Answer, Failure> {
    let app = setting::app(values, &[])?;
    let mut entries = app.db.tx(async |tx| find(tx, name).await).await?;
    for event in entries.iter_mut().filter_map(|entry| entry["events"].as_array_mut()).flatten() {
        decode(event);
    }
    let texts: Vec<_> = entries.iter().map(in_words).collect();
    Ok(Answer::new(json!({ "entries": entries }), &texts.join("\n----\n\n")))
}

/// The body as text, or what it is when it is none: `body_base64`.
fn decode(event: &mut Value) {
    let Some(encoded) = event["body"].as_str().map(|text| text.replace('\n', "")) else { return };
    let text = STANDARD.decode(&encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if text.is_none() {
        event["body_base64"] = encoded.into();
    }
    event["body"] = text.into();
}

fn in_words(entry: &Value) -> String {
    let is_there = |row: &&Map<_, _>| row.get("id").is_some_and(|id| !id.is_null());
    let one = |part| Some(section(part, columns(entry[part].as_object().filter(is_there)?)));
    let many = |part: &str| entry[part].as_array().into_iter().flatten().filter_map(Value::as_object);
    let mut blocks: Vec<_> = ["deal", "lead", "conversion"].into_iter().filter_map(one).collect();
    blocks.extend(many("queue").map(|row| section("queue", columns(row))));
    let mut shown = None;
    for event in many("events") {
        let row = columns(event).filter(|(name, _)| !name.starts_with("body"));
        blocks.push(section("event", row));
        let receipt = &event["receipt_id"];
        let is_shown = shown.replace(receipt) == Some(receipt);
        blocks.push(if is_shown { "  The body is the one above.\n".into() } else { body(event) });
    }
    blocks.join("\n")
}

/// JSON and whatever else there is, line by line.
fn body(event: &Map<String, Value>) -> String {
    let text = match (event["body"].as_str(), event.get("body_base64").and_then(Value::as_str)) {
        (Some(text), _) => match serde_json::from_str::<Value>(text) {
            Ok(json) => format!("{json:#}"),
            Err(_) => text.to_owned(),
        },
        (None, Some(encoded)) => format!("(no text; base64) {encoded}"),
        (None, None) => "(the body is no longer kept)".into(),
    };
    let lines: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n") + "\n"
}

/// The columns that say something.
fn columns(row: &Map<String, Value>) -> impl Iterator<Item = (&str, String)> {
    let is_said = |value: &Value| match value {
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        other => !other.is_null(),
    };
    row.iter().filter(move |(_, value)| is_said(value)).map(|(name, value)| (name.as_str(), words::text(value)))
}
