//! `adtrail destinations test`: what would be sent of a deal, without sending or storing anything.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::App;
use shared::conversions::record_matches;
use shared::crm::authentication::Verified;
use shared::db::{DbError, Tx};
use shared::http::problem::in_words;
use shared::inbox;
use shared::inbox::entry::{self, Entry, QueueRow};
use shared::intake::{self, EventOutcome, KeptHeaders, Webhook};
use shared::platforms::{Outcome, Preview, Window, no_destination};
use shared::queue::rehearsal::{Fate, Rehearsal, Rehearsed, rehearse};
use shared::settings::Values;
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::Draft;
use crate::crm::{ChosenSource, add_fetched, read, read_body};
use crate::inbox::words;
use crate::table::{amount, section, time};
use crate::{Failure, app};

/// A deal, and what would be sent of it if its lead is found.
struct Tested {
    entry: Entry,
    rehearsal: Option<Rehearsal>,
    /// Before this, rows were there; the others were planned for the answer.
    since: DateTime<Utc>,
}

pub(crate) async fn test(values: &Values, deal: &str, source: &str, fetched: Option<&Path>) -> Result<Answer, Failure> {
    let app = app::with_database::<Draft>(values)?;
    let is_file = deal == "-" || Path::new(deal).is_file();
    let (tested, refused) = if is_file {
        of_file(&app, values, Path::new(deal), source, fetched).await?
    } else {
        (of_deal(&app, deal).await?, Vec::new())
    };
    if tested.is_empty() && refused.is_empty() {
        return Err(Failure::Message(if is_file {
            "No item of the body is a deal that reached a stage: see adtrail crm test.".into()
        } else {
            format!("There is no deal or file {deal}: see adtrail inbox list.")
        }));
    }
    let documents: Vec<_> = tested.iter().map(document).collect();
    let mut blocks: Vec<_> = tested.iter().flat_map(blocks).collect();
    blocks.extend(refused.iter().map(|problem| format!("invalid: {problem}")));
    if app.config.intake.destinations.is_empty() {
        blocks.push(no_destination());
    }
    blocks.push("Nothing was stored, and nothing was sent.".into());
    let problem = (!refused.is_empty() && tested.is_empty())
        .then(|| "No item of the body is valid: fix the problems above, in the body or in the declaration.".into());
    Ok(Answer::new(json!({ "deals": documents, "invalid": refused }), &blocks.join("\n")).failing(problem))
}

/// The deals of this name, those that wait as if they were matched now.
async fn of_deal(app: &App<Draft>, name: &str) -> Result<Vec<Tested>, Failure> {
    let since = app.clock.now();
    let tested = app.db.rolled_back(async |tx| {
        let found = entry::find(tx, name).await?;
        let ids: Vec<_> = found.iter().filter_map(|it| it.deal.as_ref()).map(|deal| deal.id).collect();
        inbox::lock_persons(tx, &ids).await?;
        let Draft { intake, .. } = &app.config;
        record_matches(tx, &intake.destinations, intake.match_by, &ids, app.clock.now()).await?;
        tested(tx, app, &ids, since).await
    });
    Ok(tested.await?)
}

/// The deals in a webhook's body as if it were received now, and what is wrong with the others.
async fn of_file(
    app: &App<Draft>,
    values: &Values,
    file: &Path,
    source: &str,
    fetched: Option<&Path>,
) -> Result<(Vec<Tested>, Vec<String>), Failure> {
    let chosen = ChosenSource::find(&app.config.intake.sources, values, source)?;
    let source = chosen.source();
    let body = read_body(file)?;
    let body = match fetched {
        Some(fetched) => add_fetched(source, &body, &read(fetched)?)?,
        None => body,
    };
    let verified = Verified { scheme: "none".into(), secret: "none".into(), event_id: None };
    let headers = KeptHeaders::default();
    let webhook = Webhook { source, verified, body: &body, headers: &headers, received_at: app.clock.now() };
    let received = app.db.rolled_back(async |tx| {
        let processed = intake::receive(tx, &app.config.intake, &webhook).await?;
        let ids: Vec<_> = processed.iter().filter_map(|it| it.inbox_id).collect();
        let refused = processed.iter().filter_map(|it| match &it.outcome {
            EventOutcome::Rejected { errors } => Some(in_words(errors)),
            _ => None,
        });
        let refused = refused.collect();
        Ok((tested(tx, app, &ids, webhook.received_at).await?, refused))
    });
    Ok(received.await?)
}

