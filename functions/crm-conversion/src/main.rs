//! The Lambda function `crm-conversion`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(&crm_conversion::ENDPOINT, crm_conversion::handle).await
}
