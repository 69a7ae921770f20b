//! `adtrail explain`: what became of a deal.

use serde_json::json;
use shared::outcomes;
use shared::settings::Values;

use crate::answer::Answer;
use crate::{Failure, app};

pub(crate) async fn explain(values: &Values, deal: &str) -> Result<Answer, Failure> {
    let app = app::with_database::<()>(values)?;
    let found = app.db.tx(async |tx| outcomes::of_deal(tx, deal).await).await?;
    if found.is_empty() {
        return Err(Failure::Message(format!(
            "No CRM has reported a deal {deal}: `adtrail inbox list` names those that were reported, and \
             `adtrail crm sources` counts what was refused or ignored."
        )));
    }
    let stages: Vec<_> = found
        .iter()
        .map(|outcome| {
            let mut stage = json!(outcome);
            stage["sentence"] = outcome.sentence().into();
            stage
        })
        .collect();
    let lines: Vec<_> = found.iter().map(|it| format!("{}: {}", it.conversion_type, it.sentence())).collect();
    Ok(Answer::new(json!({"crm_deal_id": deal, "stages": stages}), &lines.join("\n")))
}
