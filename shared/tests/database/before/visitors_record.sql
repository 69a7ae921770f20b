-- visitors::record
with call as materialized (
    select public.count_call($22, $23, 1, $20) as used
),
visitor as materialized (
    select coalesce((select visitor_id from public.visitors where visitor_id = $21), $1) as id
    from call
    where used <= 1
),
stated as (
    insert into public.consent_statements (visitor_id, purpose, value, source, stated_at)
    select id, said.purpose, said.value, $24, $20
    from visitor
    cross join (values ('ad_user_data', $17::text), ('ad_personalization', $18::text)) as said (purpose, value)
    where said.value <> 'unknown'
)
insert into public.visitors as v (
    visitor_id, gclid, gbraid, wbraid, gad_source, gad_campaignid, click_at,
    utm_source, utm_medium, utm_campaign, utm_term, utm_content,
    ip_hash, user_agent, landing_page, referrer,
    ad_user_data, ad_personalization, consent_recorded_at, first_seen_at, last_seen_at
)
select
    id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20
from visitor
on conflict (visitor_id) do update set
    (gclid, gbraid, wbraid, gad_source, gad_campaignid, click_at) = (
        select gclid, gbraid, wbraid, gad_source, gad_campaignid, click_at
        from (
            values
                (v.gclid, v.gbraid, v.wbraid, v.gad_source, v.gad_campaignid, v.click_at, 1),
                (
                    excluded.gclid, excluded.gbraid, excluded.wbraid, excluded.gad_source,
                    excluded.gad_campaignid,
                    case
                        when (excluded.gclid, excluded.gbraid, excluded.wbraid)
                            is distinct from (v.gclid, v.gbraid, v.wbraid) then excluded.click_at
                    end,
                    2
                )
        ) as touch (gclid, gbraid, wbraid, gad_source, gad_campaignid, click_at, n)
        order by click_at desc nulls last, n
        limit 1
    ),
    (utm_source, utm_medium, utm_campaign, utm_term, utm_content) = (
        select utm_source, utm_medium, utm_campaign, utm_term, utm_content
        from (
            values
                (v.utm_source, v.utm_medium, v.utm_campaign, v.utm_term, v.utm_content, 1),
                (
                    excluded.utm_source, excluded.utm_medium, excluded.utm_campaign, excluded.utm_term,
                    excluded.utm_content, 2
                )
        ) as touch (utm_source, utm_medium, utm_campaign, utm_term, utm_content, n)
        order by coalesce(utm_source, utm_medium, utm_campaign, utm_term, utm_content) is null, n
        limit 1
    ),
    ip_hash = coalesce(excluded.ip_hash, v.ip_hash),
    user_agent = coalesce(excluded.user_agent, v.user_agent),
    ad_user_data = coalesce(nullif(excluded.ad_user_data, 'unknown'), v.ad_user_data),
    ad_personalization = coalesce(nullif(excluded.ad_personalization, 'unknown'), v.ad_personalization),
    consent_recorded_at = coalesce(excluded.consent_recorded_at, v.consent_recorded_at),
    last_seen_at = greatest(v.last_seen_at, excluded.last_seen_at)
returning
    visitor_id, (xmax <> 0) as "returning!", gclid as "gclid: ClickId", gbraid as "gbraid: ClickId",
    wbraid as "wbraid: ClickId", gad_source, gad_campaignid, click_at,
    utm_source, utm_medium, utm_campaign, utm_term, utm_content
