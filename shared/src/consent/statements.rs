//! What people said about consent, statement by statement, and what follows from all of it for a person.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Consent, ConsentSource, ConsentStatus};
use crate::db::{DbError, Tx};

/// The person of a conversion: its lead, if one is known, and the deal whose addresses the person is known by.
#[derive(Clone, Debug)]
pub struct Subject {
    pub lead_id: Option<Uuid>,
    pub crm_deal_id: String,
}

/// Decides by all statements of each of these persons: those of the lead, its browser, every lead known by the
/// addresses of the lead or the deal, and the CRM's on the deal. A purpose nobody stated anything about is unknown.
///
/// A no counts until a later yes from the same lead or browser, from a CRM or from the operator. Somebody else's yes
/// doesn't lift it: forms are anonymous.
#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
pub async fn decide(tx: &mut Tx, subjects: &[Subject]) -> Result<Vec<Consent>, DbError> {
    let leads: Vec<_> = subjects.iter().map(|subject| subject.lead_id).collect();
    let deals: Vec<_> = subjects.iter().map(|subject| subject.crm_deal_id.as_str()).collect();
    let decisions = sqlx::query_as!(
        Consent,
        r#"-- consent::statements::decide
        with subject as materialized (
            select d.position, d.lead_id, d.crm_deal_id, address.emails, address.phones, known.leads, known.visitors
            -- Sub-selects, so that the plan doesn't depend on their number: for thousands Postgres would compile it.
            from unnest((select $1::uuid[]), (select $2::text[])) with ordinality as d (lead_id, crm_deal_id, position)
            cross join lateral (
                select
                    array(
                        select email_hash from public.lead_emails where lead_id = d.lead_id
                        union
                        select address
                        from public.inbox i
                        cross join unnest(i.other_email_hashes || i.email_hash) as address
                        where i.crm_deal_id = d.crm_deal_id and address is not null
                    ) as emails,
                    array(
                        select phone_hash from public.leads where id = d.lead_id and phone_hash is not null
                        union
                        select phone_hash from public.inbox where crm_deal_id = d.crm_deal_id and phone_hash is not null
                    ) as phones
            ) as address
            cross join lateral (
                select array_agg(id) as leads, array_agg(visitor_id) filter (where visitor_id is not null) as visitors
                from public.leads
                where id = any(
                    array(
                        select d.lead_id
                        union
                        -- The beginning of its part of an index, read in the index's order: by "=" alone, Postgres may
                        -- collect all leads of the address first.
                        select e.lead_id
                        from unnest(address.emails) as hash
                        cross join lateral (
                            select lead_id, email_hash from public.lead_emails
                            where email_hash >= hash
                            order by email_hash, created_at, lead_id limit $3
                        ) e
                        where e.email_hash = hash
                        union
                        select l.id
                        from unnest(address.phones) as hash
                        cross join lateral (
                            select id, phone_hash from public.leads
                            where phone_hash >= hash
                            order by phone_hash, created_at, id limit $3
                        ) l
                        where l.phone_hash = hash
                    )
                )
            ) as known
        ),
        decision as (
            select
                s.position, p.purpose,
                case
                    when exists (
                        select
                        from (
                            select * from public.consent_statements
                            where lead_id = any(s.leads) and purpose = p.purpose and value = 'denied'
                            union all
                            select * from public.consent_statements
                            where visitor_id = any(s.visitors) and purpose = p.purpose and value = 'denied'
                            union all
                            select * from public.consent_statements
                            where email_hash = any(s.emails) and purpose = p.purpose and value = 'denied'
                            union all
                            select * from public.consent_statements
                            where phone_hash = any(s.phones) and purpose = p.purpose and value = 'denied'
                            union all
                            select * from public.consent_statements
                            where crm_deal_id = s.crm_deal_id and purpose = p.purpose and value = 'denied'
                        ) as no
                        where not exists (
                            select from public.consent_statements yes
                            where yes.lead_id = no.lead_id and yes.purpose = p.purpose and yes.value = 'granted'
                                and (yes.stated_at, yes.id) > (no.stated_at, no.id)
                        )
                        and not exists (
                            select from public.consent_statements yes
                            where yes.visitor_id = no.visitor_id and yes.purpose = p.purpose and yes.value = 'granted'
                                and (yes.stated_at, yes.id) > (no.stated_at, no.id)
                        )
                        and not exists (
                            select
                            from (
                                select * from public.consent_statements where lead_id = any(s.leads)
                                union all
                                select * from public.consent_statements where email_hash = any(s.emails)
                                union all
                                select * from public.consent_statements where phone_hash = any(s.phones)
                                union all
                                select * from public.consent_statements where crm_deal_id = s.crm_deal_id
                            ) as yes
                            where yes.purpose = p.purpose and yes.value = 'granted'
                                and yes.source in ('crm', 'operator')
                                and (yes.stated_at, yes.id) > (no.stated_at, no.id)
                        )
                    ) then 'denied'
                    when exists (
                        select from public.consent_statements
                        where lead_id = any(s.leads) and purpose = p.purpose and value = 'granted'
                    ) or exists (
                        select from public.consent_statements
                        where visitor_id = any(s.visitors) and purpose = p.purpose and value = 'granted'
                    ) or exists (
                        select from public.consent_statements
                        where email_hash = any(s.emails) and purpose = p.purpose and value = 'granted'
                    ) or exists (
                        select from public.consent_statements
                        where phone_hash = any(s.phones) and purpose = p.purpose and value = 'granted'
                    ) or exists (
                        select from public.consent_statements
                        where crm_deal_id = s.crm_deal_id and purpose = p.purpose and value = 'granted'
                    ) then 'granted'
                    else 'unknown'
                end as status
            from subject s
            cross join (values ('ad_user_data'), ('ad_personalization')) as p (purpose)
        )
        select
            max(status) filter (where purpose = 'ad_user_data') as "ad_user_data!: ConsentStatus",
            max(status) filter (where purpose = 'ad_personalization') as "ad_personalization!: ConsentStatus"
        from decision
        group by position
        order by position"#,
        &leads as &[Option<Uuid>],
        &deals as &[&str],
        LEADS_OF_AN_ADDRESS,
    )
    .fetch_all(tx)
    .await?;
    Ok(decisions)
}

