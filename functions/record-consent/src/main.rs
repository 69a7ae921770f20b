//! The Lambda function `record-consent`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(&record_consent::ENDPOINT, record_consent::handle).await
}
