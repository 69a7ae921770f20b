//! The Lambda function `create-lead`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(&create_lead::ENDPOINT, create_lead::handle).await
}
