//! The Lambda function `serve-tag`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve_without_settings(&serve_tag::ENDPOINT, serve_tag::handle).await
}
