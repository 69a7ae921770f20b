//! A sandbox and the lanes that the product has to it.

use chrono::{DateTime, TimeDelta, Utc};
use google_sandbox::{GoogleAccount, GoogleSandbox};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use shared::analytics::{self, EventDestinations, EventLane, EventLanes, EventOutcome, EventToSend};
use shared::clock::Clock;
use shared::consent::Consent;
use shared::identity::ClientId;
use shared::platforms::{Allowance, Exchange};
use shared::settings::{Settings, Values};
use tokio::net::TcpListener;
use uuid::Uuid;

pub const DATA_MANAGER: &str = "[ga]\nplatform = \"google-analytics\"\nmeasurement_id = \"G-DEV1234567\"\n\
                                property_id = 123456789\n";
pub const MEASUREMENT_PROTOCOL: &str = "[mp]\nplatform = \"google-analytics\"\nmeasurement_id = \"G-DEV1234567\"\n\
                                        transport = \"measurement-protocol\"\napi_secret = \"GA4_API_SECRET\"\n";
pub const BOTH_WAYS: [&str; 2] = [DATA_MANAGER, MEASUREMENT_PROTOCOL];
pub const SECRET: &str = "dev-ga4-secret";

pub fn now() -> DateTime<Utc> {
    "2026-11-29T12:00:00Z".parse().expect("a time")
}

pub struct Trial {
    pub sandbox: GoogleSandbox,
    pub clock: Clock,
    pub url: String,
}

impl Trial {
    pub async fn start() -> Self {
        let clock = Clock::fixed(now());
        let sandbox = GoogleSandbox::with_clock(GoogleAccount::dev(), clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { sandbox, clock, url }
    }

    pub fn values(&self, declarations: &str) -> Values {
        let account = GoogleAccount::dev();
        let credentials = &account.refresh_token;
        let token_url = format!("{}/token", self.url);
        let values = [
            ("DESTINATIONS", declarations),
            ("GOOGLE_DATA_MANAGER_URL", &self.url),
            ("GOOGLE_ANALYTICS_URL", &self.url),
            ("GOOGLE_TOKEN_URL", &token_url),
            ("GOOGLE_CLIENT_ID", &credentials.client_id),
            ("GOOGLE_CLIENT_SECRET", &credentials.client_secret),
            ("GOOGLE_REFRESH_TOKEN", &credentials.refresh_token),
            ("GA4_API_SECRET", SECRET),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect()
    }

    pub fn connect(&self, values: &Values) -> (EventDestinations, EventLanes) {
        let mut settings = Settings::new(values);
        let connected = analytics::connect(&mut settings, &self.clock);
        settings.finish(Some(connected)).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn lane(&self, declaration: &str) -> Box<dyn EventLane> {
        let (_, mut lanes) = self.connect(&self.values(declaration));
        assert_eq!(lanes.len(), 1);
        lanes.remove(0)
    }

    pub fn allowance(&self) -> Allowance {
        Allowance::new(self.clock.clone(), self.clock.now() + TimeDelta::minutes(10), None, (0, 0))
    }

    pub async fn send(&self, lane: &dyn EventLane, events: &[EventToSend]) -> (Vec<EventOutcome>, Vec<Exchange>) {
        let (outcomes, exchanges) = lane.send(events, &self.allowance()).await;
        assert_eq!(outcomes.len(), events.len());
        (outcomes, exchanges)
    }
}

/// An event a minute ago, of one client.
pub fn event(name: &str, params: &Value) -> EventToSend {
    EventToSend {
        queue_id: Uuid::new_v4(),
        event_id: format!("e-{}", Uuid::new_v4().simple()),
        name: name.to_owned(),
        params: params.as_object().cloned().unwrap_or_else(Map::new),
        page_url: Some("https://www.example.com/lp?utm_source=google".to_owned()),
        at: now() - TimeDelta::minutes(1),
        client_id: client("1234567890.1700000000"),
        session_id: Some(1_764_417_000),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)".to_owned()),
        consent: Consent::default(),
        email_hash_google: None,
        phone_hash: None,
    }
}

pub fn client(id: &str) -> ClientId {
    ClientId::try_from(id.to_owned()).expect("a client id")
}

pub fn lead() -> EventToSend {
    event("generate_lead", &json!({ "method": "form" }))
}

pub fn purchase(id: &str) -> EventToSend {
    event("purchase", &json!({ "transaction_id": id, "value": 49.9, "currency": "EUR" }))
}

/// The code of what an outcome says.
pub fn code(outcome: &EventOutcome) -> (&'static str, String) {
    (outcome.as_str(), outcome.reason().map(|reason| reason.code.clone()).unwrap_or_default())
}
