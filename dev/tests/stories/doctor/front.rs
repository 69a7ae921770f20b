//! What stands in front of the API and the site: a gateway or a CDN that may be set up wrongly.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tokio::net::TcpListener;

/// Answers a request in the place of what is behind; none if it passes it on.
pub type Disturbance = fn(&Request) -> Option<Response>;

pub struct Front {
    pub base: String,
    pub disturbance: Arc<Mutex<Option<Disturbance>>>,
    listener: Option<TcpListener>,
}

impl Front {
    /// Has an address and doesn't answer yet.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        Self { base, disturbance: Arc::default(), listener: Some(listener) }
    }

    /// Passes everything else on to this address.
    pub fn stand_before(&mut self, behind: &str) {
        let (http, behind) = (shared::outgoing::http_client().unwrap(), behind.to_owned());
        let disturbance = Arc::clone(&self.disturbance);
        let answer = async move |request: Request| {
            let disturbance = *disturbance.lock().unwrap();
            match disturbance.and_then(|disturbance| disturbance(&request)) {
                Some(response) => response,
                None => pass_on(&http, &behind, request).await,
            }
        };
        let listener = self.listener.take().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    }
}

/// What is behind answers, as if it were called itself.
pub async fn pass_on(http: &reqwest::Client, behind: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let url = format!("{behind}{}", parts.uri.path_and_query().map_or("/", |it| it.as_str()));
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let answer = http.request(parts.method, url).headers(parts.headers).body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    let body = shared::outgoing::body(answer, shared::outgoing::Limit::ONE).await.unwrap();
    response.body(Body::from(body)).unwrap()
}
