//! The migrations of the schema: which are missing in a database, and applying them.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor, PgExecutor};
use tokio::time::timeout;

use super::{DbError, Tx, prepared};

/// As they lie in the checkout.
static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub version: i64,
    /// What its file is called, such as `019_destinations`.
    pub name: String,
}

/// Why migrations can't be applied, and the fix.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("The database can't be reached for migrations ({0}).")]
    Unreachable(String),
    #[error(
        "The database has migration {0}, which this adtrail doesn't know: use the adtrail of that release or a newer one."
    )]
    Newer(i64),
    #[error("The schema was made {0}. Go on with it, because each tool keeps its own record of what has run.")]
    OtherTool(&'static str),
    #[error(
        "Migration {0} was applied with another text than this adtrail has: use the checkout that it was applied from."
    )]
    Changed(i64),
    #[error("A table or the migrations are in use by somebody else. Nothing was changed by this step: run it again.")]
    Busy,
    #[error("{0} Nothing of this migration was applied; those before it are.")]
    Failed(String),
}

/// A session connection to a database whose schema is to be migrated.
#[derive(Debug)]
pub struct Database(PgConnection);

impl Database {
    /// Connects. Not through a pooler in transaction mode: migrations hold a lock of their session.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn connect(options: PgConnectOptions) -> Result<Self, Problem> {
        let connected = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&prepared(options))).await;
        let connected = connected.map_err(|_| Problem::Unreachable("no answer within ten seconds".into()))?;
        let mut connection = connected.map_err(|error| Problem::Unreachable(error.to_string()))?;
        let limited = connection.execute("set lock_timeout = '5s'").await;
        limited.map_err(|error| Problem::Unreachable(error.to_string()))?;
        Ok(Self(connection))
    }

    /// The migrations that are missing, in their order.
    ///
    /// # Errors
    /// When the schema is newer, or was made by another tool.
    pub async fn missing(&mut self) -> Result<Vec<Migration>, Problem> {
        let applied = self.applied().await?;
        if let Some(unknown) = applied.iter().find(|version| !MIGRATOR.version_exists(**version)) {
            return Err(Problem::Newer(*unknown));
        }
        let missing = MIGRATOR.iter().filter(|it| !applied.contains(&it.version));
        Ok(missing.map(|it| Migration { version: it.version, name: name(it) }).collect())
    }

    /// Applies what is missing.
    ///
    /// # Errors
    /// When a migration fails. Those before it stay.
    pub async fn apply(&mut self) -> Result<(), Problem> {
        MIGRATOR.run(&mut self.0).await.map_err(problem)
    }

    async fn applied(&mut self) -> Result<Vec<i64>, Problem> {
        let (own, of_supabase, tables) = records(&mut self.0).await.map_err(|error| problem(error.into()))?;
        if own {
            let applied = self.0.list_applied_migrations().await.map_err(problem)?;
            return Ok(applied.into_iter().map(|it| it.version).collect());
        }
        match (tables, of_supabase) {
            (false, _) => Ok(Vec::new()),
            (true, true) => Err(Problem::OtherTool("by `supabase db push`")),
            (true, false) => Err(Problem::OtherTool("without a record, in the SQL editor or with psql")),
        }
    }
}

/// How the schema of a database compares with this adtrail's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    Current,
    /// None of ours is there.
    None,
    /// These are missing at its end.
    Older(Vec<Migration>),
    /// These are missing or unfinished, though later ones are there.
    Half(Vec<Migration>),
    /// It has this one, which this adtrail doesn't know.
    Newer(i64),
    /// It was made without a record of what has run.
    Unrecorded,
}

/// Compares the schema, through any connection; changes nothing.
pub async fn compare(tx: &mut Tx) -> Result<Schema, DbError> {
    let (own, of_supabase, tables) = records(&mut *tx).await?;
    let applied = match (own, of_supabase, tables) {
        (true, ..) => applied_by_sqlx(tx).await?,
        (false, true, true) => applied_by_supabase(tx).await?,
        (false, _, true) => return Ok(Schema::Unrecorded),
        (false, _, false) => return Ok(Schema::None),
    };
    if let Some(unknown) = applied.iter().find(|version| own && !MIGRATOR.version_exists(**version)) {
        return Ok(Schema::Newer(*unknown));
    }
    let last = applied.iter().filter(|version| MIGRATOR.version_exists(**version)).max().copied();
    let missing = MIGRATOR.iter().filter(|it| !applied.contains(&it.version));
    let missing: Vec<_> = missing.map(|it| Migration { version: it.version, name: name(it) }).collect();
    Ok(match missing.first() {
        None => Schema::Current,
        Some(_) if last.is_none() => Schema::None,
        Some(first) if Some(first.version) < last => Schema::Half(missing),
        Some(_) => Schema::Older(missing),
    })
}

async fn applied_by_sqlx(tx: &mut Tx) -> Result<Vec<i64>, DbError> {
    let rows = sqlx::query!(
        "-- db::migrations::applied_by_sqlx
        select version from public._sqlx_migrations where success"
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// The table is there only where `supabase db push` made it, so this statement isn't checked against the schema.
async fn applied_by_supabase(tx: &mut Tx) -> Result<Vec<i64>, DbError> {
    let versions: Vec<String> = sqlx::query_scalar(
        "-- db::migrations::applied_by_supabase
        select version::text from supabase_migrations.schema_migrations",
    )
    .fetch_all(tx)
    .await?;
    // The site's own migrations may be among them.
    Ok(versions.iter().filter_map(|version| version.parse().ok()).collect())
}

/// Is there sqlx's record, Supabase's with our tables in it, and are there our tables?
async fn records(executor: impl PgExecutor<'_>) -> Result<(bool, bool, bool), sqlx::Error> {
    let row = sqlx::query!(
        r#"-- db::migrations::records
        select
            to_regclass('public._sqlx_migrations') is not null as "own!",
            to_regclass('supabase_migrations.schema_migrations') is not null as "of_supabase!",
            to_regclass('public.conversion_queue') is not null as "tables!""#,
    )
    .fetch_one(executor)
    .await?;
    Ok((row.own, row.of_supabase, row.tables))
}

fn name(migration: &sqlx::migrate::Migration) -> String {
    format!("{:03}_{}", migration.version, migration.description.replace(' ', "_"))
}

fn problem(error: MigrateError) -> Problem {
    /// `lock_not_available`
    const LOCKED: &str = "55P03";
    match error {
        MigrateError::VersionMismatch(version) => Problem::Changed(version),
        MigrateError::VersionMissing(version) => Problem::Newer(version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            let locked = error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == LOCKED);
            if locked { Problem::Busy } else { Problem::Failed(format!("The database says: {error}.")) }
        }
        other => Problem::Failed(format!("{other}.")),
    }
}
