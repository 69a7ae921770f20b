//! The Lambda function `tracking-health`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(&tracking_health::ENDPOINT, tracking_health::handle).await
}
