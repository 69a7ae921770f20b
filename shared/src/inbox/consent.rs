//! What CRMs state about the consent of a deal's person.

use chrono::{DateTime, Utc};

use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::deals::Deal;
use crate::identity::{Email, Hash};

/// Keeps what these reports state, each with its arrival, as of the time the CRM changed the deal. A CRM repeats its
/// field with every report: it is a statement when it differs from the last one on the deal.
pub async fn state(tx: &mut Tx, reports: &[(&Deal, DateTime<Utc>)]) -> Result<(), DbError> {
    let (deals, arrived_at): (Vec<_>, Vec<_>) =
        reports.iter().copied().filter(|(deal, _)| deal.consent.is_known()).unzip();
    if deals.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = deals.iter().map(|it| it.crm_deal_id.as_str()).collect();
    let emails: Vec<_> = deals.iter().map(|it| it.email.as_ref().map(Email::hash)).collect();
    let emails: Vec<_> = emails.iter().map(|hash| hash.as_ref().map(Hash::as_str)).collect();
    let phones: Vec<_> =
        deals.iter().map(|it| it.phone.as_ref().and_then(|phone| phone.hash().ok()).map(Hash::as_str)).collect();
    let ad_user_data: Vec<_> = deals.iter().map(|it| it.consent.ad_user_data).collect();
    let ad_personalization: Vec<_> = deals.iter().map(|it| it.consent.ad_personalization).collect();
    let as_of = |(deal, arrived_at): (&&Deal, &DateTime<Utc>)| deal.updated_at.unwrap_or(*arrived_at).min(*arrived_at);
    let times: Vec<_> = deals.iter().zip(&arrived_at).map(as_of).collect();
    sqlx::query!(
        "-- inbox::consent::state
        insert into public.consent_statements (
            crm_deal_id, email_hash, phone_hash, purpose, value, source, stated_at
        )
        select d.crm_deal_id, d.email_hash, d.phone_hash, said.purpose, said.value, 'crm', d.stated_at
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
            as d (crm_deal_id, email_hash, phone_hash, ad_user_data, ad_personalization, stated_at)
        cross join lateral (
            values ('ad_user_data', d.ad_user_data), ('ad_personalization', d.ad_personalization)
        ) as said (purpose, value)
        where said.value <> 'unknown'
            and said.value is distinct from (
                select last.value
                from public.consent_statements last
                where last.crm_deal_id = d.crm_deal_id and last.purpose = said.purpose
                order by last.stated_at desc, last.id desc
                limit 1
            )",
        &ids as &[&str],
        &emails as &[Option<&str>],
        &phones as &[Option<&str>],
        &ad_user_data as &[ConsentStatus],
        &ad_personalization as &[ConsentStatus],
        &times,
    )
    .execute(tx)
    .await?;
    Ok(())
}
