//! Reads an item: a deal that reached a stage or was lost, or the reason why it reports nothing.

mod clicks;
mod consent;
mod ids;
mod money;
mod person;
mod time;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::fields::Text;
use super::payload::Item;
use super::rules::{self, Held, Rule, RuleOutcome};
use super::sources::Source;
use crate::deals::{Deal, Deletion, Loss, Merge, Restoration, Stage};
use crate::http::Warning;
use crate::http::problem::FieldError;
use crate::identity::{Hash, Region};

/// What is known about an item besides its content.
#[derive(Debug)]
pub struct Circumstances {
    /// When it was received. Unchanged when the item is read again later.
    pub received_at: DateTime<Utc>,
    /// The region of phone numbers without a country code.
    pub region: Option<Region>,
    /// SHA-256 of the body, or of this item's JSON where a body has several.
    pub payload_hash: Hash,
    /// The sender's id of the event, if the signature has one and the body has one item: it identifies the whole body.
    pub event_id: Option<String>,
    /// Were characters of the item replaced, so that a text with U+FFFD isn't what was sent?
    pub has_replaced: bool,
}

/// What was read from an item.
#[derive(Debug)]
pub struct Reading {
    /// The sender's id of the event: the declared field, else that of the signature.
    pub event_id: Option<String>,
    /// The JSON Pointer to the item in its body; empty if it is the body itself.
    pub at: String,
    /// The deal it is about, if that can be read.
    pub crm_deal_id: Option<String>,
    /// The rule that matches, for people: `rule 2: status = won`.
    pub rule: Option<String>,
    pub meaning: Meaning,
    /// Fields that can't be used fully.
    pub warnings: Vec<Warning>,
}

impl Reading {
    /// The reading of an invalid item.
    #[must_use]
    pub fn unusable(errors: Vec<FieldError>) -> Self {
        let meaning = Meaning::Unusable(errors);
        Self { event_id: None, at: String::new(), crm_deal_id: None, rule: None, meaning, warnings: Vec::new() }
    }

    /// The deal that a report is about.
    #[must_use]
    pub fn deal(&self) -> Option<&str> {
        match &self.meaning {
            Meaning::Report(report) => Some(report.crm_deal_id()),
            _ => None,
        }
    }

    /// The ids of all deals that a report names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let merged = match &self.meaning {
            Meaning::Report(Report::Merged(merge)) => merge.from.as_slice(),
            _ => &[],
        };
        self.deal().into_iter().chain(merged.iter().map(String::as_str)).collect()
    }
}

/// What an item means.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are reports, and none lives long")]
pub enum Meaning {
    Report(Report),
    /// It needs a lookup, whose result is put into the item at `/fetched`.
    Fetch,
    /// It calls for no action, with the reason.
    Ignored(String),
    /// Some of its fields are invalid.
    Unusable(Vec<FieldError>),
}

/// What a CRM reports.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are stages, and none lives long")]
pub enum Report {
    /// A deal reached a stage.
    Reached(Deal),
    /// It was lost or refunded, or is open again.
    Lost(Loss),
    /// It was deleted.
    Deleted(Deletion),
    /// Its deletion was taken back.
    Restored(Restoration),
    /// Several deals are one now.
    Merged(Merge),
}

impl Report {
    /// The deal it is about; of a merge, the one that is left.
    #[must_use]
    pub fn crm_deal_id(&self) -> &str {
        match self {
            Self::Reached(deal) => &deal.crm_deal_id,
            Self::Lost(loss) => &loss.crm_deal_id,
            Self::Deleted(deletion) => &deletion.crm_deal_id,
            Self::Restored(restoration) => &restoration.crm_deal_id,
            Self::Merged(merge) => &merge.into,
        }
    }
}

impl Source {
    /// Reads an item where it is in its body, with the warnings of the body.
    #[must_use]
    pub fn read_item(&self, item: &Item, when: &Circumstances) -> Reading {
        let mut reading = match item.fault {
            Some(fault) => Reading::unusable(vec![FieldError { pointer: String::new(), detail: fault.into() }]),
            None => self.read(&item.value, when),
        };
        reading.warnings.extend_from_slice(&item.warnings);
        Reading { at: item.at.clone(), ..reading }
    }