async fn tested(
    tx: &mut Tx,
    app: &App<Draft>,
    inbox_ids: &[Uuid],
    since: DateTime<Utc>,
) -> Result<Vec<Tested>, DbError> {
    let Draft { intake, policy, .. } = &app.config;
    let mut all = Vec::new();
    for id in inbox_ids {
        let Some(entry) = entry::of_deal(tx, *id).await? else { continue };
        let conversion: Vec<_> = entry.conversion.iter().map(|it| it.id).collect();
        let mut rehearsals = rehearse(tx, policy, &intake.destinations, &conversion, app.clock.now()).await?;
        all.push(Tested { rehearsal: rehearsals.pop(), entry, since });
    }
    Ok(all)
}

impl Tested {
    /// The uploads that there are.
    fn rows(&self) -> impl Iterator<Item = &QueueRow> {
        self.entry.queue.iter().filter(|row| row.adjusts.is_none() && row.created_at < self.since)
    }

    /// The row that a destination has.
    fn row(&self, destination: &str) -> Option<&QueueRow> {
        self.rows().find(|row| row.platform == destination)
    }

    /// Another destination that has the conversion instead: it was queued for it before, or passed on to it. What isn't
    /// declared any more keeps what it has.
    fn has_instead(&self, it: &Rehearsed) -> Option<&str> {
        let destinations = &self.rehearsal.as_ref()?.destinations;
        let is_alternative = |name: &str| {
            let Some(other) = destinations.iter().find(|other| other.destination == name) else { return true };
            let if_declined = |one: &Rehearsed, other: &Rehearsed| matches!(&one.fate, Fate::GetsIfDeclined(_, first) if *first == other.destination);
            if_declined(it, other) || if_declined(other, it) || matches!(other.fate, Fate::Skipped(..))
        };
        let other = self.rows().map(|row| row.platform.as_str()).find(|name| *name != it.destination)?;
        (self.row(&it.destination).is_none() && is_alternative(other)).then_some(other)
    }
}

fn document(tested: &Tested) -> Value {
    let Tested { entry, rehearsal, .. } = tested;
    let deal = entry.deal.as_ref();
    let destinations = rehearsal.iter().flat_map(|it| &it.destinations).map(|it| {
        let (gets, reason, window) = match &it.fate {
            Fate::Gets(window) => (true, None, Some(window)),
            Fate::GetsIfDeclined(window, _) => (false, Some(json!("other_destination_first")), Some(window)),
            Fate::Skipped(reason, _) => (false, Some(json!(reason)), None),
        };
        let (other, row) = (tested.has_instead(it), tested.row(&it.destination));
        let (request, refused) = match &it.preview {
            Some(Ok(preview)) => (Some(preview), None),
            Some(Err(outcome)) => (None, outcome.reason().map(|it| json!({ "code": it.code, "message": it.message }))),
            None => (None, None),
        };
        json!({
            "destination": it.destination,
            "gets": gets && refused.is_none() && other.is_none() && rehearsal.as_ref().is_some_and(is_sent),
            "reason": if other.is_some() { Some(json!("other_destination_has_it")) } else { reason },
            "why": other.map_or_else(|| why(it), |other| Some(format!("{other} has it"))),
            "due_at": row.map_or_else(|| window.and_then(|it| it.from), |row| row.next_retry_at),
            "counts_until": row.map_or_else(|| window.and_then(|it| it.until), |row| row.expires_at),
            "status": row.map(|row| row.status.as_str()),
            "request": request,
            "refused": refused,
        })
    });
    json!({
        "crm_deal_id": deal.map(|it| &it.crm_deal_id),
        "conversion_type": deal.map(|it| &it.conversion_type),
        "status": if rehearsal.is_some() { "matched" } else { "awaiting_lead" },
        "skip_reason": rehearsal.as_ref().and_then(|it| it.skip_reason),
        "held_for_consent": rehearsal.as_ref().is_some_and(|it| it.is_held),
        "destinations": destinations.collect::<Vec<_>>(),
    })
}

