//! The line to a platform: notes every request, and fails on demand.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use tokio::net::TcpListener;

/// A request, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub body: String,
    /// Without the scheme of the authorization; empty if there was none.
    pub token: String,
}

/// How the line fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The platform is unavailable: nothing gets there.
    Away,
    /// Requests arrive, and their answers are lost.
    RepliesLost,
}

#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Traffic>>);

#[derive(Default)]
struct Traffic {
    url: String,
    sent: Vec<Sent>,
    trouble: Option<Trouble>,
}

impl Wire {
    /// Puts a platform's API at the other end.
    pub async fn to(api: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self::default();
        wire.traffic().url = format!("http://{}", listener.local_addr().unwrap());
        let router = api.layer(from_fn_with_state(wire.clone(), attend));
        tokio::spawn(async move { axum::serve(listener, router).await });
        wire
    }

    /// Where the API is.
    pub fn url(&self) -> String {
        self.traffic().url.clone()
    }

    /// All requests so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.traffic().sent.clone()
    }

    pub fn breaks(&self, trouble: Trouble) {
        self.traffic().trouble = Some(trouble);
    }

    pub fn is_mended(&self) {
        self.traffic().trouble = None;
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn attend(State(wire): State<Wire>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let authorization = head.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let sent = Sent {
        method: head.method.to_string(),
        url: format!("{}{}", wire.url(), head.uri),
        body: String::from_utf8_lossy(&body).into_owned(),
        token: authorization.rsplit(' ').next().unwrap_or_default().to_owned(),
    };
    let trouble = {
        let mut traffic = wire.traffic();
        traffic.sent.push(sent);
        traffic.trouble
    };
    let failure = (StatusCode::SERVICE_UNAVAILABLE, Html("<title>503 Service Unavailable</title>"));
    match trouble {
        Some(Trouble::Away) => failure.into_response(),
        Some(Trouble::RepliesLost) => {
            next.run(Request::from_parts(head, Body::from(body))).await;
            failure.into_response()
        }
        None => next.run(Request::from_parts(head, Body::from(body))).await,
    }
}
