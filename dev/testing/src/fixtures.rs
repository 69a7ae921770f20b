//! Rows to start a test with. Each has all that its table asks for, so that a test names only the columns it is about.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use shared::identity::Hash;
use shared::intake;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{app_without_database, start};

/// A row that isn't stored yet: its table, and its columns as JSON.
#[derive(Debug)]
#[must_use = "it isn't stored yet"]
pub struct Row {
    table: &'static str,
    columns: Map<String, Value>,
}

impl Row {
    /// A row with these columns; the table's defaults fill the others.
    ///
    /// # Panics
    /// When the columns are no object.
    pub fn of(table: &'static str, columns: &Value) -> Self {
        Self { table, columns: Map::new() }.with(columns)
    }

    /// Adds columns, or replaces them.
    ///
    /// # Panics
    /// When the columns are no object.
    pub fn with(mut self, columns: &Value) -> Self {
        self.columns.extend(columns.as_object().expect("an object of columns").clone());
        self
    }

    /// Stores the row and answers its id.
    ///
    /// # Panics
    /// When the table refuses it.
    pub async fn store(self, pool: &PgPool) -> Uuid {
        store(pool, vec![self]).await.remove(0)
    }
}

/// Somebody with this address, who came by a click at ten, filled in the form at eleven and consented.
pub fn lead(email: &str) -> Row {
    Row::of(
        "leads",
        &json!({
            "email_hash": Hash::of(email), "email_hash_google": Hash::of(email),
            "gclid": "click", "click_at": "2026-11-20T10:00:00Z", "created_at": "2026-11-20T11:00:00Z",
            "ad_user_data": "granted", "ad_personalization": "denied",
        }),
    )
}

/// A deal of somebody with this address that closed at eleven and has waited for its lead since.
pub fn waiting_deal(crm_deal_id: &str, email: &str) -> Row {
    Row::of(
        "inbox",
        &json!({
            "source": "test", "crm_deal_id": crm_deal_id, "conversion_type": "closed", "payload_hash": "x",
            "occurred_at": "2026-11-20T11:00:00Z", "received_at": "2026-11-20T11:00:00Z", "email_hash": Hash::of(email),
        }),
    )
}

/// A closed deal that is due for an ad platform: its lead, its conversion and its row of the queue.
#[derive(Debug)]
#[must_use = "it isn't stored yet"]
pub struct DueConversion {
    lead: Row,
    conversion: Row,
    queue: Row,
}

/// The platforms were asked about it when they accepted what they accept in tests.
static PLANNED_FOR: LazyLock<String> =
    LazyLock::new(|| app_without_database::<intake::Config>(&[]).config.destinations.fingerprint().to_owned());

/// A conversion that is due for Google Ads since a minute before [`start`], without anything by which Google could
/// attribute it.
pub fn due() -> DueConversion {
    due_at(start())
}

/// The same a minute before another time.
pub fn due_at(now: DateTime<Utc>) -> DueConversion {
    let (lead, conversion) = (Uuid::new_v4(), Uuid::new_v4());
    DueConversion {
        lead: Row::of("leads", &json!({"id": lead, "created_at": now - TimeDelta::hours(4)})),
        conversion: Row::of(
            "conversions",
            &json!({
                "id": conversion, "lead_id": lead, "conversion_type": "closed", "occurred_at": now - TimeDelta::hours(1),
                "transaction_id": format!("adtrail-{lead}"), "ad_user_data": "granted",
                "planned_for": *PLANNED_FOR,
            }),
        )
        .of_deal(&lead.to_string()),
        queue: Row::of(
            "conversion_queue",
            &json!({
                "conversion_id": conversion, "platform": "google_ads", "created_at": now - TimeDelta::minutes(1),
            }),
        ),
    }
}

impl Row {
    fn of_deal(self, crm_deal_id: &str) -> Self {
        self.with(&json!({"crm_deal_id": crm_deal_id, "idempotency_key": format!("{crm_deal_id}:closed")}))
    }
}

impl DueConversion {
    /// Adds or replaces columns of the lead.
    pub fn lead(self, columns: &Value) -> Self {
        Self { lead: self.lead.with(columns), ..self }
    }

    /// Adds or replaces columns of the conversion.
    pub fn conversion(self, columns: &Value) -> Self {
        Self { conversion: self.conversion.with(columns), ..self }
    }

    /// Names the CRM's deal.
    pub fn deal(self, crm_deal_id: &str) -> Self {
        Self { conversion: self.conversion.of_deal(crm_deal_id), ..self }
    }

    /// Adds or replaces columns of the row of the queue.
    pub fn queue(self, columns: &Value) -> Self {
        Self { queue: self.queue.with(columns), ..self }
    }

    /// Stores all three and answers the id of the row of the queue.
    ///
    /// # Panics
    /// When a table refuses its row.
    pub async fn store(self, pool: &PgPool) -> Uuid {
        store_due(pool, [self]).await.remove(0)
    }
}

/// Stores many, which all name the same columns, and answers the ids of the rows of the queue.
///
/// # Panics
/// When there are none, or a table refuses its rows.
pub async fn store_due(pool: &PgPool, all: impl IntoIterator<Item = DueConversion>) -> Vec<Uuid> {
    let (mut leads, mut conversions, mut queue) = (Vec::new(), Vec::new(), Vec::new());
    for due in all {
        leads.push(due.lead);
        conversions.push(due.conversion);
        queue.push(due.queue);
    }
    store(pool, leads).await;
    store(pool, conversions).await;
    store(pool, queue).await
}

/// Stores rows of one table that name the same columns, and answers their ids.
///
/// # Panics
/// When there are none, or the table refuses them.
pub async fn store(pool: &PgPool, rows: Vec<Row>) -> Vec<Uuid> {
    let shapes: BTreeSet<(&str, Vec<&String>)> =
        rows.iter().map(|row| (row.table, row.columns.keys().collect())).collect();
    assert_eq!(shapes.len(), 1, "one insert has one table and one list of columns: {shapes:?}");
    let (table, names) = (rows[0].table, rows[0].columns.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    let insert = format!(
        "insert into public.{table} ({names})
         select {names} from jsonb_populate_recordset(null::public.{table}, $1) returning id"
    );
    let columns: Value = rows.into_iter().map(|row| row.columns).collect();
    let ids = sqlx::query_scalar(&insert).bind(&columns).fetch_all(pool).await;
    ids.unwrap_or_else(|error| panic!("{table} refuses {}: {error}", columns[0]))
}
