//! The Lambda function `upload-conversions`.

use chrono::{DateTime, Utc};
use shared::db::DbError;
use shared::{App, lambda};
use upload_conversions::{Config, REQUIRES, Summary, handle, metrics};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda::run_scheduled(REQUIRES, run).await
}

async fn run(app: &'static App<Config>, deadline: DateTime<Utc>) -> Result<Summary, DbError> {
    let summary = handle(app, deadline).await?;
    match metrics::of_run(app, &summary).await {
        Ok(lines) => shared::metrics::write(&lines),
        Err(error) => tracing::warn!(%error, "the metrics of the run are missing"),
    }
    Ok(summary)
}
