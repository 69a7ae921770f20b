//! Withholds claimed rows whose person denies consent. Decided when a row is claimed: what was said after the
//! conversion was recorded counts, too.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Policy;
use crate::consent::Consent;
use crate::consent::statements::{self, Subject};
use crate::conversions::consent::{Change, possibly_received, write};
use crate::db::{DbError, Tx};

/// A claimed row and the person it is about.
pub(super) struct Claimed {
    pub queue_id: Uuid,
    pub conversion_id: Uuid,
    pub subject: Subject,
    /// As the conversion has it.
    pub consent: Consent,
}

/// The consent of each of these rows by all statements of its person. Rows that may not be sent lose the lease, and
/// their conversions say why.
pub(super) async fn decide(
    tx: &mut Tx,
    policy: &Policy,
    token: Uuid,
    claimed: &[Claimed],
    now: DateTime<Utc>,
) -> Result<Vec<Option<Consent>>, DbError> {
    let subjects: Vec<_> = claimed.iter().map(|it| it.subject.clone()).collect();
    let decided = statements::decide(tx, &subjects).await?;
    let consents: Vec<_> = claimed.iter().zip(decided).map(|(it, decided)| decided.or(it.consent)).collect();
    let withheld: Vec<_> = claimed
        .iter()
        .zip(&consents)
        .filter(|(_, consent)| !consent.ad_user_data.may_be_sent(policy.unknown_consent))
        .collect();
    if !withheld.is_empty() {
        release(tx, token, &withheld.iter().map(|(it, _)| it.queue_id).collect::<Vec<_>>()).await?;
        let ids: Vec<_> = withheld.iter().map(|(it, _)| it.conversion_id).collect();
        let received = possibly_received(tx, &ids).await?;
        let changes: Vec<_> =
            withheld.iter().map(|(it, consent)| Change::of(it.conversion_id, **consent, None, &received)).collect();
        write(tx, &changes, now).await?;
    }
    let sendable = |consent: Consent| consent.ad_user_data.may_be_sent(policy.unknown_consent).then_some(consent);
    Ok(consents.into_iter().map(sendable).collect())
}

/// Ends the lease of these rows as if they had not been claimed.
async fn release(tx: &mut Tx, token: Uuid, queue_ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::consent::release
        update public.conversion_queue
        set locked_until = null, lock_token = null, claims = claims - 1
        where id = any($1) and lock_token = $2",
        queue_ids,
        token,
    )
    .execute(tx)
    .await?;
    Ok(())
}
