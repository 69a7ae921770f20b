//! Google Ads, with the sandbox Google.

use axum::Router;
use google_sandbox::{AdsAccount, Endpoint, EventPoison, Fault, FaultKind, GoogleAccount, GoogleSandbox};
use serde_json::{Value, json};
use shared::clock::Clock;

pub use shared::platforms::google_ads::ENTRY;

use super::{Received, Sandbox};

pub fn sandbox(clock: &Clock) -> Box<dyn Sandbox> {
    let google = GoogleSandbox::with_clock(GoogleAccount::dev(), clock.clone());
    google.add_account(AdsAccount::second_dev());
    Box::new(google)
}

impl Sandbox for GoogleSandbox {
    fn routes(&self) -> Router {
        self.router()
    }

    fn settings(&self, url: &str) -> Vec<(&'static str, String)> {
        let credentials = GoogleAccount::dev().refresh_token;
        vec![
            ("GOOGLE_DATA_MANAGER_URL", url.into()),
            ("GOOGLE_ADS_API_URL", url.into()),
            ("GOOGLE_TOKEN_URL", format!("{url}/token")),
            ("GOOGLE_CLIENT_ID", credentials.client_id),
            ("GOOGLE_CLIENT_SECRET", credentials.client_secret),
            ("GOOGLE_REFRESH_TOKEN", credentials.refresh_token),
        ]
    }

    fn credentials(&self) -> &'static [&'static str] {
        &["GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"]
    }

    fn declaration(&self, account: usize) -> Vec<(&'static str, String)> {
        let (customer_id, action) = [("123-456-7890", 987_654_321), ("222-333-4444", 111)][account];
        vec![("customer_id", format!("{customer_id:?}")), ("actions", format!("{{ closed = {action} }}"))]
    }

    fn click(&self, id: &str) -> Value {
        json!({"gclid": id})
    }

    fn received(&self) -> Vec<Received> {
        let counted = self.conversions().into_iter().map(|it| Received {
            transaction_id: it.id,
            target: format!("customers/{}/conversionActions/{}", it.customer_id, it.conversion_action),
            times: it.received,
        });
        counted.collect()
    }

    fn reject(&self, transaction_id: &str) {
        self.poison(transaction_id, EventPoison::new("INVALID_EVENT"));
    }

    fn refuse_quoting(&self, quoted: &str) {
        let body = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": format!("No: {quoted}.")}});
        let kind = FaultKind::Http { status: 400, retry_after: None, reason: None, body: Some(body) };
        self.script(Fault::once(Endpoint::Ingest, kind)).unwrap();
    }

    fn refuse_credentials(&self) {
        let kind = FaultKind::OAuth { error: "invalid_grant".into(), description: "Token has been revoked.".into() };
        self.script(Fault::once(Endpoint::Token, kind).times(u32::MAX)).unwrap();
        self.revoke_tokens();
    }

    fn take_credentials(&self) {
        self.clear_faults();
    }
}