fn is_sent(rehearsal: &Rehearsal) -> bool {
    rehearsal.skip_reason.is_none() && !rehearsal.is_held
}

fn why(it: &Rehearsed) -> Option<String> {
    match &it.fate {
        Fate::Gets(_) => None,
        Fate::GetsIfDeclined(_, first) => Some(format!("only if {first} says that the click is another account's")),
        Fate::Skipped(_, differing) if !differing.is_empty() => Some(differing.join("; ")),
        Fate::Skipped(reason, _) => Some(words::skip_reason(*reason).into()),
    }
}

fn blocks(tested: &Tested) -> Vec<String> {
    let Tested { entry, rehearsal, .. } = tested;
    let Some(deal) = &entry.deal else { return Vec::new() };
    let title = format!("{} of {}", deal.conversion_type, deal.crm_deal_id);
    let mut rows = vec![("time", time(deal.occurred_at))];
    rows.extend(deal.value.zip(deal.currency.as_ref()).map(|(value, currency)| ("value", amount(value, currency))));
    let Some(rehearsal) = rehearsal else {
        rows.push(("lead", "not found: nothing is sent until a form or the CRM says whose deal it is".into()));
        return vec![section(&title, rows)];
    };
    if let Some(conversion) = &entry.conversion {
        rows.push(("lead", words::lead(conversion)));
    }
    rows.extend(rehearsal.skip_reason.map(|reason| ("not sent", words::skip_reason(reason).into())));
    if rehearsal.is_held {
        rows.push(("held", "until the person's consent is known or given, see CONSENT_UNKNOWN".into()));
    }
    let mut blocks = vec![section(&title, rows)];
    for it in &rehearsal.destinations {
        blocks.push(section(&it.destination, destination_rows(tested, rehearsal, it)));
        if let Some(Ok(Preview { body, .. })) = &it.preview {
            // Alone on its line, so that it can be copied.
            blocks.push(format!("{body}\n"));
        }
    }
    blocks
}

fn destination_rows(tested: &Tested, rehearsal: &Rehearsal, it: &Rehearsed) -> Vec<(&'static str, String)> {
    let (gets, window) = match &it.fate {
        _ if let Some(other) = tested.has_instead(it) => (format!("no: {other} has it"), None),
        Fate::Gets(window) if is_sent(rehearsal) => ("yes".into(), Some(window)),
        Fate::Gets(window) => ("no, see above; else".into(), Some(window)),
        Fate::GetsIfDeclined(window, _) => (why(it).unwrap_or_default(), Some(window)),
        Fate::Skipped(..) => (format!("no: {}", why(it).unwrap_or_default()), None),
    };
    let mut rows = vec![("gets it", gets)];
    let row = tested.row(&it.destination);
    if let Some(row) = row {
        let error = row.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        rows.push(("has it", format!("{}{error}", row.status.as_str())));
    }
    let of_row = row.map(|row| Window { from: row.next_retry_at, until: row.expires_at });
    if let Some(Window { from, until }) = of_row.as_ref().or(window) {
        rows.push(("due", from.map_or_else(|| "now".into(), time)));
        rows.push(("counts until", until.map_or_else(|| "for ever".into(), time)));
    }
    match &it.preview {
        Some(Ok(preview)) => rows.push(("request", format!("{} {}", preview.method, preview.url))),
        Some(Err(outcome)) => rows.push(("refused", refusal(outcome))),
        None => {}
    }
    rows
}

fn refusal(outcome: &Outcome) -> String {
    outcome.reason().map_or_else(String::new, |reason| format!("{}: {}", reason.code, reason.message))
}
