//! One item of a tested webhook.

use serde_json::{Value, json};
use shared::attribution::Clicks;
use shared::crm::{Meaning, Reading, Report, Source};
use shared::deals::Deal;
use shared::http::Warning;
use shared::http::problem::FieldError;
use shared::identity::{Email, Phone};
use shared::inbox::entry::{Entry, QueueRow, QueueStatus, StoredConversion};
use shared::intake::EventOutcome;

use crate::inbox::words;
use crate::table::{amount, time};

pub(super) struct Item {
    pub(super) position: usize,
    event_id: String,
    reading: Reading,
    /// None without a database.
    pub(super) outcome: Option<EventOutcome>,
    /// What would be stored about its deal.
    pub(super) stored: Option<Entry>,
}

impl Item {
    pub(super) fn new(position: usize, event_id: String, mut reading: Reading) -> Self {
        if let Meaning::Unusable(errors) = &mut reading.meaning {
            // With pointers into the whole body, as in the answer to the CRM.
            *errors = std::mem::take(errors).into_iter().map(|error| error.within(&reading.at)).collect();
        }
        Self { position, event_id, reading, outcome: None, stored: None }
    }

    pub(super) fn is_invalid(&self) -> bool {
        matches!(self.reading.meaning, Meaning::Unusable(_))
    }

    fn problems(&self) -> &[FieldError] {
        match &self.reading.meaning {
            Meaning::Unusable(errors) => errors,
            _ => &[],
        }
    }

    fn deal(&self) -> Option<&Deal> {
        match &self.reading.meaning {
            Meaning::Report(Report::Reached(deal)) => Some(deal),
            _ => None,
        }
    }

    fn conversion(&self) -> Option<&StoredConversion> {
        self.stored.as_ref()?.conversion.as_ref()
    }

    fn queue(&self) -> &[QueueRow] {
        self.stored.as_ref().map_or(&[], |stored| &stored.queue)
    }

    pub(super) fn document(&self) -> Value {
        let (meaning, reason) = match &self.reading.meaning {
            Meaning::Report(Report::Reached(_)) => ("reached", None),
            Meaning::Report(Report::Lost(loss)) if loss.is_reopened => ("reopened", None),
            Meaning::Report(Report::Lost(_)) => ("lost", None),
            Meaning::Report(Report::Deleted(_)) => ("deleted", None),
            Meaning::Report(Report::Restored(_)) => ("restored", None),
            Meaning::Report(Report::Merged(_)) => ("merged", None),
            Meaning::Fetch => ("fetch", None),
            Meaning::Ignored(reason) => ("ignored", Some(reason)),
            Meaning::Unusable(_) => ("unusable", None),
        };
        let lost_at = match &self.reading.meaning {
            Meaning::Report(Report::Lost(loss)) => Some(loss.lost_at),
            _ => None,
        };
        let found = self.conversion().map(|conversion| {
            json!({
                "lead_id": conversion.lead_id,
                "matched_by": conversion.matched_by,
                "skip_reason": conversion.skip_reason,
            })
        });
        // Times with an offset, as Postgres writes them in JSON.
        let queue = self.queue().iter().map(|row| {
            json!({
                "platform": row.platform,
                "status": row.status,
                "due_at": row.next_retry_at.map(|at| at.to_rfc3339()),
                "expires_at": row.expires_at.map(|at| at.to_rfc3339()),
            })
        });
        json!({
            "position": self.position,
            "event_id": self.event_id,
            "crm_deal_id": self.reading.crm_deal_id,
            "rule": self.reading.rule,
            "meaning": meaning,
            "reason": reason,
            "deal": self.deal().map(deal),
            "lost_at": lost_at,
            "warnings": self.reading.warnings,
            "problems": self.problems(),
            "outcome": self.outcome,
            "match": found,
            "queue": queue.collect::<Vec<_>>(),
        })
    }

