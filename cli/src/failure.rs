//! Why a command failed.

use shared::db::DbError;
use shared::settings::ConfigError;

use crate::visible;

/// Written to standard error: what is wrong and how to fix it, without secrets and addresses. Safe on a terminal,
/// though it may repeat arguments.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Invalid arguments.
    #[error("{}", visible::text(&.0.to_string()))]
    Usage(clap::Error),
    /// Anything else.
    #[error("{}", visible::text(.0))]
    Message(String),
}

impl Failure {
    /// The exit code of the process: 2 for invalid arguments, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Message(_) => 1,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Message(error.to_string())
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Message(match error {
            DbError::Unavailable(why) => {
                format!(
                    "The database can't be reached ({why}): check DATABASE_URL, and that the database accepts \
                     connections from this machine."
                )
            }
            DbError::OldSchema(_) => "The schema is older than this adtrail: run adtrail migrate.".into(),
            DbError::Value(_) => "The database rejects a value: check the given id.".into(),
            DbError::Defect(error) => {
                format!("The database rejects a statement ({error}): check that all migrations are applied.")
            }
        })
    }
}
