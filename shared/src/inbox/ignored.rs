//! Events that no rule knew: how many, with which values, and since when. A stage that was renamed in the CRM is seen
//! here before anybody misses its deals.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::db::{DbError, Tx};
use crate::texts::fit_visibly;

/// What the reason of such an event begins with.
pub(crate) const NO_RULE: &str = "no rule matches: ";
/// The limit of kept values, in characters.
const LENGTH: usize = 120;
/// So many values of a source are told apart in a day. The others are counted together.
const VALUES: i64 = 50;
/// So many of a source are listed.
const LISTED: i64 = 10;

/// Counts those of these reasons for which no rule is to blame. Comes last in the transaction, because all webhooks of
/// a source may count at the same value.
pub async fn count<'a>(
    tx: &mut Tx,
    source: &str,
    reasons: impl Iterator<Item = &'a str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut events: BTreeMap<String, i64> = BTreeMap::new();
    for values in reasons.filter_map(|reason| reason.strip_prefix(NO_RULE)) {
        *events.entry(fit_visibly(values, LENGTH)).or_default() += 1;
    }
    if events.is_empty() {
        return Ok(());
    }
    let (values, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
    sqlx::query!(
        "-- inbox::ignored::count
        insert into public.ignored_values as v (source, day, value, events, first_at, last_at)
        select $1, $2, value, sum(events)::bigint, $3, $3
        from (
            select
                case
                    when (
                            select count(*) from public.ignored_values where source = $1 and day = $2
                        ) < $6
                        or exists (
                            select from public.ignored_values k
                            where k.source = $1 and k.day = $2 and k.value = ignored.value
                        ) then ignored.value
                    else ''
                end as value,
                ignored.events
            from unnest($4::text[], $5::bigint[]) as ignored (value, events)
        ) counted
        group by value
        -- In one order, so that two webhooks can't deadlock.
        order by value
        on conflict (source, day, value) do update
        set events = v.events + excluded.events, last_at = greatest(v.last_at, excluded.last_at)",
        source,
        day(now),
        now,
        &values,
        &events,
        VALUES,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn day(at: DateTime<Utc>) -> NaiveDate {
    at.date_naive()
}

/// Events of the last seven days of one source with the same values.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IgnoredValue {
    /// The source.
    pub source: String,
    /// What the rules depend on and its values, as in `stage = Won`. Empty: the values were too many to tell apart.
    pub value: String,
    /// How many.
    pub events: i64,
    /// Of the last six weeks the first one, that is, since when.
    pub since: DateTime<Utc>,
    /// The last of them.
    pub last_at: DateTime<Utc>,
}

/// Those of the last seven days, the most frequent of each source first, ten at most.
pub async fn of_last_week(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<IgnoredValue>, DbError> {
    let values = sqlx::query_as!(
        IgnoredValue,
        r#"-- inbox::ignored::of_last_week
        select source as "source!", value as "value!", events as "events!", since as "since!", last_at as "last_at!"
        from (
            select *, row_number() over (partition by source order by events desc, value) as place
            from (
                select
                    source, value, sum(events) filter (where day > $2::date - 7)::bigint as events,
                    min(first_at) as since, max(last_at) as last_at
                from public.ignored_values
                group by source, value
                having max(last_at) > $1::timestamptz - interval '7 days'
            ) known
        ) placed
        where place <= $3
        order by source, place"#,
        now,
        day(now),
        LISTED,
    )
    .fetch_all(tx)
    .await?;
    Ok(values)
}
