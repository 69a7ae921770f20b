//! The deals that wait for their lead.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// Which waiting deals to match.
#[derive(Clone, Copy, Debug)]
pub enum Waiting<'a> {
    /// These.
    Deals(&'a [Uuid]),
    /// Those after one position, up to another.
    Page(Option<Place>, Place),
}

impl<'a> Waiting<'a> {
    pub(super) fn bounds(self) -> (Option<&'a [Uuid]>, Option<Place>, Option<Place>) {
        match self {
            Self::Deals(ids) => (Some(ids), None, None),
            Self::Page(after, until) => (None, after, Some(until)),
        }
    }
}

/// A position among the waiting deals, the longest waiting first.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub(super) received_at: DateTime<Utc>,
    pub(super) id: Uuid,
}

/// The position of the last of the next `limit` waiting deals; none if there are no more. They are matched page by
/// page, because one statement can't process a million of them in time.
pub async fn end_of_page(tx: &mut Tx, after: Option<Place>, limit: u16) -> Result<Option<Place>, DbError> {
    let place = sqlx::query_as!(
        Place,
        r#"-- inbox::matching::waiting::end_of_page
        select received_at as "received_at!", id as "id!"
        from (
            select received_at, id from public.inbox
            where state = 'awaiting_lead' and ($1::timestamptz is null or (received_at, id) > ($1, $2::uuid))
            order by received_at, id
            limit $3
        ) page
        order by received_at desc, id desc
        limit 1"#,
        after.map(|place| place.received_at),
        after.map(|place| place.id),
        i64::from(limit),
    )
    .fetch_optional(tx)
    .await?;
    Ok(place)
}

/// A statement that finds what waiting deals `i` belong to, and locks those that it finds, except deals that another
/// transaction has locked. It gets what is selected, what is joined, and the arguments of that from `$6` on. `key.text`
/// is the key of the conversion that a deal will be.
macro_rules! of_waiting {
    ($waiting:expr, $selected:tt, $joined:tt, $($argument:expr),+ $(,)?) => {{
        let (deals, after, until) = $waiting.bounds();
        sqlx::query_as!(
            Match,
            $selected
                + r#"
        from public.inbox i
        cross join lateral (
            select coalesce(i.key_name, i.crm_deal_id) || ':' || i.conversion_type
                || case when i.generation > 1 then ':' || i.generation else '' end as text
        ) key
"#
                + $joined
                + r#"
        where i.state = 'awaiting_lead'
            and ($1::uuid[] is null or i.id = any($1))
            and ($2::timestamptz is null or (i.received_at, i.id) > ($2, $3::uuid))
            and ($4::timestamptz is null or (i.received_at, i.id) <= ($4, $5::uuid))
        order by i.received_at, i.id
        for update of i skip locked"#,
            deals,
            after.map(|place| place.received_at),
            after.map(|place| place.id),
            until.map(|place| place.received_at),
            until.map(|place| place.id),
            $($argument),+
        )
    }};
}

pub(super) use of_waiting;
