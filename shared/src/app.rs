//! What a function has at hand.

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::db::Db;
use crate::platforms::{Plans, Platform};
use crate::settings::ConfigError;

/// Made once per sandbox, lent to every invocation.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// The platforms we have credentials for; they keep their access tokens. Only the uploader has any.
    pub platforms: Vec<Box<dyn Platform>>,
}

impl App {
    /// An app with at most so many database connections.
    ///
    /// # Errors
    /// When a platform's credentials are no credentials.
    pub fn new(config: Config, clock: Clock, connections: usize) -> Result<Self, ConfigError> {
        let platforms = config.platforms.connect(&clock).map_err(|problem| ConfigError::new(&problem))?;
        let db = Db::new(config.database.clone(), connections).with_clock(clock.clone());
        Ok(Self { db, config, clock, platforms })
    }

    /// On Lambda, during INIT: reads the settings and opens the sandbox's one connection. A database that doesn't
    /// answer now is asked again by the first request.
    ///
    /// # Errors
    /// When settings are missing or wrong.
    pub async fn init(required: &[&str]) -> Result<Self, ConfigError> {
        let mut app = Self::new(Config::load(required).await?, Clock::system(), 1)?;
        app.db = app.db.reading_again(config::database_options);
        if let Err(error) = app.db.warm().await {
            tracing::warn!(%error, "no database connection yet");
        }
        Ok(app)
    }

    /// What the ad platforms that are set up want of conversions.
    #[must_use]
    pub fn plans(&self) -> &Plans {
        &self.config.platforms.plans
    }
}
