//! What became of a deal: one state and one sentence. The views `delivery_outcomes` and `deal_outcomes` decide the
//! state; the sentences are here.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::attribution::CLICK_COUNTS;
use crate::db::{DbError, Tx};

/// What became of a deal at a stage. Of several destinations the one that got furthest decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum State {
    /// The platform's verdict is that it counts.
    Confirmed,
    /// The platform accepted it; its verdict is still asked for.
    Accepted,
    /// The platform accepted it, and no verdict is asked for any more.
    Unconfirmed,
    /// It will be sent.
    Waiting,
    /// It is kept back until the person answers on consent.
    Held,
    /// It is for no destination.
    Skipped,
    /// It was given up, mostly because the platform refuses it.
    Refused,
    /// It was taken back.
    Retracted,
    /// It no longer counts.
    Expired,
    /// Its lead isn't known yet. Of deals only.
    AwaitingLead,
    /// It was lost before its lead was known. Of deals only.
    Lost,
    /// It is matched, but its conversion is gone: somebody deleted it. Of deals only.
    Missing,
}

crate::db::text_in_sql!(State);

impl State {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Confirmed,
        Self::Accepted,
        Self::Unconfirmed,
        Self::Waiting,
        Self::Held,
        Self::Skipped,
        Self::Refused,
        Self::Retracted,
        Self::Expired,
        Self::AwaitingLead,
        Self::Lost,
        Self::Missing,
    ];

    /// As in the database and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Accepted => "accepted",
            Self::Unconfirmed => "unconfirmed",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Retracted => "retracted",
            Self::Expired => "expired",
            Self::AwaitingLead => "awaiting_lead",
            Self::Lost => "lost",
            Self::Missing => "missing",
        }
    }
}

/// A row of `deal_outcomes`.
#[derive(Clone, Debug, Serialize)]
pub struct DealOutcome {
    pub inbox_id: Uuid,
    pub source: String,
    pub crm_deal_id: String,
    pub conversion_type: String,
    pub occurred_at: DateTime<Utc>,
    pub conversion_id: Option<Uuid>,
    pub lead_id: Option<Uuid>,
    /// The destination that got furthest; none if it is for none.
    pub destination: Option<String>,
    pub state: State,
    /// Of a skipped one why, of a waiting one what it waits for, else the code that the queue has.
    pub reason_code: Option<String>,
    /// What is stored of it in words, such as the platform's.
    pub reason: Option<String>,
    /// Until when it waits, is held, or is next asked about.
    pub until: Option<DateTime<Utc>>,
    /// The state of the row that tells the destination to take it back.
    pub retraction_status: Option<String>,
}

impl DealOutcome {
    /// What became of it, in one sentence. Texts of other systems in it are as they were stored: whoever shows it
    /// escapes them.
    #[must_use]
    pub fn sentence(&self) -> String {
        let place = self.destination.as_deref().unwrap_or("every destination");
        let why = self.reason.as_deref().or(self.reason_code.as_deref());
        let because = why.map(|why| format!(": {}", why.trim_end_matches('.'))).unwrap_or_default();
        let until = |word: &str| {
            self.until.map(|at| format!(" {word} {}", at.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default()
        };
        match self.state {
            State::Confirmed => format!("It counts: {place} confirmed it."),
            State::Accepted => {
                format!("{place} accepted it and hasn't said yet whether it counts; asked again{}.", until("at"))
            }
            State::Unconfirmed => format!("{place} accepted it and never said whether it counts{because}."),
            State::Waiting => format!("It waits for {}.", self.waits_for(place, &until("until"))),
            State::Held => format!("It is held{}: the person's consent is unknown.", until("until")),
            State::Skipped => format!("It isn't sent: {}.", skipped(self.reason_code.as_deref())),
            State::Refused => format!("It doesn't count at {place}{because}."),
            State::Retracted => self.retracted(place),
            State::Expired if self.conversion_id.is_none() => {
                format!("No lead was found for it within {} days.", CLICK_COUNTS.num_days())
            }
            State::Expired => format!("It no longer counts at {place}{because}."),
            State::AwaitingLead => format!("It waits for its lead{}.", until("until")),
            State::Lost => "The deal was lost before its lead was known.".into(),
            State::Missing => "It was matched, and its conversion was deleted from the database since.".into(),
        }
    }

    fn waits_for(&self, place: &str, until: &str) -> String {
        let reason = self.reason.as_deref().map(|it| format!(": {}", it.trim_end_matches('.'))).unwrap_or_default();
        match self.reason_code.as_deref() {
            Some("destination") => "a destination that takes it".into(),
            Some("answer") => format!("the answer of {place}, to which it is being sent"),
            Some("pause") => format!("{place}, which is paused{until}{reason}"),
            Some("retry") => format!("the next try at {place}{until}{reason}"),
            Some("click_age") => format!("its time at {place}{until}"),
            _ => format!("the uploader's next run, to {place}"),
        }
    }

    fn retracted(&self, place: &str) -> String {
        let cause = if self.reason_code.as_deref() == Some("consent_withdrawn") {
            "consent was withdrawn"
        } else {
            "the deal was lost"
        };
        let told = match self.retraction_status.as_deref() {
            None => "nothing of it had to be taken back at a platform".into(),
            Some("uploaded") => format!("{place} was told"),
            Some("dead_letter") => format!("{place} was not told, because its retraction was given up"),
            Some(_) => format!("{place} will be told"),
        };
        format!("It was taken back, because {cause}; {told}.")
    }
}

/// Why a conversion is for no destination, as part of a sentence.
fn skipped(code: Option<&str>) -> String {
    match code {
        Some("consent_denied") => "the person denied consent".into(),
        Some("bot") => "the lead came from a program, not a person".into(),
        Some("no_attribution") => "it has no click id, e-mail or phone that a destination could use".into(),
        Some("no_conversion_action") => "no destination has a conversion action for this stage".into(),
        Some("no_destination") => "the destinations of this stage are declared for others".into(),
        Some("too_old") => "it no longer counted when a destination that takes it was set up".into(),
        other => other.unwrap_or("no reason is stored").to_owned(),
    }
}

/// The outcomes of a deal, by the CRM's id: one for each stage that it reached, the first first.
///
/// # Errors
/// When the database fails.
pub async fn of_deal(tx: &mut Tx, crm_deal_id: &str) -> Result<Vec<DealOutcome>, DbError> {
    let outcomes = sqlx::query_as!(
        DealOutcome,
        r#"-- outcomes::of_deal
        select
            inbox_id as "inbox_id!", source as "source!", crm_deal_id as "crm_deal_id!",
            conversion_type as "conversion_type!", occurred_at as "occurred_at!", conversion_id, lead_id, destination,
            state as "state!: State", reason_code, reason, until, retraction_status
        from public.deal_outcomes
        where crm_deal_id = $1
        order by occurred_at, conversion_type"#,
        crm_deal_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(outcomes)
}
