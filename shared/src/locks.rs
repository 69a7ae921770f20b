//! Advisory locks on persons and deals. Reports that belong together and arrive at the same moment take the same locks,
//! so that the second of them sees the first.

use sha2::{Digest, Sha256};
use sqlx::Executor;

use crate::db::{DbError, Tx};
use crate::identity::Hash;

/// Locks on persons and deals, named by hash. They are held until the transaction ends.
#[derive(Debug, Default)]
pub struct Locks {
    /// Sorted, so that two transactions can't deadlock.
    keys: Vec<i64>,
}

impl Locks {
    /// On the person of these hashes: a lead and its deal.
    #[must_use]
    pub fn of_person<'a>(hashes: impl IntoIterator<Item = &'a Hash>) -> Self {
        Self::of(hashes.into_iter().map(Hash::as_str))
    }

    /// On a deal: all its stages and its loss.
    #[must_use]
    pub fn of_deal(crm_deal_id: &str) -> Self {
        Self::of([format!("deal:{crm_deal_id}").as_str()])
    }

    /// On both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self.keys.sort_unstable();
        self.keys.dedup();
        self
    }

    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let key = |name| Sha256::digest(name).iter().take(8).fold(0_i64, |key, byte| key << 8 | i64::from(*byte));
        let mut keys: Vec<_> = names.into_iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        Self { keys }
    }
}

/// Takes these locks. It must come before anything is read: a statement sees what was there when it began, so one that
/// waits for a lock itself doesn't see what the other transaction wrote meanwhile.
pub async fn take(tx: &mut Tx, locks: &Locks) -> Result<(), DbError> {
    if locks.keys.is_empty() {
        return Ok(());
    }
    tx.execute(format!("-- locks::take\n{}", taking(locks)).as_str()).await?;
    Ok(())
}

/// The same, so that [`give_back`] gives them back before the transaction ends. Nothing may be written in between.
pub async fn take_revocably(tx: &mut Tx, locks: &Locks) -> Result<(), DbError> {
    tx.execute(format!("-- locks::take_revocably\nsavepoint locks; {}", taking(locks)).as_str()).await?;
    Ok(())
}

/// Gives back what [`take_revocably`] took.
pub async fn give_back(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute("-- locks::give_back\nrollback to savepoint locks").await?;
    Ok(())
}

/// Without parameters it is one round trip; the keys are numbers.
fn taking(locks: &Locks) -> String {
    let keys = locks.keys.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    format!("select pg_advisory_xact_lock(key) from unnest('{{{keys}}}'::bigint[]) as key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reports_take_their_common_locks_in_the_same_order() {
        let (deal, person) = (Locks::of_deal("D-1"), [Hash::of("jane@example.com"), Hash::of("+493023125123")]);
        let one = Locks::of_deal("D-1").and(Locks::of_person(&person));
        let other = Locks::of_person(person.iter().rev()).and(deal);
        assert_eq!(one.keys, other.keys);
        assert_eq!(one.keys.len(), 3);
        assert!(one.keys.is_sorted());
    }

    #[test]
    fn a_name_has_the_same_key_in_every_deployment() {
        assert_eq!(Locks::of_deal("D-1").keys, [i64::from_be_bytes(DEAL_D_1)]);
    }

    /// The first eight bytes of `printf deal:D-1 | sha256sum`.
    const DEAL_D_1: [u8; 8] = 0xfd0e_b3c7_8895_9f1e_u64.to_be_bytes();
}
