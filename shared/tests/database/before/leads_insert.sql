-- leads::insert
with call as materialized (
    select public.count_call($29, $30, $31, $26) as used
)
insert into public.leads as l (
    transaction_id, payload_hash, email, email_hash, email_hash_google, phone, phone_hash, name, message,
    consent_marketing, consent_data_processing, consent_recorded_at,
    ad_user_data, ad_personalization, consent_source,
    visitor_id, gclid, gbraid, wbraid, click_at,
    utm_source, utm_medium, utm_campaign, utm_term, utm_content, session_attributes, created_at, is_suspicious
)
select
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12, v.consent_recorded_at),
    -- The visit's answer only where the form has none: a row has one source.
    case when $15::text is null then coalesce(v.ad_user_data, 'unknown') else $13 end,
    case when $15::text is null then coalesce(v.ad_personalization, 'unknown') else $14 end,
    case
        when $15::text is not null then $15::text
        when v.ad_user_data <> 'unknown' or v.ad_personalization <> 'unknown' then 'visit'
    end,
    v.visitor_id,
    -- All ids of one click: the visitor's, unless the cookie has seen a newer one.
    case when own then v.gclid else $16 end,
    case when own then v.gbraid else $17 end,
    case when own then v.wbraid else $18 end,
    case when own then v.click_at else $19 end,
    case when utm then v.utm_source else $20 end,
    case when utm then v.utm_medium else $21 end,
    case when utm then v.utm_campaign else $22 end,
    case when utm then v.utm_term else $23 end,
    case when utm then v.utm_content else $24 end,
    $25, $26, call.used > 1
from call
left join public.visitors v on v.visitor_id = $27
cross join lateral (
    select
        coalesce(v.click_at >= $28, v.click_at is not null) as own,
        coalesce(v.utm_source, v.utm_medium, v.utm_campaign, v.utm_term, v.utm_content) is not null as utm
) as known
where call.used <= $31
on conflict (transaction_id) do update set transaction_id = excluded.transaction_id
returning
    id, payload_hash, (xmax = 0) as "new!",
    exists (
        select from public.visitors v where v.visitor_id = $27 and v.visitor_id is distinct from l.visitor_id
    ) as "is_apart!"
