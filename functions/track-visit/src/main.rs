//! The Lambda function `track-visit`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(&track_visit::ENDPOINT, track_visit::handle).await
}
