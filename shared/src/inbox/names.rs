//! The names of deals: the ids of deals that were merged into another are names of that one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::locks::{self, Locks};

/// Which deals some names belong to.
#[derive(Debug, Default)]
pub struct Names {
    merged: BTreeMap<String, String>,
}

impl Names {
    /// The deal of this name: what it was merged into, else the deal of this id.
    #[must_use]
    pub fn deal_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.merged.get(name).map_or(name, String::as_str)
    }

    /// Was the deal of this id merged into another?
    #[must_use]
    pub fn is_merged(&self, name: &str) -> bool {
        self.merged.contains_key(name)
    }
}

/// Takes these locks and those on the deals of these names, all in one order, and returns whose they are. Another
/// transaction may merge deals while this one waits. Then the locks are given back and taken again with those of the
/// deals that the names belong to now: adding them later could deadlock.
pub async fn lock<'a>(
    tx: &mut Tx,
    names: impl IntoIterator<Item = &'a str>,
    mut needed: Locks,
) -> Result<Names, DbError> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    if names.is_empty() {
        locks::take(tx, &needed).await?;
        return Ok(Names::default());
    }
    let mut locked: BTreeSet<String> = BTreeSet::new();
    loop {
        let added = names.iter().copied().filter(|name| !locked.contains(*name)).map(String::from).collect::<Vec<_>>();
        locked.extend(added);
        needed = locked.iter().map(|name| Locks::of_deal(name)).fold(needed, Locks::and);
        locks::take_revocably(tx, &needed).await?;
        let found = read(tx, &names.iter().copied().collect::<Vec<_>>()).await?;
        let of_others: Vec<_> = found.merged.values().filter(|deal| !locked.contains(*deal)).cloned().collect();
        if of_others.is_empty() {
            return Ok(found);
        }
        locks::give_back(tx).await?;
        locked.extend(of_others);
    }
}

/// Whose these names are. The caller holds the locks of [`lock`], or only looks.
pub async fn read(tx: &mut Tx, names: &[&str]) -> Result<Names, DbError> {
    if names.is_empty() {
        return Ok(Names::default());
    }
    let merged = sqlx::query!(
        "-- inbox::names::read
        select name, crm_deal_id from public.deal_names where name = any($1)",
        names as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(Names { merged: merged.into_iter().map(|it| (it.name, it.crm_deal_id)).collect() })
}

/// All names that a deal had before, the oldest first.
pub async fn former(tx: &mut Tx, crm_deal_id: &str) -> Result<Vec<String>, DbError> {
    let names = sqlx::query_scalar!(
        "-- inbox::names::former
        select name from public.deal_names where crm_deal_id = $1 order by merged_at, name",
        crm_deal_id,
    )
    .fetch_all(tx)
    .await?;
    Ok(names)
}

/// Makes `from`, with all its names, names of `into`.
pub(super) async fn give(
    tx: &mut Tx,
    into: &str,
    from: &str,
    merged_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::names::give
        with inherited as (
            update public.deal_names set crm_deal_id = $1 where crm_deal_id = $2
        )
        insert into public.deal_names (name, crm_deal_id, merged_at, created_at) values ($2, $1, $3, $4)",
        into,
        from,
        merged_at,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
