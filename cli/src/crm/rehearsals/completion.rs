//! A body with what the CRM says when it is asked.

use serde_json::Value;
use shared::crm::Source;

use crate::Failure;

/// The body with the CRM's answer in each item, at /fetched.
pub(super) fn with_fetched(source: &Source, body: &[u8], fetched: &[u8]) -> Result<Vec<u8>, Failure> {
    let fetched: Value = serde_json::from_slice(fetched).map_err(|error| {
        Failure::Said(format!(
            "What was fetched must be JSON: it goes wrong at line {}, column {}.",
            error.line(),
            error.column()
        ))
    })?;
    // What is wrong with the body is said where it is read.
    let Ok(items) = source.items(body) else { return Ok(body.to_vec()) };
    let Ok(mut whole) = serde_json::from_slice::<Value>(body) else {
        return Err(Failure::Said("--fetched needs a body in JSON: a form has no place for what was fetched.".into()));
    };
    for position in 0..items.len() {
        if let Some(Value::Object(item)) = whole.pointer_mut(&source.pointer_to(position, "")) {
            item.insert("fetched".into(), fetched.clone());
        }
    }
    Ok(whole.to_string().into_bytes())
}
