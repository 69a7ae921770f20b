//! The migrations, applied.

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

/// As they lie in the checkout.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Brings this database up to date.
///
/// # Errors
/// When it can't be reached, or a migration fails; what came before that one stays.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url)
        .await
        .context("DATABASE_URL: no connection; for migrations it must be a direct or session connection (port 5432)")?;
    MIGRATIONS.run(&mut connection).await.context("the migrations failed")?;
    Ok(connection.close().await?)
}
