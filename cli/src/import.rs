//! `adtrail import`: the past of a CRM, from a file.

mod mapping;
mod rows;
mod tally;

use std::fs::File;
use std::time::Instant;

use serde_json::{Map, Value};
use shared::clock::Clock;
use shared::crm::Sources;
use shared::deals::Stages;
use shared::intake::{Import as Importing, Row, RowOutcome};
use shared::json_pointer;
use shared::settings::{Settings, Values};

use crate::answer::Answer;
use crate::app::Draft;
use crate::{Failure, app};
use rows::Rows;
use tally::Tally;

/// Rows of one transaction.
const BATCH: usize = 500;

pub(crate) async fn deals(values: &Values, import: &crate::arguments::Import) -> Result<Answer, Failure> {
    let named = |path: &std::path::Path, what: &str| Failure::Message(format!("{} {what}.", path.display()));
    let text = std::fs::read_to_string(&import.mapping)
        .map_err(|error| named(&import.mapping, &format!("can't be read ({error}): name the file of the mapping")))?;
    let stages = Stages::from_settings(&mut Settings::new(values));
    let mapping = mapping::with_pointers(&text)
        .and_then(|toml| Sources::mapping(&toml, &stages))
        .map_err(|what| named(&import.mapping, &what))?;
    let file = File::open(&import.file)
        .map_err(|error| named(&import.file, &format!("can't be read ({error}): name a CSV file")))?;
    let mut rows = Rows::of(file).map_err(|what| named(&import.file, &what))?;
    for column in &mapping.columns {
        match rows.columns.iter().filter(|it| *it == column).count() {
            1 => {}
            0 => {
                let what =
                    format!("has no column {column}, which the mapping names: it has {}", rows.columns.join(", "));
                return Err(named(&import.file, &what));
            }
            _ => return Err(named(&import.file, &format!("has several columns {column}: rename all but one"))),
        }
    }

    let app = app::with_database::<Draft>(values)?;
    let clock = Clock::system();
    let mut importing = Importing::new(&app.config.intake, &mapping.source);
    let mut tally = Tally::new(import.bad_rows.as_deref())?;
    let started = Instant::now();
    let mut is_end = false;
    while !is_end {
        let (mut numbers, mut batch) = (Vec::new(), Vec::new());
        while batch.len() < BATCH {
            let Some(line) = rows.next().map_err(|what| named(&import.file, &what))? else {
                is_end = true;
                break;
            };
            match line.cells {
                Ok(cells) => {
                    let used = rows.columns.iter().zip(cells);
                    let used = used.filter(|(column, cell)| mapping.columns.contains(column) && !cell.is_empty());
                    let row: Map<_, _> = used.map(|(column, cell)| (column.clone(), Value::String(cell))).collect();
                    numbers.push(line.number);
                    batch.push(Row { body: Value::Object(row).to_string() });
                }
                Err(why) => tally.bad(line.number, &why)?,
            }
        }
        let outcomes = importing.batch(&app.db, &batch, clock.now(), !import.apply).await?;
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                RowOutcome::Bad(errors) => tally.bad(number, &in_words(&errors))?,
                other => tally.add(&other),
            }
        }
        tally.show(started.elapsed());
    }
    tally.finish(started.elapsed(), import)
}

/// The errors of a row, each with its column.
fn in_words(errors: &[shared::http::problem::FieldError]) -> String {
    let column = |pointer: &str| json_pointer::names(pointer).collect::<Vec<_>>().join("/");
    let each = errors.iter().map(|error| format!("{} {}", column(&error.pointer), error.detail).trim().to_owned());
    each.collect::<Vec<_>>().join("; ")
}
