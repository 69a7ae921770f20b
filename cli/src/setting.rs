//! The app from the operator's settings, with a database or without.

use shared::App;
use shared::clock::Clock;
use shared::config::Config;
use shared::settings::{self, Values};

use crate::Failure;

const DATABASE_URL: &str = "DATABASE_URL";

/// For what is done with the inbox.
pub(crate) fn app(values: &Values, required: &[&str]) -> Result<App, Failure> {
    Ok(App::new(Config::from_values(values, required)?, Clock::system(), 1)?)
}

/// For trying declarations: secrets of sources may be missing, and so may the database. Whether there is one is said.
pub(crate) fn app_anyway(values: &Values, clock: Clock) -> Result<(App, bool), Failure> {
    let has_database = settings::value(values, DATABASE_URL).is_some();
    let mut values = values.clone();
    if !has_database {
        // The discard port: nobody listens, and nobody is going to call.
        values.insert(DATABASE_URL.into(), "postgresql://nobody@127.0.0.1:9/nothing".into());
    }
    Ok((App::new(Config::draft(&values)?, clock, 1)?, has_database))
}
