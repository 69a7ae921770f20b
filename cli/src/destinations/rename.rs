//! `adtrail destinations rename`.

use serde_json::json;
use shared::queue;
use shared::settings::Values;

use crate::answer::Answer;
use crate::app::Draft;
use crate::{Failure, app};

pub(crate) async fn rename(values: &Values, from: &str, to: &str) -> Result<Answer, Failure> {
    let app = app::with_database::<Draft>(values)?;
    let destinations = &app.config.intake.destinations;
    if destinations.get(from).is_some() {
        return Err(Failure::Message(format!(
            "{from} is declared, so its rows are sent: rename it in DESTINATIONS first, and deploy that."
        )));
    }
    let Some(destination) = destinations.get(to) else {
        let names: Vec<_> = destinations.iter().map(|it| it.name.as_str()).collect();
        return Err(Failure::Message(format!("{to} isn't declared. Destinations are {}.", names.join(", "))));
    };
    let rows = queue::rename(&app.db, from, destination).await?;
    let text = match rows {
        0 => format!("{from} has no rows that {to} could take."),
        rows => format!("{rows} rows of {from} are {to}'s now."),
    };
    Ok(Answer::new(json!({ "from": from, "to": to, "rows": rows }), &text))
}
