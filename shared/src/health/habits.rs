//! Sources that reported deals week after week, and don't any longer.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{DbError, Tx};
use crate::deals::Stage;

/// Shorter silences are none, whatever the habit: a long weekend, a day of maintenance.
const SHORTEST: TimeDelta = TimeDelta::days(3);
/// A source with this many of the last five weeks has a habit.
const WEEKS: i64 = 4;
/// After this nobody is told any longer: whoever looks after the source has got used to it.
const LONGEST: TimeDelta = TimeDelta::days(60);

/// How regularly a source reported deals of a stage, up to the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Habit {
    pub source: String,
    pub stage: Stage,
    pub last_at: DateTime<Utc>,
    /// Of the five weeks that end with the last deal, those with one.
    pub weeks: i64,
    /// The longest time without one in these weeks, in days.
    pub longest_gap: i64,
    /// What no rule of the source knew since then, the most frequent first, three at most.
    pub unknown_since: Vec<String>,
}

impl Habit {
    /// Has it been broken? It may take half as long again as ever before.
    pub(super) fn is_broken(&self, now: DateTime<Utc>) -> bool {
        let silence = now - self.last_at;
        let usual = TimeDelta::days(self.longest_gap) * 3 / 2;
        self.weeks >= WEEKS && silence > usual.max(SHORTEST) && silence < LONGEST
    }

    /// What to look at.
    pub(super) fn in_words(&self, now: DateTime<Utc>) -> String {
        let Self { source, stage, weeks, longest_gap, .. } = self;
        let days = (now - self.last_at).num_days();
        let unknown = if self.unknown_since.is_empty() {
            "Look in the CRM whether its webhook or automation is still on, and whether a stage was renamed.".to_owned()
        } else {
            format!(
                "Since then no rule knew: {}. If a stage was renamed, correct the rules of [{source}] in CRM_SOURCES, and \
                 read the events again: adtrail inbox list --state ignored, adtrail inbox retry ID.",
                self.unknown_since.join("; ")
            )
        };
        format!(
            "The source {source} has reported no {stage} deal for {days} days; in {weeks} of the five weeks before there \
             were some, with gaps of up to about {longest_gap} days. {unknown}"
        )
    }
}

/// The habits of these sources, for each stage that they ever reported. Asked day by day through an index, so that it
/// takes as long with a million deals as with ten.
pub(super) async fn read(
    tx: &mut Tx,
    sources: &[String],
    stages: &[Stage],
    now: DateTime<Utc>,
) -> Result<Vec<Habit>, DbError> {
    let stages: Vec<_> = stages.iter().map(|stage| stage.as_str().to_owned()).collect();
    let habits = sqlx::query_as!(
        Habit,
        r#"-- health::habits::read
        select
            source as "source!", stage as "stage!: Stage", last_at as "last_at!",
            (
                select count(distinct ago / 7) from unnest(days) as day (ago)
            ) as "weeks!",
            (
                select coalesce(max(gap), 0)::bigint
                from (select ago - lag(ago) over (order by ago) as gap from unnest(days) as day (ago)) gaps
            ) as "longest_gap!",
            array(
                select value
                from public.ignored_values v
                where v.source = habit.source and v.first_at > habit.last_at and value <> ''
                    and not exists (
                        select from public.ignored_values earlier
                        where earlier.source = v.source and earlier.value = v.value
                            and earlier.first_at <= habit.last_at
                    )
                group by value
                order by sum(events) desc, value
                limit 3
            ) as "unknown_since!"
        from (
            select
                source, stage, last_at,
                array(
                    select ago::bigint
                    from generate_series(0, 34) as day (ago)
                    where exists (
                        select from public.inbox i
                        where i.source = s.source and i.conversion_type = s.stage
                            and i.received_at > last_at - make_interval(days => ago + 1)
                            and i.received_at <= last_at - make_interval(days => ago)
                    )
                ) as days
            from (
                select
                    source, stage,
                    (
                        select max(i.received_at) from public.inbox i
                        where i.source = sources.source and i.conversion_type = stages.stage and i.received_at <= $3
                    ) as last_at
                from unnest($1::text[]) as sources (source)
                cross join unnest($2::text[]) as stages (stage)
            ) s
            where last_at > $3::timestamptz - interval '60 days'
        ) habit
        order by source, stage"#,
        sources,
        &stages,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(habits)
}
