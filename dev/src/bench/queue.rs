//! The queue under load: a backlog delivered by the uploader's real binary, and what a claim costs after a million
//! others.

use sqlx::{Connection, PgConnection};
use url::Url;

use super::Bench;

mod backlog;
mod growth;
mod rows;

/// Prints the tables; answers the promises that were broken.
pub async fn print(bench: &Bench) -> anyhow::Result<Vec<String>> {
    let mut broken = backlog::print(bench).await?;
    broken.extend(growth::print(bench).await?);
    Ok(broken)
}

/// A database of its own, with the schema and nothing in it.
struct Database {
    url: String,
    connection: PgConnection,
}

impl Database {
    async fn create(bench: &Bench, name: &str) -> anyhow::Result<Self> {
        let mut server = PgConnection::connect(&bench.database_url).await?;
        sqlx::raw_sql(&format!("create database {name}")).execute(&mut server).await?;
        server.close().await?;
        let mut url: Url = bench.database_url.parse()?;
        url.set_path(name);
        let url = String::from(url);
        services::migrations::run(&url).await?;
        let connection = PgConnection::connect(&url).await?;
        Ok(Self { url, connection })
    }
}
