//! The recorder itself, in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use shared::clock::Clock;

use super::{TOKEN, URL, target};
use crate::platforms::{Received, Sandbox};

const SECRET: &str = "recorder-secret";

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    received: Vec<Received>,
    rejected: BTreeSet<String>,
    /// What the refusal of the next request quotes.
    quoted: Option<String>,
    takes_nobody: bool,
}

pub fn sandbox(_: &Clock) -> Box<dyn Sandbox> {
    Box::new(Memory::default())
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn record(&mut self, transaction_id: &str, target: String) -> Value {
        if self.rejected.contains(transaction_id) {
            return json!({"status": "rejected", "code": "disliked", "message": "The recorder doesn't take this one."});
        }
        let known = self.received.iter_mut().find(|it| it.transaction_id == transaction_id && it.target == target);
        if let Some(known) = known {
            known.times += 1;
            return json!({"status": "known"});
        }
        self.received.push(Received { transaction_id: transaction_id.into(), target, times: 1 });
        json!({"status": "recorded"})
    }
}

async fn take(State(memory): State<Memory>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let mut kept = memory.kept();
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    if kept.takes_nobody || token != Some(&format!("Bearer {SECRET}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some(quoted) = kept.quoted.take() {
        return (StatusCode::BAD_REQUEST, format!("no {quoted}")).into_response();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let account = text(&request["account"]);
    let events = request["events"].as_array().into_iter().flatten();
    let results = events.map(|event| kept.record(&text(&event["id"]), target(&account, &text(&event["stage"]))));
    Json(json!({"results": results.collect::<Vec<_>>()})).into_response()
}

impl Sandbox for Memory {
    fn routes(&self) -> Router {
        Router::new().route("/conversions", post(take)).with_state(self.clone())
    }

    fn settings(&self, url: &str) -> Vec<(&'static str, String)> {
        vec![(URL, url.into()), (TOKEN, SECRET.into())]
    }

    fn credentials(&self) -> &'static [&'static str] {
        &[TOKEN]
    }

    fn declaration(&self, account: usize) -> Vec<(&'static str, String)> {
        vec![("account", format!("\"account-{account}\"")), ("stages", "[\"closed\"]".into())]
    }

    fn click(&self, id: &str) -> Value {
        json!({"fbclid": id})
    }

    fn received(&self) -> Vec<Received> {
        self.kept().received.clone()
    }

    fn reject(&self, transaction_id: &str) {
        self.kept().rejected.insert(transaction_id.into());
    }

    fn refuse_quoting(&self, quoted: &str) {
        self.kept().quoted = Some(quoted.into());
    }

    fn refuse_credentials(&self) {
        self.kept().takes_nobody = true;
    }

    fn take_credentials(&self) {
        self.kept().takes_nobody = false;
    }
}