    /// Reads the content of an item.
    ///
    /// A strict source accepts fields only as in the contract of `POST /api/webhooks/crm-conversion`: amounts that are
    /// numbers, times of RFC 3339, currencies in capital letters. Any other source also accepts the formats that CRMs
    /// send.
    #[must_use]
    pub fn read(&self, item: &Value, when: &Circumstances) -> Reading {
        let mut reader = Reader { source: self, item, when, errors: Vec::new(), warnings: Vec::new(), waits: false };
        let event_id = reader.event_id();
        let chosen = rules::choose(&self.rules, &self.fields, item);
        let into = chosen.and_then(|(_, rule, _)| rule.merge.as_ref()).map(|(into, _)| into);
        let crm_deal_id = reader.deal_id(into.or(self.fields.deal_id.as_ref()));
        let rule = chosen.map(|(at, rule, _)| format!("rule {}: {}", at + 1, rule.when));
        let only = self.only.hold(&self.fields, item);
        let is_open = only == Held::OnceFetched || chosen.is_some_and(|(_, _, held)| held == Held::OnceFetched);
        reader.waits |= is_open;
        let meaning = match chosen {
            _ if only == Held::No => Meaning::Ignored(self.only.failing(&self.fields, item)),
            None if !self.strict => {
                Meaning::Ignored(format!("no rule matches: {}", rules::said(&self.rules, &self.fields, item)))
            }
            Some((at, Rule { when, conversion: RuleOutcome::Ignore, .. }, _)) if !is_open => {
                Meaning::Ignored(format!("rule {} ignores it: {when}", at + 1))
            }
            // Declarations from before there were deletions look for the id where a deleted deal no longer has it. Some
            // CRMs turn a webhook off that answers with errors.
            Some((_, Rule { conversion: RuleOutcome::Deleted, .. }, _)) if !is_open && self.names_no_deal(item) => {
                Meaning::Ignored("no rule matches: a deletion in which deal_id finds no id".into())
            }
            _ => reader.meaning(event_id.as_deref(), crm_deal_id.clone(), chosen.map(|(_, rule, _)| rule)),
        };
        Reading { event_id, at: String::new(), crm_deal_id, rule, meaning, warnings: reader.warnings }
    }

    /// Is there no id of a deal, and none to come, where that needn't be an error?
    fn names_no_deal(&self, item: &Value) -> bool {
        let is_missing = |field: &Text| field.find(item).is_none() && !field.waits(item);
        !self.strict && self.fields.deal_id.as_ref().is_none_or(is_missing)
    }
}

/// Reads an item field by field and collects its errors and warnings.
struct Reader<'a> {
    source: &'a Source,
    item: &'a Value,
    when: &'a Circumstances,
    errors: Vec<FieldError>,
    warnings: Vec<Warning>,
    /// Is a lookup needed?
    waits: bool,
}

