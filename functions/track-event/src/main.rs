//! The Lambda function `track-event`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(&track_event::ENDPOINT, track_event::handle).await
}
