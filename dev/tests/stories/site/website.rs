//! A website that loads the tag and passes its calls on to Adtrail, on two origins.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tokio::net::TcpListener;

use crate::doctor::front::pass_on;

/// The tag as it is served.
pub const TAG: &str = include_str!("../../../../tracker/dist/t.js");

/// What it answers.
#[derive(Clone, Default)]
pub struct Website {
    pub html: String,
    pub page: Answered,
    pub tag: Answered,
    /// In the place of Adtrail, at the endpoints.
    pub endpoints: Option<Answered>,
    /// Does the proxy pass bodies on?
    pub loses_bodies: bool,
    /// Where /landing leads, by its query.
    pub redirect: Option<fn(&str) -> String>,
}

#[derive(Clone)]
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Default for Answered {
    fn default() -> Self {
        Self { status: 200, headers: vec![], body: vec![] }
    }
}

impl Answered {
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { headers: vec![("content-type".into(), content_type.into())], body: body.into(), ..Self::default() }
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(set, _)| set != name);
        self.headers.push((name.into(), value.into()));
    }

    fn response(&self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(self.body.clone())).unwrap()
    }
}

impl Website {
    pub fn healthy(_: &WebsiteServer) -> Self {
        let html = "<!doctype html><html><head><title>A page</title>\
                    <script>window.dataLayer=[];function gtag(){dataLayer.push(arguments)}\n\
                    gtag('consent', 'default', {ad_user_data: 'denied'});</script>\
                    <script async src=\"/t.js\"></script>\
                    <script src=\"/other.js\"></script></head><body><p>Hello</p></body></html>";
        Self {
            html: html.into(),
            page: Answered::of("text/html; charset=utf-8", ""),
            tag: Answered::of("text/javascript", TAG),
            ..Self::default()
        }
    }

    /// The same page with its tag's element as it is here.
    pub fn with_tag(&mut self, element: &str) {
        self.html = self.html.replace("<script async src=\"/t.js\"></script>", element);
    }
}

pub struct WebsiteServer {
    pub base: String,
    /// Another origin of the same site, which answers the same.
    pub other: String,
    pub website: Arc<Mutex<Website>>,
    listeners: Vec<TcpListener>,
}

impl WebsiteServer {
    pub async fn new() -> Self {
        let listeners =
            vec![TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let [base, other] = [0, 1].map(|at: usize| format!("http://{}", listeners[at].local_addr().unwrap()));
        Self { base, other, website: Arc::default(), listeners }
    }

    pub fn stand_before(&mut self, adtrail: &str) {
        for listener in std::mem::take(&mut self.listeners) {
            let (http, adtrail) = (shared::outgoing::http_client().unwrap(), adtrail.to_owned());
            let website = Arc::clone(&self.website);
            let answer = async move |request: Request| {
                let website = website.lock().unwrap().clone();
                answer(&http, &adtrail, &website, request).await
            };
            tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        }
    }
}

async fn answer(http: &reqwest::Client, adtrail: &str, website: &Website, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match (path.as_str(), website.redirect) {
        ("/landing", Some(redirect)) => {
            let mut answered = Answered { status: 302, ..Answered::default() };
            answered.set("location", redirect(&query));
            answered.response()
        }
        ("/t.js", ..) => website.tag.response(),
        (path, _) if path.starts_with("/t/") => match &website.endpoints {
            Some(answered) => answered.response(),
            None if website.loses_bodies => pass_on(http, adtrail, without_body(request)).await,
            None => pass_on(http, adtrail, request).await,
        },
        ("/other.js", ..) => Answered::of("text/javascript", "console.log('adtrail')").response(),
        ("/landing" | "/lp", ..) => {
            let html = website.html.as_bytes().to_vec();
            Answered { body: html, ..website.page.clone() }.response()
        }
        _ => Answered { status: 404, ..Answered::of("text/html", "Not here") }.response(),
    }
}

fn without_body(request: Request) -> Request {
    let (mut parts, _) = request.into_parts();
    parts.headers.remove("content-length");
    Request::from_parts(parts, Body::empty())
}
