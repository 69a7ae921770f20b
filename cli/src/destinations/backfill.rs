//! `adtrail destinations backfill`.

use chrono::{DateTime, Utc};
use serde_json::json;
use shared::conversions::{Backfill, enqueue_missing, rehearse_missing};
use shared::platforms::no_destination;
use shared::settings::Values;

use crate::answer::Answer;
use crate::app::Draft;
use crate::inbox::words::skip_reason;
use crate::table::fields;
use crate::{Failure, app};

pub(crate) async fn backfill(values: &Values, dry_run: bool) -> Result<Answer, Failure> {
    let app = app::with_database::<Draft>(values)?;
    let destinations = &app.config.intake.destinations;
    if destinations.is_empty() {
        return Err(Failure::Message(no_destination()));
    }
    let done = if dry_run {
        rehearse_missing(&app.db, &app.clock, destinations).await?
    } else {
        enqueue_missing(&app.db, &app.clock, destinations, DateTime::<Utc>::MAX_UTC).await?
    };
    Ok(Answer::new(document(&done, dry_run), &text(&done, dry_run)))
}

fn document(Backfill { queued, skipped, unchanged }: &Backfill, dry_run: bool) -> serde_json::Value {
    let skipped = skipped.iter().map(|(reason, count)| json!({ "reason": reason, "conversions": count }));
    json!({
        "dry_run": dry_run,
        "queued": queued,
        "skipped": skipped.collect::<Vec<_>>(),
        "unchanged": unchanged,
    })
}

fn text(Backfill { queued, skipped, unchanged }: &Backfill, dry_run: bool) -> String {
    let would = if dry_run { "would be queued" } else { "queued" };
    let queued = queued.iter().map(|(destination, count)| (format!("{would} for {destination}"), count.to_string()));
    let skipped =
        skipped.iter().map(|(reason, count)| ("not sent".into(), format!("{count}, {}", skip_reason(*reason))));
    let rows: Vec<_> = queued.chain(skipped).collect();
    let nothing = rows.is_empty() && *unchanged == 0;
    let unchanged =
        (*unchanged > 0).then(|| ("unchanged".into(), format!("{unchanged}, whose destinations have them")));
    let mut text = fields(rows.into_iter().chain(unchanged));
    if nothing {
        text += "Nothing to queue: every conversion of the last 90 days was decided about with these destinations.\n";
    }
    if dry_run {
        text += "Nothing was stored.";
    }
    text
}
