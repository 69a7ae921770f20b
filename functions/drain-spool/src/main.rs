//! The Lambda function `drain-spool`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run_events(drain_spool::REQUIRES, drain_spool::handle).await
}
