-- conversions::insert_conversions
insert into public.conversions as c (
    lead_id, conversion_type, value, currency, idempotency_key, crm_deal_id, occurred_at, transaction_id,
    gclid, gbraid, wbraid, click_at, session_attributes, email_hash, email_hash_google, phone_hash,
    utm_source, utm_medium, utm_campaign, utm_term, utm_content,
    ad_user_data, ad_personalization, matched_by, skip_reason, retracted_at, created_at
)
select
    l.id, i.conversion_type, i.value, i.currency, d.idempotency_key, i.crm_deal_id, i.occurred_at,
    d.transaction_id,
    -- The site may have had columns of its own by these names, with whatever in them.
    case when l.gclid ~ $8 and length(l.gclid) <= $9 then l.gclid end,
    case when l.gbraid ~ $8 and length(l.gbraid) <= $9 then l.gbraid end,
    case when l.wbraid ~ $8 and length(l.wbraid) <= $9 then l.wbraid end,
    l.click_at,
    case
        when l.session_attributes ~ $10 and length(l.session_attributes) <= $11 then l.session_attributes
    end,
    -- The address of the form is the one the click belongs to.
    coalesce(l.email_hash, i.email_hash), coalesce(l.email_hash_google, i.email_hash_google),
    coalesce(l.phone_hash, i.phone_hash),
    l.utm_source, l.utm_medium, l.utm_campaign, l.utm_term, l.utm_content,
    d.ad_user_data, d.ad_personalization, d.matched_by,
    case when lost.lost_at is null then d.skip_reason else 'deal_lost' end, lost.lost_at, $7
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $12::text[], $13::text[])
    as d (
        inbox_id, lead_id, matched_by, idempotency_key, transaction_id, skip_reason, ad_user_data,
        ad_personalization
    )
join public.inbox i on i.id = d.inbox_id
join public.leads l on l.id = d.lead_id
left join public.lost_deals lost
    on lost.crm_deal_id = i.crm_deal_id and lost.lost_at >= i.occurred_at and i.conversion_type = 'closed'
on conflict (idempotency_key) do update set skip_reason = coalesce(c.skip_reason, excluded.skip_reason)
returning
    id as conversion_id, idempotency_key, skip_reason is not distinct from 'deal_lost' as "is_undone!"
