//! `adtrail destinations rename`.

use serde_json::json;
use shared::platforms::Operation;
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
    let lane = Operation::CORRECTIONS.into_iter().find_map(|operation| from.strip_suffix(operation.suffix()));
    if let Some(name) = lane {
        return Err(Failure::Message(format!(
            "{from} is where {name} is corrected: name {name}, and all of it is given."
        )));
    }
    let Some(destination) = destinations.get(to) else {
        let names: Vec<_> = destinations.iter().map(|it| it.name.as_str()).collect();
        return Err(Failure::Message(format!("{to} isn't declared. Destinations are {}.", names.join(", "))));
    };
    let rows = queue::rename(&app.db, from, destination).await?;
    let given = match rows {
        0 => format!("{from} has no rows that {to} could take."),
        1 => format!("1 row of {from} is {to}'s now."),
        rows => format!("{rows} rows of {from} are {to}'s now."),
    };
    let lanes = app.db.tx(async |tx| queue::lanes(tx, app.clock.now()).await).await?;
    let left: i64 = lanes.iter().filter(|it| is_of(&it.lane, from)).map(|it| it.open).sum();
    let text = match left {
        0 => given,
        left => format!(
            "{given} {left} more are being sent, or {to} has their conversions, too: run it again in five minutes."
        ),
    };
    Ok(Answer::new(json!({ "from": from, "to": to, "rows": rows, "left": left }), &text))
}

/// Is it a lane of this destination?
fn is_of(lane: &str, destination: &str) -> bool {
    Operation::ALL.into_iter().any(|operation| operation.lane_of(destination) == lane)
}
