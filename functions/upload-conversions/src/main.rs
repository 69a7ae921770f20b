//! The Lambda function `upload-conversions`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::run_scheduled(upload_conversions::REQUIRES, upload_conversions::handle).await
}