impl Reader<'_> {
    fn meaning(&mut self, event_id: Option<&str>, crm_deal_id: Option<String>, rule: Option<&Rule>) -> Meaning {
        // Google rejects future times, and a retry must have the same time: so it is limited to the time of arrival.
        let received_at = self.when.received_at;
        let occurrence = self.time("occurred_at", self.source.fields.occurred_at.as_ref());
        let occurred_at = occurrence.as_ref().map(|it| it.at.min(received_at));
        let event = self.time("event_at", self.source.fields.event_at.as_ref());
        let event_at = event.as_ref().map(|it| it.at);
        // Not limited to now: even with a fast clock, the newer of two reports must have the later time.
        let errors = self.errors.len();
        let updated_at = self.time("updated_at", self.source.fields.updated_at.as_ref()).map(|it| it.at);
        let as_of = updated_at.or(event_at).unwrap_or(received_at);
        let event_at = event_at.or(updated_at).map(|at| at.min(received_at));
        let payload_hash = match event_id {
            Some(event_id) => Hash::of(format!("{}\n{event_id}", self.source.name)),
            None => self.when.payload_hash.clone(),
        };
        let conversion_type = match rule.map(|rule| &rule.conversion) {
            // A loss has no stage: other invalid fields don't matter, a CRM's template sends them with every deal.
            Some(RuleOutcome::Lost | RuleOutcome::Refunded | RuleOutcome::Reopened) => {
                self.errors.truncate(errors);
                let lost_at = occurred_at.or(event_at).unwrap_or(received_at);
                let is_reopened = rule.is_some_and(|rule| rule.conversion == RuleOutcome::Reopened);
                return self.finish(crm_deal_id, |crm_deal_id| {
                    Report::Lost(Loss { crm_deal_id, lost_at, as_of, is_reopened, payload_hash })
                });
            }
            Some(RuleOutcome::Deleted) => {
                self.errors.truncate(errors);
                return self
                    .finish(crm_deal_id, |crm_deal_id| Report::Deleted(Deletion { crm_deal_id, deleted_at: as_of }));
            }
            Some(RuleOutcome::Restored) => {
                self.errors.truncate(errors);
                return self.finish(crm_deal_id, |crm_deal_id| {
                    Report::Restored(Restoration { crm_deal_id, restored_at: as_of })
                });
            }
            Some(RuleOutcome::Merged) => {
                self.errors.truncate(errors);
                let from = rule.and_then(|rule| rule.merge.as_ref()).map(|(_, from)| self.ids(from));
                return self.finish(crm_deal_id, |into| {
                    let from = from.unwrap_or_default().into_iter().filter(|id| *id != into).collect();
                    Report::Merged(Merge { into, from, merged_at: as_of })
                });
            }
            Some(RuleOutcome::Ignore) => return self.finish_waiting(),
            Some(RuleOutcome::Reached(stage)) => stage.clone(),
            None => {
                let (pointer, detail) = rules::expected(&self.source.rules, &self.source.fields, self.item);
                self.refuse(&pointer, detail);
                // Invalid in any case; the rest is read to report all errors at once.
                Stage::closed()
            }
        };
        if let Some(reached) = occurrence.or(event) {
            self.warn_of_age(&reached);
        }
        let clicks = self.clicks(occurred_at.or(event_at).unwrap_or(received_at));
        let person = self.person(&clicks);
        let consent = self.consent();
        let money = self.money(rule.map(|rule| rule.value).unwrap_or_default());
        let source = self.source.name.clone();
        self.finish(crm_deal_id, |crm_deal_id| {
            Report::Reached(Deal {
                source,
                crm_deal_id,
                conversion_type,
                money,
                occurred_at,
                event_at,
                as_of,
                is_open: rule.is_some_and(|rule| rule.reopens),
                lead_id: person.lead_id,
                email: person.email,
                other_emails: person.other_emails,
                phone: person.phone,
                consent,
                clicks,
                updated_at,
                payload_hash,
            })
        })
    }

    fn finish(&mut self, crm_deal_id: Option<String>, report: impl FnOnce(String) -> Report) -> Meaning {
        match crm_deal_id {
            Some(crm_deal_id) if self.errors.is_empty() && !self.waits => Meaning::Report(report(crm_deal_id)),
            _ => self.finish_waiting(),
        }
    }

    fn finish_waiting(&mut self) -> Meaning {
        if self.errors.is_empty() { Meaning::Fetch } else { Meaning::Unusable(std::mem::take(&mut self.errors)) }
    }

    fn warn(&mut self, field: &'static str, detail: impl Into<String>) {
        self.warnings.push(Warning { field, detail: detail.into() });
    }

    fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    /// An invalid field: an error in a strict source, otherwise a warning.
    fn warn_or_refuse(&mut self, field: &'static str, pointer: &str, detail: impl Into<String>) {
        let detail = detail.into();
        if self.source.strict {
            self.refuse(pointer, detail);
        } else {
            self.warn(field, detail);
        }
    }
}

#[cfg(test)]
mod tests;
