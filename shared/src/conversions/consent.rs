//! Brings conversions in line with what their people said about consent since they were recorded.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::corrections;
use super::decision::Eligibility;
use super::recording::enqueue;
use super::stored::{self, Stored};
use crate::clock::Clock;
use crate::consent::statements::{self, Subject};
use crate::consent::{Consent, ConsentStatus, WithdrawnConsent};
use crate::db::{Db, DbError, Tx};
use crate::platforms::{Destinations, SkipReason};

/// Statements per transaction.
const PAGE: i64 = 500;

/// Applies the statements that were made since the last run, page by page until `end`. A claim decides for itself
/// whether a conversion may be sent; this frees what was held or skipped, and notes what was withdrawn.
pub async fn apply_statements(
    db: &Db,
    clock: &Clock,
    destinations: &Destinations,
    withdrawn: WithdrawnConsent,
    end: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut after = 0;
    while clock.now() < end {
        let page = db.tx(async |tx| -> Result<_, DbError> {
            let statements = unapplied(tx, after).await?;
            if !statements.is_empty() {
                let conversions = affected(tx, &statements).await?;
                renew(tx, destinations, withdrawn, &conversions, clock.now()).await?;
                mark_applied(tx, &statements).await?;
            }
            Ok(statements)
        });
        let Some(last) = page.await?.last().copied() else { break };
        after = last;
    }
    Ok(())
}

async fn unapplied(tx: &mut Tx, after: i64) -> Result<Vec<i64>, DbError> {
    let statements = sqlx::query_scalar!(
        "-- conversions::consent::unapplied
        select id from public.consent_statements where applied_at is null and id > $1 order by id limit $2",
        after,
        PAGE,
    )
    .fetch_all(tx)
    .await?;
    Ok(statements)
}

/// The conversions of the people who made these statements.
async fn affected(tx: &mut Tx, statements: &[i64]) -> Result<Vec<Uuid>, DbError> {
    let conversions = sqlx::query_scalar!(
        r#"-- conversions::consent::affected
        with stated as (
            select lead_id, visitor_id, crm_deal_id, email_hash, phone_hash
            from public.consent_statements
            where id = any($1)
        ),
        speaker as (
            select lead_id from stated where lead_id is not null
            union
            select l.id from stated s join public.leads l on l.visitor_id = s.visitor_id
        ),
        email as (
            select email_hash from stated where email_hash is not null
            union
            select e.email_hash from speaker s join public.lead_emails e on e.lead_id = s.lead_id
            union
            select address
            from stated s
            join public.inbox i on i.crm_deal_id = s.crm_deal_id
            cross join unnest(i.other_email_hashes || i.email_hash) as address
            where address is not null
        ),
        phone as (
            select phone_hash from stated where phone_hash is not null
            union
            select l.phone_hash from speaker s join public.leads l on l.id = s.lead_id where l.phone_hash is not null
            union
            select i.phone_hash
            from stated s
            join public.inbox i on i.crm_deal_id = s.crm_deal_id
            where i.phone_hash is not null
        ),
        person as (
            select lead_id from speaker
            union
            select e.lead_id from email join public.lead_emails e using (email_hash)
            union
            select l.id from phone join public.leads l using (phone_hash)
        )
        select c.id as "id!" from person join public.conversions c using (lead_id)
        union
        select c.id from stated s join public.conversions c on c.crm_deal_id = s.crm_deal_id
        union
        select i.conversion_id from email join public.inbox i using (email_hash) where i.state = 'matched'
        union
        select i.conversion_id
        from email
        join public.inbox i on i.other_email_hashes @> array[email.email_hash]
        where i.state = 'matched'
        union
        select i.conversion_id from phone join public.inbox i using (phone_hash) where i.state = 'matched'"#,
        statements,
    )
    .fetch_all(tx)
    .await?;
    Ok(conversions)
}

