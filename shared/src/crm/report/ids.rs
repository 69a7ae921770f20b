//! The ids of an event and of its deals.

use serde_json::Value;

use super::Reader;
use crate::crm::fields::{Ids, Text, scalar};
use crate::http::body::text_up_to;
use crate::invisible::is_invisible;

impl Reader<'_> {
    /// Only a strict source refuses an id that can't be one: without it, an event goes by its content.
    pub(super) fn event_id(&mut self) -> Option<String> {
        let Some((pointer, value)) = self.source.fields.event_id.as_ref().and_then(|field| field.find(self.item))
        else {
            return self.when.event_id.clone();
        };
        let read = scalar(&value).ok_or_else(|| "must be a text or a number".to_owned());
        match read.and_then(|text| text_up_to(500)(&text)).and_then(|text| self.as_sent(text)) {
            Ok(id) => Some(id),
            Err(detail) if self.source.strict => {
                self.refuse(&pointer, detail);
                None
            }
            Err(detail) => {
                self.warn("event_id", format!("at {pointer} {detail}: the event is told from others by its content"));
                self.when.event_id.clone()
            }
        }
    }

    /// An id, unless characters of it were replaced: another one may read the same then.
    fn as_sent(&self, id: String) -> Result<String, String> {
        if self.when.has_replaced && id.contains(char::REPLACEMENT_CHARACTER) {
            return Err("must be Unicode without U+0000".into());
        }
        Ok(id)
    }

    pub(super) fn deal_id(&mut self, field: Option<&Text>) -> Option<String> {
        let Some((pointer, value)) = field.and_then(|field| field.find(self.item)) else {
            if field.is_some_and(|field| field.waits(self.item)) {
                self.waits = true;
            } else {
                self.refuse(field.map_or("", Text::first), "is required");
            }
            return None;
        };
        id_of(&value, self.source.strict)
            .and_then(|id| self.as_sent(id))
            .map_err(|detail| self.refuse(&pointer, detail))
            .ok()
    }

    /// The ids of deals that are merged into another.
    pub(super) fn ids(&mut self, field: &Ids) -> Vec<String> {
        let found = field.find(self.item);
        if found.is_empty() {
            if field.wait(self.item) {
                self.waits = true;
            } else {
                self.refuse(field.first(), "is required");
            }
        }
        let id = |id: &Value| id_of(id, self.source.strict).and_then(|id| self.as_sent(id));
        let (ids, refused): (Vec<_>, Vec<_>) = found.iter().map(id).partition(Result::is_ok);
        for detail in refused.into_iter().filter_map(Result::err) {
            self.refuse(field.first(), detail);
        }
        ids.into_iter().filter_map(Result::ok).collect()
    }
}

/// The id of a deal. CRMs number their deals and send the number as one. Characters that nobody sees come from copying,
/// and are no part of it, unless the source is strict.
fn id_of(value: &Value, strict: bool) -> Result<String, String> {
    let text = value.as_str().map(|text| text.replace(|c| !strict && is_invisible(c), ""));
    match (text.as_deref().map(str::trim), whole(value)) {
        (Some(""), _) => Err("is required".into()),
        (Some(text), _) if text.contains(char::is_control) => Err("must not contain control characters".into()),
        (Some(text), _) => text_up_to(200)(text),
        (_, Some(digits)) => Ok(digits),
        _ => Err("must be a text of 1 to 200 characters, or a whole number".into()),
    }
}

/// The digits of a whole number. Some CRMs write 1042 as 1042.0.
pub(super) fn whole(value: &Value) -> Option<String> {
    const BEYOND_U64: f64 = 18_446_744_073_709_551_616.0;
    let float = || value.as_f64().filter(|it| it.fract() == 0.0 && (0.0..BEYOND_U64).contains(it));
    value.as_u64().map(|it| it.to_string()).or_else(|| float().map(|it| format!("{:.0}", it.abs())))
}
