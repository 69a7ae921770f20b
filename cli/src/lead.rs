//! What the operator does about a lead.

use serde_json::json;
use shared::consent::{Consent, ConsentSource, ConsentStatus};
use shared::leads;
use shared::settings::Values;
use uuid::Uuid;

use crate::answer::Answer;
use crate::arguments::LeadAnswer;
use crate::{Failure, app};

/// `adtrail lead consent`.
pub(crate) async fn consent(values: &Values, lead_id: Uuid, answer: LeadAnswer) -> Result<Answer, Failure> {
    let app = app::with_database::<()>(values)?;
    let consent: Consent = answer.into();
    let stated = app
        .db
        .tx(async |tx| leads::state_consent(tx, lead_id, consent, ConsentSource::Operator, app.clock.now()).await)
        .await?;
    if !stated {
        return Err(Failure::Message(format!("There is no lead {lead_id}: take the id from the table leads.")));
    }
    let purposes = [("ad_user_data", consent.ad_user_data), ("ad_personalization", consent.ad_personalization)];
    let said = purposes.iter().filter(|(_, status)| *status != ConsentStatus::Unknown);
    let said: Vec<_> = said.map(|(purpose, status)| format!("{purpose} {}", status.as_str())).collect();
    let document = json!({"lead_id": lead_id, "consent": consent});
    let text = format!("Consent of lead {lead_id}: {}. The next run of the uploader applies it.", said.join(", "));
    Ok(Answer::new(document, &text))
}
