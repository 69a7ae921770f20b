//! The Lambda function `track-event`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    use track_event::{ENDPOINT, after_response, handle, sends_events};
    shared::lambda::serve_then(&ENDPOINT, handle, sends_events, after_response).await
}
