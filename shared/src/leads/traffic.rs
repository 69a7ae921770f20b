//! What sources of leads sent.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{DbError, Tx};

/// The leads of the last seven days that came through one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traffic {
    pub source: String,
    pub accepted: i64,
    /// Of them: something was left out, cut or guessed.
    pub warned: i64,
    pub last_at: Option<DateTime<Utc>>,
}

/// Of each source that sent any.
pub async fn of_last_week(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Traffic>, DbError> {
    let traffic = sqlx::query_as!(
        Traffic,
        r#"-- leads::traffic::of_last_week
        select
            source as "source!", count(*) as "accepted!", count(*) filter (where warnings <> '[]') as "warned!",
            max(created_at) as last_at
        from public.leads
        where created_at > $1::timestamptz - interval '7 days' and source is not null
        group by source
        order by source"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(traffic)
}
