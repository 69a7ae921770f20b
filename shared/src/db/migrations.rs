//! The migrations of the schema: which are missing in a database, and applying them.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor, PgExecutor};
use tokio::time::timeout;

use super::{DbError, Tx, prepared};
use crate::identity::hex;

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

impl Migration {
    /// How to go on where it is there in part or without a record. Nothing is dropped, because rows may be in it.
    fn by_hand(&self) -> String {
        let ours = MIGRATOR.iter().find(|it| it.version == self.version);
        let checksum = ours.map(|it| hex(&it.checksum)).unwrap_or_default();
        let (_, description) = self.name.split_once('_').unwrap_or_default();
        let record = format!(
            "insert into public._sqlx_migrations (version, description, success, checksum, execution_time) \
             values ({}, '{}', true, '\\x{checksum}', 0) \
             on conflict (version) do update set success = true, checksum = excluded.checksum;",
            self.version,
            description.replace('_', " ")
        );
        format!("{}, and record it before adtrail migrate runs again: {record}", self.completed())
    }

    /// The same where Supabase's tool keeps the record.
    fn by_hand_for_supabase(&self) -> String {
        let (version, _) = self.name.split_once('_').unwrap_or_default();
        let record = format!("supabase migration repair {version} --status applied");
        format!("{}, and record it before supabase db push runs again: {record}", self.completed())
    }

