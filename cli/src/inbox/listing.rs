//! `adtrail inbox list`.

use serde_json::json;
use shared::inbox::listing::{Entry, State, newest};
use shared::settings::Values;

use crate::answer::Answer;
use crate::table::{amount, columns, time};
use crate::{Failure, setting};

pub(crate) async fn list(values: &Values, states: &[State], limit: u16) -> Result<Answer, Failure> {
    let app = setting::app(values, &[])?;
    let entries = app.db.tx(async |tx| newest(tx, states, limit).await).await?;
    let text = if entries.is_empty() {
        "There is nothing like that in the inbox.".into()
    } else {
        columns(["ID", "STATE", "SOURCE", "DEAL", "TYPE", "VALUE", "RECEIVED", "WHY"], entries.iter().map(row))
    };
    Ok(Answer::new(json!({ "entries": entries }), &text))
}

fn row(entry: &Entry) -> [String; 8] {
    let value = entry.value.zip(entry.currency.as_deref()).map(|(value, currency)| amount(value, currency));
    let why = entry.reason.clone().unwrap_or_default();
    [
        entry.id.to_string(),
        entry.state.as_str().into(),
        entry.source.clone(),
        entry.crm_deal_id.clone().unwrap_or_default(),
        entry.conversion_type.clone().unwrap_or_default(),
        value.unwrap_or_default(),
        time(entry.received_at),
        if entry.state == State::Matched { format!("by {why}") } else { why },
    ]
}
