//! What a source of leads would send, for those who try one.

use serde_json::Value;

use super::{Source, body, presets};
use crate::json_pointer;

impl Source {
    /// A body as its preset's sender sends it.
    #[must_use]
    pub fn sample(&self) -> Option<&'static str> {
        presets::sample(self.preset.as_deref().unwrap_or(&self.name))
    }

    /// The JSON body with the key of this source in it. None if it has no key, or the body no place for it.
    #[must_use]
    pub fn with_key(&self, json: &[u8]) -> Option<String> {
        let key = self.key.as_ref()?;
        let mut body = body::read(json).ok().filter(|_| !body::is_form(json))?.value;
        let (object, name) = key.at.rsplit_once('/')?;
        body.pointer_mut(object)?.as_object_mut()?.insert(json_pointer::unescaped(name), Value::from(key.live()));
        Some(body.to_string())
    }
}

/// What a body says it is.
#[must_use]
pub fn content_type_of(body: &[u8]) -> &'static str {
    if body::is_form(body) { "application/x-www-form-urlencoded" } else { "application/json" }
}
