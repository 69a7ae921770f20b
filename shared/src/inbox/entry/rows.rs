//! The rows of an entry, column by column.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::attribution::Clicks;
use crate::consent::ConsentStatus;
use crate::deals::Stage;
use crate::inbox::listing::ListedState;
use crate::inbox::matching::MatchedBy;

/// A row of `inbox`.
#[derive(Debug, Serialize)]
pub struct StoredDeal {
    pub id: Uuid,
    pub source: String,
    pub crm_deal_id: String,
    pub conversion_type: Stage,
    pub value: Option<f64>,
    pub currency: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub lead_id: Option<Uuid>,
    pub email_hash: Option<String>,
    pub email_hash_google: Option<String>,
    pub other_email_hashes: Vec<String>,
    pub phone_hash: Option<String>,
    pub phone_hash_digits: Option<String>,
    pub payload_hash: String,
    pub deliveries: i32,
    pub state: ListedState,
    pub conversion_id: Option<Uuid>,
    pub received_at: DateTime<Utc>,
    pub reported_at: Option<DateTime<Utc>>,
    pub person_reported_at: Option<DateTime<Utc>>,
    pub attached_at: Option<DateTime<Utc>>,
    pub matched_at: Option<DateTime<Utc>>,
    pub matched_by: Option<MatchedBy>,
    pub several_candidates: bool,
    pub clicks: Json<Clicks>,
    pub clicks_reported_at: Option<DateTime<Utc>>,
}

/// A row of `inbox_events` joined with its row of `inbox_receipts`.
#[derive(Debug, Serialize)]
pub struct StoredEvent {
    pub id: Uuid,
    pub receipt_id: Uuid,
    pub position: i32,
    pub source: String,
    pub source_event_id: String,
    pub state: String,
    pub reason: Option<String>,
    pub rule: Option<String>,
    pub crm_deal_id: Option<String>,
    pub inbox_id: Option<Uuid>,
    pub deliveries: i32,
    pub fetch_due_at: Option<DateTime<Utc>>,
    pub fetch_failures: i32,
    /// What of it was left out, guessed or isn't as it should be: a list of `{pointer, detail}`.
    pub warnings: serde_json::Value,
    pub received_at: DateTime<Utc>,
    pub verified_by: String,
    pub verified_with: String,
    pub headers: Json<BTreeMap<String, Option<String>>>,
    pub payload_hash: String,
    /// Unchanged; none if it is no longer stored. It need not be text.
    #[serde(skip)]
    pub body: Option<Vec<u8>>,
}

/// A row of `conversions`.
#[derive(Debug, Serialize)]
pub struct StoredConversion {
    pub id: Uuid,
    pub lead_id: Option<Uuid>,
    pub crm_deal_id: String,
    pub conversion_type: Stage,
    pub idempotency_key: String,
    pub transaction_id: String,
    pub value: Option<f64>,
    pub currency: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub clicks: Json<Clicks>,
    pub site: Option<String>,
    pub session_attributes: Option<String>,
    pub email_hash: Option<String>,
    pub email_hash_google: Option<String>,
    pub phone_hash: Option<String>,
    pub phone_hash_digits: Option<String>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_term: Option<String>,
    pub utm_content: Option<String>,
    pub ad_user_data: ConsentStatus,
    pub ad_personalization: ConsentStatus,
    pub matched_by: Option<MatchedBy>,
    pub skip_reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub restated_at: Option<DateTime<Utc>>,
    pub retracted_at: Option<DateTime<Utc>>,
    pub consent_withdrawn_at: Option<DateTime<Utc>>,
}

/// A row of `conversion_queue`.
#[derive(Debug, Serialize)]
pub struct QueueRow {
    pub id: Uuid,
    pub conversion_id: Uuid,
    pub platform: String,
    pub status: QueueStatus,
    pub retry_count: i32,
    pub max_retries: i32,
    pub transport_failures: i32,
    pub next_retry_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub last_error_code: Option<String>,
    pub claims: i32,
    pub locked_until: Option<DateTime<Utc>>,
    pub lock_token: Option<Uuid>,
    pub uploaded_at: Option<DateTime<Utc>>,
    pub request_id: Option<String>,
    pub status_checks: i32,
    pub next_status_check_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub dead_lettered_at: Option<DateTime<Utc>>,
    pub adjusts: Option<Uuid>,
    pub send_alone: bool,
    pub omit_click_id: bool,
    /// The account and the conversion action that have it, as its platform calls them.
    pub sent_to: Option<String>,
    /// Destinations to whose account its click doesn't belong.
    pub declined_by: Vec<String>,
    /// Why it is sent without its click id.
    pub omit_click_id_reason: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The status of a queue row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum QueueStatus {
    Pending,
    Uploaded,
    Failed,
    DeadLetter,
}

crate::db::text_in_sql!(QueueStatus);

impl QueueStatus {
    /// As in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Uploaded => "uploaded",
            Self::Failed => "failed",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// What Adtrail keeps in a row of `leads`. The table is the site's, so a column that was there before may be null.
#[derive(Debug, Serialize)]
pub struct StoredLead {
    pub id: Uuid,
    pub created_at: Option<DateTime<Utc>>,
    pub visitor_id: Option<String>,
    pub clicks: Option<Json<Clicks>>,
    pub site: Option<String>,
    pub conversion_status: Option<String>,
    /// Its caller was above a limit, so no deal is matched to it by its addresses.
    pub is_suspicious: bool,
}
