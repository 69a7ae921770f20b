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
    let done = handle(app, deadline).await;
    shared::metrics::write(&metrics::of_run(app, done.as_ref().ok()).await);
    done
}
