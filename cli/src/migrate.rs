//! `adtrail migrate`.

use serde_json::json;
use shared::config;
use shared::db::migrations::{Database, Migration, Problem};
use shared::settings::{Settings, Values};

use crate::answer::Answer;
use crate::{Failure, terminal};

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Message(problem.to_string())
    }
}

/// Applies what is missing, once somebody has agreed.
pub(crate) async fn migrate(values: &Values, is_agreed: bool, dry_run: bool) -> Result<Answer, Failure> {
    let mut settings = Settings::new(values);
    let options = config::database_for_migrations(&mut settings);
    let options = settings.finish(options)?;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let mut database = Database::connect(options).await?;
    let missing = database.missing().await?;
    if missing.is_empty() {
        return Ok(answer(&place, &missing, false, "The schema is up to date."));
    }
    if dry_run {
        return Ok(answer(&place, &missing, false, "Nothing was applied."));
    }
    if !is_agreed && !agreed(&place, &missing)? {
        return Ok(answer(&place, &missing, false, "Nothing was applied."));
    }
    database.apply().await?;
    Ok(answer(&place, &missing, true, "Applied. The deployed functions run on this schema, too."))
}

fn answer(place: &str, missing: &[Migration], is_applied: bool, end: &str) -> Answer {
    let names: Vec<_> = missing.iter().map(|it| it.name.as_str()).collect();
    let document = json!({ "database": place, "migrations": names, "applied": is_applied });
    Answer::new(document, &format!("{}{end}", listed(place, missing)))
}

fn listed(place: &str, missing: &[Migration]) -> String {
    if missing.is_empty() {
        return format!("Database {place}\n");
    }
    let names: Vec<_> = missing.iter().map(|it| it.name.as_str()).collect();
    format!("Missing in the database {place}\n  {}\n", names.join("\n  "))
}

/// Asks on the terminal.
fn agreed(place: &str, missing: &[Migration]) -> Result<bool, Failure> {
    let listed = listed(place, missing);
    if !terminal::is_there() {
        return Err(Failure::Message(format!("{listed}To apply them without a question, add --yes.")));
    }
    terminal::agrees(&format!("{listed}Apply them? [y/N] "))
}