    fn completed(&self) -> String {
        format!("run by hand those statements of migrations/{}.sql whose objects are missing", self.name)
    }
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
    #[error("Migration {} isn't recorded as applied, though later ones are: {}", .0.name, .0.by_hand())]
    Skipped(Migration),
    #[error("Migration {} is recorded as unsuccessful: {}", .0.name, .0.by_hand())]
    Unfinished(Migration),
    #[error(
        "Migration {} makes what is there already ({said}), so nothing of it was applied: {}",
        .migration.name, .migration.by_hand()
    )]
    Exists { migration: Migration, said: String },
    #[error(
        "{0} Nothing of this migration was applied; those before it are. Correct it and run adtrail migrate again."
    )]
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
    /// When the schema is newer, half migrated, or was made by another tool.
    pub async fn missing(&mut self) -> Result<Vec<Migration>, Problem> {
        let applied = self.applied().await?;
        let missing = missing(|version| applied.iter().any(|it| it.version == version));
        let last = applied.last().map(|it| it.version);
        // A later migration may have replaced what an earlier one makes, so none is run after the fact.
        match missing.first() {
            Some(first) if Some(first.version) < last => Err(Problem::Skipped(first.clone())),
            _ => Ok(missing),
        }
    }

    /// Applies what is missing.
    ///
    /// # Errors
    /// When a migration fails. Those before it stay.
    pub async fn apply(&mut self) -> Result<(), Problem> {
        MIGRATOR.run(&mut self.0).await.map_err(problem)
    }

    /// In their order, each as this adtrail has it.
    async fn applied(&mut self) -> Result<Vec<AppliedMigration>, Problem> {
        let (own, of_supabase, tables) = records(&mut self.0).await.map_err(|error| problem(error.into()))?;
        match (own, tables, of_supabase) {
            (true, ..) => {}
            (false, false, _) => return Ok(Vec::new()),
            (false, true, true) => return Err(Problem::OtherTool("by `supabase db push`")),
            (false, true, false) => return Err(Problem::OtherTool("without a record, in the SQL editor or with psql")),
        }
        let applied = self.0.list_applied_migrations().await.map_err(problem)?;
        if let Some(unknown) = applied.iter().find(|it| !MIGRATOR.version_exists(it.version)) {
            return Err(Problem::Newer(unknown.version));
        }
        if let Some(unfinished) = self.0.dirty_version().await.map_err(problem)? {
            return Err(problem(MigrateError::Dirty(unfinished)));
        }
        let is_changed = |it: &&AppliedMigration| {
            MIGRATOR.iter().any(|ours| ours.version == it.version && ours.checksum != it.checksum)
        };
        match applied.iter().find(is_changed) {
            Some(changed) => Err(Problem::Changed(changed.version)),
            None => Ok(applied),
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
    /// These are missing or unfinished, though later ones are there; and how to go on with the first of them.
    Half {
        missing: Vec<Migration>,
        fix: String,
    },
    /// It has this one, which this adtrail doesn't know.
    Newer(i64),
    /// It was made without a record of what has run.
    Unrecorded,
}

/// Compares the schema, through any connection; changes nothing.
pub async fn compare(tx: &mut Tx) -> Result<Schema, DbError> {
    let (own, of_supabase, tables) = records(&mut *tx).await?;
    let (applied, unfinished) = match (own, of_supabase, tables) {
        (true, ..) => recorded_by_sqlx(tx).await?,
        (false, true, true) => (applied_by_supabase(tx).await?, Vec::new()),
        (false, _, true) => return Ok(Schema::Unrecorded),
        (false, _, false) => return Ok(Schema::None),
    };
    if let Some(unknown) = applied.iter().find(|version| own && !MIGRATOR.version_exists(**version)) {
        return Ok(Schema::Newer(*unknown));
    }
    let last = applied.iter().filter(|version| MIGRATOR.version_exists(**version)).max().copied();
    let missing = missing(|version| applied.contains(&version));
    let half = missing.iter().find(|it| unfinished.contains(&it.version));
    let half = half.or_else(|| missing.first().filter(|first| Some(first.version) < last));
    if let Some(half) = half {
        let fix = if own { half.by_hand() } else { half.by_hand_for_supabase() };
        return Ok(Schema::Half { missing, fix });
    }
    Ok(match (missing.is_empty(), last) {
        (true, _) => Schema::Current,
        (false, None) => Schema::None,
        (false, Some(_)) => Schema::Older(missing),
    })
}

/// Those that are applied, and those that are recorded as unsuccessful.
async fn recorded_by_sqlx(tx: &mut Tx) -> Result<(Vec<i64>, Vec<i64>), DbError> {
    let rows = sqlx::query!(
        "-- db::migrations::recorded_by_sqlx
        select version, success from public._sqlx_migrations"
    )
    .fetch_all(tx)
    .await?;
    let versions = |success| rows.iter().filter(|row| row.success == success).map(|row| row.version).collect();
    Ok((versions(true), versions(false)))
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

/// Those of ours that aren't applied, in their order.
fn missing(is_applied: impl Fn(i64) -> bool) -> Vec<Migration> {
    MIGRATOR.iter().filter(|it| !is_applied(it.version)).map(Migration::from).collect()
}

impl From<&sqlx::migrate::Migration> for Migration {
    fn from(it: &sqlx::migrate::Migration) -> Self {
        Self { version: it.version, name: format!("{:03}_{}", it.version, it.description.replace(' ', "_")) }
    }
}

fn ours(version: i64) -> Option<Migration> {
    MIGRATOR.iter().find(|it| it.version == version).map(Migration::from)
}

fn problem(error: MigrateError) -> Problem {
    /// `lock_not_available`
    const LOCKED: &str = "55P03";
    /// A table, column, function, schema, or another object that exists.
    const EXISTS: [&str; 5] = ["42P07", "42701", "42723", "42P06", "42710"];
    let (error, version) = match error {
        MigrateError::VersionMismatch(version) => return Problem::Changed(version),
        MigrateError::VersionMissing(version) => return Problem::Newer(version),
        MigrateError::Dirty(version) => return ours(version).map_or(Problem::Newer(version), Problem::Unfinished),
        MigrateError::Execute(error) => (error, None),
        MigrateError::ExecuteMigration(error, version) => (error, Some(version)),
        other => return Problem::Failed(format!("{other}.")),
    };
    let said = error.as_database_error();
    let code = said.and_then(DatabaseError::code).unwrap_or_default();
    match (said, version.and_then(ours)) {
        _ if code == LOCKED => Problem::Busy,
        (Some(said), Some(migration)) if EXISTS.contains(&&*code) => {
            Problem::Exists { migration, said: said.message().to_owned() }
        }
        _ => Problem::Failed(format!("The database says: {error}.")),
    }
}
