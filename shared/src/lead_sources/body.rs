//! A body as form builders send it: JSON, or a form whose names may have brackets.

use serde_json::Value;

use crate::crm;
use crate::encoding::text_of;
use crate::http::Problem;
use crate::http::body::{Mended, Shape};
use crate::identity::with_lost_plus;

/// Is it a form, in which a plus that wasn't escaped is a space?
pub(super) fn is_form(bytes: &[u8]) -> bool {
    Shape::of(&text_of(bytes)) == Shape::Form
}

/// Reads JSON if it looks like that, else a form.
///
/// # Errors
/// 400 if it is neither.
pub(super) fn read(bytes: &[u8]) -> Result<Mended, Problem> {
    let read = crm::answers(bytes).map_err(|refusal| Problem::invalid_body(vec![refusal]))?;
    // Some send a list of one.
    let value = match read.value {
        Value::Array(mut several) if several.len() == 1 => several.remove(0),
        value => value,
    };
    let value = if is_form(bytes) { with_lost_pluses(value) } else { value };
    Ok(Mended { value, ..read })
}

/// Only a phone number is a valid one, wherever it stands.
fn with_lost_pluses(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(with_lost_plus(text)),
        Value::Array(several) => several.into_iter().map(with_lost_pluses).collect(),
        Value::Object(object) => object.into_iter().map(|(name, it)| (name, with_lost_pluses(it))).collect(),
        value => value,
    }
}
