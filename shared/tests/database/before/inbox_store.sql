-- inbox::receiving::store
with stored as (
    insert into public.inbox as i (
        source, crm_deal_id, conversion_type, value, currency, occurred_at, lead_id,
        email_hash, email_hash_google, other_email_hashes, phone_hash, payload_hash, received_at,
        reported_at, person_reported_at, phone_hash_digits
    )
    select
        d.source, d.crm_deal_id, d.conversion_type, d.value, d.currency, d.occurred_at, d.lead_id,
        d.email_hash, d.email_hash_google, string_to_array(d.other_email_hashes, ','), d.phone_hash,
        d.payload_hash, $15, d.reported_at, d.person_reported_at, d.phone_hash_digits
    from unnest(
        $1::text[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::timestamptz[], $7::uuid[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[],
        $19::text[]
    ) as d (
        source, crm_deal_id, conversion_type, value, currency, occurred_at, lead_id,
        email_hash, email_hash_google, other_email_hashes, phone_hash, payload_hash, reported_at,
        person_reported_at, phone_hash_digits
    )
    on conflict (crm_deal_id, conversion_type) do update set deliveries = i.deliveries + 1
    returning *
),
noted as (
    insert into public.deal_reports (inbox_id, payload_hash, received_at, stated_at, stated_as_of, noticed_at)
    select s.id, d.payload_hash, $15, d.stated_at, d.stated_as_of, d.noticed_at
    from stored s
    join unnest($2::text[], $12::text[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[])
        as d (crm_deal_id, payload_hash, stated_at, stated_as_of, noticed_at)
        on d.crm_deal_id = s.crm_deal_id
    on conflict do nothing
    returning inbox_id
)
select
    id as "id!", crm_deal_id as "crm_deal_id!", conversion_id, source as "source!",
    id in (select inbox_id from noted) as "is_new!", deliveries > 1 as "is_again!", state as "state!",
    case when value is not null then coalesce(reported_at, received_at) end as value_as_of,
    person_reported_at as person_as_of, attached_at is not null as "is_attached!"
from stored
