//! How a command ends when it doesn't do what it was asked for.

use shared::db::DbError;
use shared::settings::ConfigError;

/// What goes to standard error: a sentence that says the fix, without secrets and addresses.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments are no command.
    #[error("{0}")]
    Usage(clap::Error),
    /// Anything else.
    #[error("{0}")]
    Said(String),
}

impl Failure {
    /// How the process ends: 2 for wrong arguments, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Said(_) => 1,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Said(error.to_string())
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Said(match error {
            DbError::Unavailable(why) => {
                format!("The database can't be reached ({why}): check DATABASE_URL, and that it lets this machine in.")
            }
            DbError::Value(_) => "The database refuses a value: check the id that was given.".into(),
            DbError::Defect(error) => {
                format!("The database refuses a statement ({error}): check that all migrations are applied.")
            }
        })
    }
}
