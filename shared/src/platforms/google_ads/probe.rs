//! A conversion that nobody made, for requests that only validate.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::attribution::Clicks;
use crate::consent::ConsentStatus;
use crate::deals::Stage;
use crate::identity::Hash;
use crate::money::Money;
use crate::platforms::google::batch::Answered;
use crate::platforms::{Conversion, Facts, Outcome};

/// It has a click id and an e-mail, so that Google also says whether it takes both from this account.
pub(super) fn conversion(stage: &Stage, now: DateTime<Utc>) -> Conversion {
    let click_at = now - TimeDelta::days(8);
    let made_up = |name: &str| (name == "gclid").then(|| "EAIaIQobChMIadtraildoctor".to_owned());
    Conversion {
        queue_id: Uuid::nil(),
        transaction_id: format!("adtrail-doctor-{}", Uuid::new_v4().simple()),
        conversion_type: stage.clone(),
        occurred_at: now - TimeDelta::days(1),
        money: Some(Money::new(1.0, "EUR".into())),
        clicks: Clicks::read(now, |parameter| made_up(parameter.name)).clicked(click_at),
        session_attributes: None,
        email_hash: None,
        email_hash_google: Some(Hash::of(Uuid::new_v4().as_bytes())),
        phone_hash: None,
        phone_hash_digits: None,
        sent_to: None,
        sent_through: None,
        ad_user_data: ConsentStatus::Granted,
        ad_personalization: ConsentStatus::Granted,
        facts: Facts {
            click_at: Some(click_at),
            lead_at: now - TimeDelta::days(7),
            restated_at: None,
            retracted_at: None,
            can_omit_click_id: true,
            click_id_omitted: false,
            sent_before: false,
            is_correction: false,
            seconds_later: 0,
            send_alone: true,
        },
    }
}

/// A request body that Google only validates.
pub(super) fn validating(mut body: Value) -> Value {
    body["validateOnly"] = json!(true);
    body
}

/// The outcome of the only conversion of a request.
pub(super) fn outcome(answered: Answered) -> Outcome {
    let only = match answered {
        Answered::Each(outcomes) => outcomes.into_iter().next(),
        Answered::Blamed(blamed) => blamed.into_iter().next().map(|(_, outcome)| outcome),
        Answered::Unnamed(outcome) | Answered::TooLarge(outcome) | Answered::Failed(outcome) => Some(outcome),
    };
    only.unwrap_or(Outcome::Unsent)
}
