//! The Lambda function `notify-slack`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run_events_without_database(notify_slack::REQUIRES, notify_slack::handle).await
}