    pub(super) fn rows(&self, source: &Source) -> Vec<(&'static str, String)> {
        let reading = &self.reading;
        let mut rows = vec![
            ("rule", reading.rule.clone().unwrap_or_else(|| "none".into())),
            ("deal", reading.crm_deal_id.clone().unwrap_or_default()),
            ("event", self.event_id.clone()),
        ];
        match &reading.meaning {
            Meaning::Report(Report::Reached(deal)) => rows.extend(deal_rows(deal)),
            Meaning::Report(Report::Lost(loss)) => {
                let what = if loss.is_reopened { "open again" } else { "lost" };
                rows.push(("means", format!("{what} at {}", time(loss.lost_at))));
            }
            Meaning::Report(Report::Deleted(it)) => rows.push(("means", format!("deleted at {}", time(it.deleted_at)))),
            Meaning::Report(Report::Restored(it)) => {
                rows.push(("means", format!("restored at {}", time(it.restored_at))));
            }
            Meaning::Report(Report::Merged(merge)) => {
                rows.push(("means", format!("merged into it: {}", merge.from.join(", "))));
            }
            Meaning::Fetch => rows.push(("means", lookup(source))),
            Meaning::Ignored(reason) => rows.push(("means", format!("ignored: {reason}"))),
            Meaning::Unusable(_) => rows.push(("means", "invalid".into())),
        }
        let problem = |error: &FieldError| ("problem", error.to_string());
        rows.extend(self.problems().iter().map(problem));
        let warning = |warning: &Warning| ("warning", format!("{} {}", warning.field, warning.detail));
        rows.extend(reading.warnings.iter().map(warning));
        let outcome = self.outcome.as_ref().filter(|_| !self.is_invalid());
        rows.extend(outcome.map(|outcome| ("becomes", words::outcome(outcome))));
        if let Some(conversion) = self.conversion() {
            rows.push(("lead", words::lead(conversion)));
        }
        rows.extend(self.queue().iter().map(|row| ("queue", queued(row))));
        rows
    }
}

fn queued(row: &QueueRow) -> String {
    if row.status != QueueStatus::Pending {
        // The conversion exists already.
        return format!("{}, {}", row.platform, row.status.as_str());
    }
    let due = row.next_retry_at.map_or_else(|| "now".into(), time);
    let expiry = row.expires_at.map(|at| format!(", expires {}", time(at)));
    format!("{}, due {due}{}", row.platform, expiry.unwrap_or_default())
}

fn deal(deal: &Deal) -> Value {
    json!({
        "conversion_type": deal.conversion_type,
        "value": deal.money.as_ref().map(shared::money::Money::value),
        "currency": deal.money.as_ref().map(shared::money::Money::currency),
        "occurred_at": deal.occurred_at.or(deal.event_at),
        "updated_at": deal.updated_at,
        "lead_id": deal.lead_id,
        "email": deal.email.as_ref().map(Email::as_str),
        "other_emails": deal.other_emails.iter().map(Email::as_str).collect::<Vec<_>>(),
        "phone": deal.phone.as_ref().map(Phone::as_str),
        "clicks": deal.clicks,
    })
}

fn deal_rows(deal: &Deal) -> Vec<(&'static str, String)> {
    let value = deal.money.as_ref().map(|money| amount(money.value(), money.currency()));
    let emails = deal.email.iter().chain(&deal.other_emails).map(Email::as_str).collect::<Vec<_>>().join(", ");
    let person = [
        deal.lead_id.map(|id| format!("lead {id}")),
        (!emails.is_empty()).then_some(emails),
        deal.phone.as_ref().map(|phone| phone.as_str().to_owned()),
    ];
    let person: Vec<_> = person.into_iter().flatten().collect();
    vec![
        ("means", deal.conversion_type.as_str().into()),
        ("value", value.unwrap_or_else(|| "none given".into())),
        ("time", deal.occurred_at.or(deal.event_at).map_or_else(|| "none given: time of arrival".into(), time)),
        ("person", if person.is_empty() { "none given".into() } else { person.join("; ") }),
        ("clicks", clicks(&deal.clicks)),
    ]
}

/// As they are stored; nothing if there are none.
fn clicks(clicks: &Clicks) -> String {
    if clicks.is_empty() { String::new() } else { words::text(&json!(clicks)) }
}

/// The lookup that an item needs, and how to test without it.
fn lookup(source: &Source) -> String {
    let lookup = match &source.fetch {
        Some(fetch) => format!("missing fields would be fetched from {}", fetch.asks()),
        None => "missing fields would be fetched from the CRM, but its token isn't set".into(),
    };
    format!("{lookup}; to continue, give the CRM's answer with --fetched FILE")
}
