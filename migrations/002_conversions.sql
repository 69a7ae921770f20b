-- A conversion is a deal that reached a stage worth telling the ad platforms about, matched to its lead.
-- Attribution is copied from the lead, so that what was decided stays decided.

-- The reference to leads locks the site's table.
set local lock_timeout = '5s';

create table public.conversions (
  id uuid primary key default gen_random_uuid(),
  lead_id uuid not null constraint conversions_lead_id_fkey references public.leads (id) on delete cascade,
  conversion_type text not null,
  value numeric(18, 6),
  currency text,
  -- '{crm_deal_id}:{conversion_type}': the same deal at the same stage counts once.
  idempotency_key text not null constraint conversions_idempotency_key_key unique,
  gclid text,
  email_hash text,
  utm_source text,
  utm_medium text,
  utm_campaign text,
  utm_term text,
  utm_content text,
  created_at timestamptz not null default now(),
  constraint conversions_type_is_known check (conversion_type in ('qualified', 'closed')),
  constraint conversions_value_is_not_negative check (value >= 0),
  constraint conversions_value_has_a_currency check (value is null or currency is not null),
  constraint conversions_currency_is_iso_4217 check (currency ~ '^[A-Z]{3}$'),
  constraint conversions_key_names_its_type check (idempotency_key like '%_:' || conversion_type),
  constraint conversions_gclid_is_a_click_id check (gclid ~ '^[A-Za-z0-9_-]+$' and length(gclid) <= 512),
  constraint conversions_email_hash_is_a_hash check (email_hash ~ '^[0-9a-f]{64}$')
);

create index conversions_lead_id_idx on public.conversions (lead_id);

alter table public.conversions enable row level security;
revoke all on table public.conversions from public, anon, authenticated;
