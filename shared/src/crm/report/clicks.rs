//! The clicks of a deal, if its CRM kept their ids.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Reader;
use super::ids::whole;
use crate::attribution::Clicks;
use crate::attribution::networks::{Kind, Parameter};
use crate::http::Warning;

impl Reader<'_> {
    /// What can't be used is ignored with a warning, also in a strict source: the deal counts without it. The deal
    /// reached its stage at `reached_at`.
    pub(super) fn clicks(&mut self, reached_at: DateTime<Utc>) -> Clicks {
        let (fields, item) = (&self.source.fields, self.item);
        let clicks = Clicks::read(self.when.received_at, |parameter| {
            let (_, value) = fields.clicks.get(parameter.name)?.find(item)?;
            let value = value_of(parameter, &value);
            if value.is_none() {
                let detail = "is ignored: it can't be a value that the network passes, at most 512 characters. Point \
                              it at a field that has the value unchanged";
                self.warnings.push(Warning { field: parameter.name, detail: detail.into() });
            }
            value
        });
        match self.clicked_at() {
            Some(at) => {
                if at > reached_at && clicks.has_click() {
                    let detail = "is later than the deal, which can't have come from such a click: check what the CRM \
                                  writes there, and its zone";
                    self.warnings.push(Warning { field: "clicked_at", detail: detail.into() });
                }
                clicks.clicked(at)
            }
            None => clicks,
        }
    }

    /// When the clicks happened. Nobody clicks in the future, so a clock that is a little ahead means now.
    fn clicked_at(&mut self) -> Option<DateTime<Utc>> {
        let (_, value) = self.source.fields.clicked_at.as_ref()?.find(self.item)?;
        let why = match self.time_from(&value) {
            // A day began before whatever the click led to.
            Ok(time) if !time.is_ahead => return Some(time.from.min(self.when.received_at)),
            Ok(_) => "must not be in the future",
            Err(why) => why,
        };
        self.warn("clicked_at", format!("is ignored: it {why}"));
        None
    }
}

/// The value, if it can be one. Campaigns are numbers, and CRMs may keep them as such.
fn value_of(parameter: &Parameter, value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => return parameter.read(text),
        number if parameter.kind == Kind::Detail => whole(number),
        _ => None,
    };
    text.filter(|text| (parameter.is_valid)(text))
}
