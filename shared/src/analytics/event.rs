//! An event as a lane needs it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::consent::Consent;
use crate::identity::{ClientId, Hash};

/// An event to be sent. It may be sent: consent to analytics wasn't denied, and no bot caused it.
#[derive(Clone, Debug)]
pub struct EventToSend {
    /// Its row in the queue.
    pub queue_id: Uuid,
    /// What the website calls it.
    pub event_id: String,
    pub name: String,
    pub params: Map<String, Value>,
    pub page_url: Option<String>,
    /// When it happened, by the server's clock.
    pub at: DateTime<Utc>,
    pub client_id: ClientId,
    /// The session it happened in, as Google's tag keeps it.
    pub session_id: Option<i64>,
    pub user_agent: Option<String>,
    pub consent: Consent,
    /// Of the person's e-mail by Google's normalisation.
    pub email_hash_google: Option<Hash>,
    pub phone_hash: Option<Hash>,
}
