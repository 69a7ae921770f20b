//! A body with the CRM's answer to a lookup.

use serde_json::Value;
use shared::crm::Source;

use crate::Failure;

/// Adds the answer to each item of the body, at /fetched.
pub(crate) fn add(source: &Source, body: &[u8], fetched: &[u8]) -> Result<Vec<u8>, Failure> {
    let fetched: Value = serde_json::from_slice(fetched).map_err(|error| {
        Failure::Message(format!(
            "The file of --fetched must be JSON: there is an error at line {}, column {}.",
            error.line(),
            error.column()
        ))
    })?;
    // An invalid body is reported where it is read.
    let Ok(items) = source.items(body) else { return Ok(body.to_vec()) };
    let Ok(mut whole) = serde_json::from_slice::<Value>(body) else {
        return Err(Failure::Message("--fetched needs a JSON body: a form has no place for it.".into()));
    };
    for item in items {
        if let Some(Value::Object(item)) = whole.pointer_mut(&item.at) {
            item.insert("fetched".into(), fetched.clone());
        }
    }
    Ok(whole.to_string().into_bytes())
}