/// Those of the last minute stay: a conversion that is being recorded may not have seen them yet.
async fn mark_applied(tx: &mut Tx, statements: &[i64]) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::consent::mark_applied
        update public.consent_statements set applied_at = now()
        where id = any($1) and applied_at is null and recorded_at < now() - interval '1 minute'",
        statements,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn renew(
    tx: &mut Tx,
    destinations: &Destinations,
    withdrawn: WithdrawnConsent,
    conversions: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let stored = stored::lock(tx, conversions).await?;
    let received = possibly_received(tx, &stored.iter().map(|it| it.id).collect::<Vec<_>>()).await?;
    let subjects: Vec<_> =
        stored.iter().map(|it| Subject { lead_id: it.lead_id, crm_deal_id: it.crm_deal_id.clone() }).collect();
    let decided = statements::decide(tx, &subjects).await?;
    let changes = changes(destinations, &stored, &received, &decided);
    write(tx, &changes.iter().map(|(change, _)| *change).collect::<Vec<_>>(), now).await?;
    let freed: Vec<_> = changes
        .iter()
        .filter_map(|(change, eligibility)| Some((change.conversion_id, eligibility.as_ref()?)))
        .collect();
    enqueue(tx, &freed, now).await?;
    let of = |is_meant: fn(&Change) -> bool| -> Vec<_> {
        changes.iter().map(|(change, _)| change).filter(|it| is_meant(it)).map(|it| it.conversion_id).collect()
    };
    let allowed = of(Change::is_allowed);
    corrections::drop_unsent_retractions(tx, &allowed).await?;
    corrections::send_withdrawn_again(tx, &allowed, now).await?;
    if withdrawn == WithdrawnConsent::Retract {
        corrections::retract_withdrawn(tx, destinations, &of(|change| change.is_withdrawn), now).await?;
    }
    Ok(())
}

/// What changes, and for what was skipped for want of consent and no longer is, who gets it now.
fn changes(
    destinations: &Destinations,
    stored: &[Stored],
    received: &BTreeSet<Uuid>,
    decided: &[Consent],
) -> Vec<(Change, Option<Eligibility>)> {
    let mut changes = Vec::new();
    for (it, decided) in stored.iter().zip(decided) {
        let consent = decided.or(it.consent());
        let is_freed =
            it.skip_reason == Some(SkipReason::ConsentDenied) && consent.ad_user_data != ConsentStatus::Denied;
        let freed =
            is_freed.then(|| Eligibility::of(destinations, &it.candidate(), consent.ad_user_data, it.is_of_bot));
        let skip_reason = freed.as_ref().map_or(it.skip_reason, |eligibility| eligibility.skip_reason);
        let change = Change::of(it.id, consent, skip_reason, received);
        if consent == it.consent() && (!change.is_withdrawn || it.is_withdrawn) {
            continue;
        }
        changes.push((change, freed));
    }
    changes
}

/// Which of these conversions a platform may have received. The caller has locked them.
pub async fn possibly_received(tx: &mut Tx, conversions: &[Uuid]) -> Result<BTreeSet<Uuid>, DbError> {
    Ok(corrections::possibly_received(tx, conversions).await?.iter().map(|it| it.conversion_id).collect())
}

/// A conversion's new consent.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub conversion_id: Uuid,
    pub consent: Consent,
    pub skip_reason: Option<SkipReason>,
    /// Was it denied after a platform may have received it?
    pub is_withdrawn: bool,
}

impl Change {
    /// What follows from the consent. `received` has the conversions that a platform may have received: denied, they
    /// are withdrawn; the others are skipped, unless they have another reason.
    #[must_use]
    pub fn of(
        conversion_id: Uuid,
        consent: Consent,
        skip_reason: Option<SkipReason>,
        received: &BTreeSet<Uuid>,
    ) -> Self {
        let is_denied = consent.ad_user_data == ConsentStatus::Denied;
        let is_withdrawn = is_denied && received.contains(&conversion_id);
        let skip_reason = skip_reason.or((is_denied && !is_withdrawn).then_some(SkipReason::ConsentDenied));
        Self { conversion_id, consent, skip_reason, is_withdrawn }
    }

    fn is_allowed(&self) -> bool {
        self.consent.ad_user_data == ConsentStatus::Granted
    }
}

/// Stores what a conversion's person says now. The caller has locked the conversions.
pub async fn write(tx: &mut Tx, changes: &[Change], now: DateTime<Utc>) -> Result<(), DbError> {
    if changes.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = changes.iter().map(|it| it.conversion_id).collect();
    let ad_user_data: Vec<_> = changes.iter().map(|it| it.consent.ad_user_data).collect();
    let ad_personalization: Vec<_> = changes.iter().map(|it| it.consent.ad_personalization).collect();
    let skip_reasons: Vec<_> = changes.iter().map(|it| it.skip_reason).collect();
    let withdrawn: Vec<_> = changes.iter().map(|it| it.is_withdrawn).collect();
    sqlx::query!(
        "-- conversions::consent::write
        update public.conversions c
        set ad_user_data = d.ad_user_data, ad_personalization = d.ad_personalization, skip_reason = d.skip_reason,
            consent_withdrawn_at = case when d.is_withdrawn then coalesce(c.consent_withdrawn_at, $6) else
                c.consent_withdrawn_at end
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[])
            as d (id, ad_user_data, ad_personalization, skip_reason, is_withdrawn)
        where c.id = d.id",
        &ids,
        &ad_user_data as &[ConsentStatus],
        &ad_personalization as &[ConsentStatus],
        &skip_reasons as &[Option<SkipReason>],
        &withdrawn,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