/// How many leads of an address, the oldest, are looked at for what they are known by besides it. What was said under
/// the address itself counts without a limit.
const LEADS_OF_AN_ADDRESS: i64 = 100;

/// A statement, and who made it: a lead, a browser or the CRM of a deal.
#[derive(Debug, Serialize)]
pub struct Statement {
    pub stated_at: DateTime<Utc>,
    pub purpose: String,
    pub value: ConsentStatus,
    pub source: ConsentSource,
    pub lead_id: Option<Uuid>,
    pub visitor_id: Option<String>,
    pub crm_deal_id: Option<String>,
}

/// The newest statements that [`decide`] looks at, newest first.
pub async fn list(tx: &mut Tx, subject: &Subject) -> Result<Vec<Statement>, DbError> {
    let statements = sqlx::query_as!(
        Statement,
        r#"-- consent::statements::list
        with email as (
            select email_hash from public.lead_emails where lead_id = $1
            union
            select address
            from public.inbox i
            cross join unnest(i.other_email_hashes || i.email_hash) as address
            where i.crm_deal_id = $2
        ),
        phone as (
            select phone_hash from public.leads where id = $1
            union
            select phone_hash from public.inbox where crm_deal_id = $2
        ),
        lead as (
            select id, visitor_id from public.leads where id = $1
            union
            (
                select l.id, l.visitor_id
                from email
                join public.lead_emails e using (email_hash)
                join public.leads l on l.id = e.lead_id
                limit $3
            )
            union
            (select l.id, l.visitor_id from phone join public.leads l using (phone_hash) limit $3)
        )
        select
            stated_at, purpose, value as "value: ConsentStatus", source as "source: ConsentSource", lead_id,
            visitor_id, crm_deal_id
        from public.consent_statements
        where crm_deal_id = $2
            or lead_id in (select id from lead) or visitor_id in (select visitor_id from lead)
            or email_hash in (select email_hash from email) or phone_hash in (select phone_hash from phone)
        order by stated_at desc, id desc
        limit $3"#,
        subject.lead_id,
        subject.crm_deal_id,
        LEADS_OF_AN_ADDRESS,
    )
    .fetch_all(tx)
    .await?;
    Ok(statements)
}
