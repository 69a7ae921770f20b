//! One item of a rehearsed webhook.

use serde_json::{Value, json};
use shared::crm::{Meaning, Reading, Report, Source};
use shared::deals::Deal;
use shared::http::Warning;
use shared::http::problem::FieldError;
use shared::identity::{Email, Phone};
use shared::intake::Outcome;

use crate::inbox::words;
use crate::table::{amount, time};

pub(super) struct Item {
    pub(super) position: usize,
    event_id: String,
    reading: Reading,
    /// What would become of it, and what would be stored of its deal; none without a database.
    foreseen: Option<(Outcome, Vec<Value>)>,
}

impl Item {
    pub(super) fn new(source: &Source, position: usize, event_id: String, mut reading: Reading) -> Self {
        if let Meaning::Unusable(errors) = &mut reading.meaning {
            // As the answer to the CRM has them: seen from the whole body.
            *errors = std::mem::take(errors).into_iter().map(|error| source.in_body(position, error)).collect();
        }
        Self { position, event_id, reading, foreseen: None }
    }

    pub(super) fn foresee(&mut self, outcome: Outcome, stored: Vec<Value>) {
        self.foreseen = Some((outcome, stored));
    }

    pub(super) fn is_unusable(&self) -> bool {
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

    /// What would be stored of the deal.
    fn stored(&self) -> Option<&Value> {
        self.foreseen.as_ref()?.1.first()
    }

    fn queue(&self) -> &[Value] {
        self.stored().and_then(|stored| stored["queue"].as_array()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn document(&self) -> Value {
        let (meaning, reason) = match &self.reading.meaning {
            Meaning::Report(Report::Reached(_)) => ("reached", None),
            Meaning::Report(Report::Lost(_)) => ("lost", None),
            Meaning::Fetch => ("fetch", None),
            Meaning::Ignored(reason) => ("ignored", Some(reason)),
            Meaning::Unusable(_) => ("unusable", None),
        };
        let lost_at = match &self.reading.meaning {
            Meaning::Report(Report::Lost(loss)) => Some(loss.lost_at),
            _ => None,
        };
        let found = self.stored().filter(|stored| !stored["conversion"].is_null()).map(|stored| {
            let (lead, conversion) = (&stored["lead"], &stored["conversion"]);
            json!({
                "lead_id": lead["id"],
                "matched_by": conversion["matched_by"],
                "skip_reason": conversion["skip_reason"],
            })
        });
        let queue = self.queue().iter().map(|row| {
            json!({ "platform": row["platform"], "status": row["status"], "due_at": row["next_retry_at"], "expires_at": row["expires_at"] })
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
            "outcome": self.foreseen.as_ref().map(|(outcome, _)| outcome),
            "match": found,
            "queue": queue.collect::<Vec<_>>(),
        })
    }

    pub(super) fn rows(&self, source: &Source) -> Vec<(&'static str, String)> {
        let reading = &self.reading;
        let mut rows = vec![
            ("rule", reading.rule.clone().unwrap_or_else(|| "none holds".into())),
            ("deal", reading.crm_deal_id.clone().unwrap_or_default()),
            ("event", self.event_id.clone()),
        ];
        match &reading.meaning {
            Meaning::Report(Report::Reached(deal)) => rows.extend(said_of(deal)),
            Meaning::Report(Report::Lost(loss)) => rows.push(("means", format!("lost at {}", time(loss.lost_at)))),
            Meaning::Fetch => rows.push(("means", asked(source))),
            Meaning::Ignored(reason) => rows.push(("means", format!("nothing: {reason}"))),
            Meaning::Unusable(_) => rows.push(("means", "it can't be used".into())),
        }
        let problem = |error: &FieldError| ("problem", error.to_string());
        rows.extend(self.problems().iter().map(problem));
        let warning = |warning: &Warning| ("warning", format!("{} {}", warning.field, warning.detail));
        rows.extend(reading.warnings.iter().map(warning));
        rows.extend(
            self.foreseen
                .as_ref()
                .filter(|_| !self.is_unusable())
                .map(|(outcome, _)| ("becomes", words::outcome(outcome))),
        );
        if let Some(stored) = self.stored().filter(|stored| !stored["conversion"].is_null()) {
            let by = words::text(&stored["conversion"]["matched_by"]);
            rows.push(("lead", format!("{}, found by {by}", words::text(&stored["lead"]["id"]))));
        }
        rows.extend(self.queue().iter().map(|row| ("queue", queued(row))));
        rows
    }
}

fn queued(row: &Value) -> String {
    let (platform, end) = (words::text(&row["platform"]), words::time(&row["expires_at"]));
    match (row["status"].as_str(), &row["next_retry_at"]) {
        (Some("pending"), Value::Null) => format!("{platform}, due at once, until {end}"),
        (Some("pending"), due) => format!("{platform}, due {}, until {end}", words::time(due)),
        // The conversion is an earlier one.
        (status, _) => format!("{platform}, {}", status.unwrap_or_default()),
    }
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
    })
}

fn said_of(deal: &Deal) -> Vec<(&'static str, String)> {
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
        ("value", value.unwrap_or_else(|| "not said".into())),
        ("time", deal.occurred_at.or(deal.event_at).map_or_else(|| "not said: when it came".into(), time)),
        ("person", if person.is_empty() { "names nobody".into() } else { person.join("; ") }),
    ]
}

/// What has to be asked, and what can be done about it here.
fn asked(source: &Source) -> String {
    let asks = match &source.fetch {
        Some(fetch) => format!("{} would be asked for what is left out", fetch.asks()),
        None => "the CRM would have to be asked for what is left out, and its token isn't set".into(),
    };
    format!("{asks}; to go on, give its answer with --fetched FILE")
}
