//! `adtrail inbox list`.

use serde_json::json;
use shared::inbox::listing::{Filter, ListedEntry, ListedState, newest};
use shared::settings::Values;

use crate::answer::Answer;
use crate::table::{amount, columns, time};
use crate::{Failure, app};

pub(crate) async fn list(values: &Values, filter: &Filter) -> Result<Answer, Failure> {
    let app = app::with_database::<()>(values)?;
    let entries = app.db.tx(async |tx| newest(tx, filter).await).await?;
    let text = if entries.is_empty() {
        "There are no such entries in the inbox.".into()
    } else {
        columns(["ID", "STATE", "SOURCE", "DEAL", "TYPE", "VALUE", "RECEIVED", "REASON"], entries.iter().map(row))
    };
    Ok(Answer::new(json!({ "entries": entries }), &text))
}

fn row(entry: &ListedEntry) -> [String; 8] {
    let value = entry.value.zip(entry.currency.as_deref()).map(|(value, currency)| amount(value, currency));
    let reason = entry.reason.clone().unwrap_or_default();
    [
        entry.id.to_string(),
        entry.state.as_str().into(),
        entry.source.clone(),
        entry.crm_deal_id.clone().unwrap_or_default(),
        entry.conversion_type.clone().unwrap_or_default(),
        value.unwrap_or_default(),
        time(entry.received_at),
        if entry.state == ListedState::Matched { format!("by {reason}") } else { reason },
    ]
}
