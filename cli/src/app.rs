//! The app from the operator's settings.

use shared::App;
use shared::clock::Clock;
use shared::config::Config;
use shared::settings::{self, Values};

use crate::Failure;

const DATABASE_URL: &str = "DATABASE_URL";

/// Needs a database.
pub(crate) fn for_inbox(values: &Values, required: &[&str]) -> Result<App, Failure> {
    Ok(App::new(Config::from_values(values, required)?, Clock::system(), 1)?)
}

/// For testing declarations: secrets of sources may be missing, and so may the database. Also answers whether there is
/// one.
pub(crate) fn for_declarations(values: &Values, clock: Clock) -> Result<(App, bool), Failure> {
    let has_database = settings::value(values, DATABASE_URL).is_some();
    let mut values = values.clone();
    if !has_database {
        // The discard port: nothing listens there, and nothing is going to connect.
        values.insert(DATABASE_URL.into(), "postgresql://nobody@127.0.0.1:9/nothing".into());
    }
    Ok((App::new(Config::draft(&values)?, clock, 1)?, has_database))
}
