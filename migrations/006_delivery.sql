-- What Adtrail adds to the schema above: every click id with its time, consent in three values, both e-mail hashes,
-- a deal inbox, and a queue that can be interrupted anywhere.

set local lock_timeout = '5s';

-- Visitors ------------------------------------------------------------------------------------------------------

alter table public.visitors
  add column gbraid text,
  add column wbraid text,
  add column gad_source text,
  add column gad_campaignid text,
  -- When the newest click id was seen. The click ids of a visitor are always of one click.
  add column click_at timestamptz,
  add column ad_user_data text not null default 'unknown',
  add column ad_personalization text not null default 'unknown',
  add column consent_recorded_at timestamptz;

-- Rows from before this migration: the latest the click can have been. Too late costs a refused upload, too early
-- would give up a click that still counts.
update public.visitors set click_at = last_seen_at where gclid is not null;

alter table public.visitors
  add constraint visitors_gbraid_is_a_click_id check (gbraid ~ '^[A-Za-z0-9_-]+$' and length(gbraid) <= 512),
  add constraint visitors_wbraid_is_a_click_id check (wbraid ~ '^[A-Za-z0-9_-]+$' and length(wbraid) <= 512),
  add constraint visitors_click_has_a_time check (coalesce(gclid, gbraid, wbraid) is null or click_at is not null),
  add constraint visitors_consent_is_three_valued check (
    ad_user_data in ('granted', 'denied', 'unknown') and ad_personalization in ('granted', 'denied', 'unknown')
  );

create index visitors_last_seen_at_idx on public.visitors (last_seen_at);

-- Leads ---------------------------------------------------------------------------------------------------------

alter table public.leads
  add column if not exists name text,
  add column if not exists email text,
  add column if not exists phone text,
  add column if not exists message text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists gclid text,
  add column if not exists gbraid text,
  add column if not exists wbraid text,
  add column if not exists click_at timestamptz,
  -- Google's own normalisation (Gmail dots and +tags) gives another hash, and a hash can't be normalised again.
  add column if not exists email_hash_google text,
  add column if not exists phone_hash text,
  add column if not exists ad_user_data text not null default 'unknown',
  add column if not exists ad_personalization text not null default 'unknown',
  -- Who said so: the form, the visit's consent banner, or the browser's Global Privacy Control.
  add column if not exists consent_source text,
  -- The idempotency key of POST /api/leads, shared with the browser's tag.
  add column if not exists transaction_id text,
  add column if not exists payload_hash text;

-- Until now a lead's click was its visitor's.
update public.leads l
set gclid = v.gclid, click_at = least(v.click_at, l.created_at)
from public.visitors v
where v.visitor_id = l.visitor_id and v.gclid is not null and l.gclid is null;

-- No check on the click ids: a site with a gclid column of its own may well write '' there, and the lead must go in.
alter table public.leads
  add constraint leads_transaction_id_key unique (transaction_id),
  add constraint leads_google_email_hash_is_a_hash check (email_hash_google ~ '^[0-9a-f]{64}$'),
  add constraint leads_phone_hash_is_a_hash check (phone_hash ~ '^[0-9a-f]{64}$'),
  add constraint leads_consent_is_three_valued check (
    ad_user_data in ('granted', 'denied', 'unknown') and ad_personalization in ('granted', 'denied', 'unknown')
  ),
  add constraint leads_consent_source_is_known check (consent_source in ('form', 'visit', 'gpc'));

-- Leads from before Adtrail: hash their addresses, so that their deals find them. Gmail takes no notice of dots and
-- +tags, and Google hashes accordingly.
with address as (
  select id, lower(regexp_replace(email, '\s', '', 'g')) as plain
  from public.leads
  where (email_hash is null or email_hash_google is null) and email ~ '^[^@]+@[^@]+$'
),
hashed as (
  select
    id,
    plain,
    case
      when split_part(plain, '@', 2) in ('gmail.com', 'googlemail.com')
        then replace(split_part(split_part(plain, '@', 1), '+', 1), '.', '') || '@' || split_part(plain, '@', 2)
      else plain
    end as google
  from address
)
update public.leads l
set email_hash = coalesce(l.email_hash, encode(sha256(convert_to(h.plain, 'UTF8')), 'hex')),
    email_hash_google = coalesce(l.email_hash_google, encode(sha256(convert_to(h.google, 'UTF8')), 'hex'))
from hashed h
where l.id = h.id;

create index if not exists leads_phone_hash_idx on public.leads (phone_hash) where phone_hash is not null;
create index if not exists leads_created_at_idx on public.leads (created_at);
create index tracking_events_created_at_idx on public.tracking_events (created_at);

-- Conversions ---------------------------------------------------------------------------------------------------

alter table public.conversions
  add column crm_deal_id text,
  add column occurred_at timestamptz,
  -- What the platforms recognise this conversion by. Stable, with a letter, without personal data.
  add column transaction_id text,
  add column gbraid text,
  add column wbraid text,
  add column click_at timestamptz,
  add column email_hash_google text,
  add column phone_hash text,
  add column ad_user_data text not null default 'unknown',
  add column ad_personalization text not null default 'unknown',
  -- The rule that found the lead.
  add column matched_by text,
  -- Why no platform hears of it; null when one does.
  add column skip_reason text;

-- Rows from before this migration: the deal id is the key without its type.
update public.conversions
set crm_deal_id = left(idempotency_key, -(length(conversion_type) + 1)),
    occurred_at = created_at,
    transaction_id = 'adtrail-' || left(encode(sha256(convert_to(idempotency_key, 'UTF8')), 'hex'), 32)
where transaction_id is null;

alter table public.conversions
  alter column crm_deal_id set not null,
  alter column occurred_at set not null,
  alter column transaction_id set not null,
  add constraint conversions_transaction_id_key unique (transaction_id),
  add constraint conversions_transaction_id_has_a_letter check (transaction_id ~ '[A-Za-z]'),
  add constraint conversions_key_is_deal_and_type check (idempotency_key = crm_deal_id || ':' || conversion_type),
  add constraint conversions_matched_by_is_known check (matched_by in ('lead_id', 'email', 'phone')),
  add constraint conversions_gbraid_is_a_click_id check (gbraid ~ '^[A-Za-z0-9_-]+$' and length(gbraid) <= 512),
  add constraint conversions_wbraid_is_a_click_id check (wbraid ~ '^[A-Za-z0-9_-]+$' and length(wbraid) <= 512),
  add constraint conversions_google_email_hash_is_a_hash check (email_hash_google ~ '^[0-9a-f]{64}$'),
  add constraint conversions_phone_hash_is_a_hash check (phone_hash ~ '^[0-9a-f]{64}$'),
  add constraint conversions_consent_is_three_valued check (
    ad_user_data in ('granted', 'denied', 'unknown') and ad_personalization in ('granted', 'denied', 'unknown')
  ),
  add constraint conversions_denied_consent_is_skipped check (ad_user_data <> 'denied' or skip_reason is not null);

-- Queue ---------------------------------------------------------------------------------------------------------

alter table public.conversion_queue
  -- The lease. A row in flight keeps its status; nobody else takes it before locked_until, and only the holder of
  -- lock_token may write its outcome.
  add column locked_until timestamptz,
  add column lock_token uuid,
  add column claims integer not null default 0,
  -- Failed requests, as against verdicts on the row. They never end in dead_letter.
  add column transport_failures integer not null default 0,
  -- The last moment the platform can still attribute the conversion. Rows nearest to it go first.
  add column expires_at timestamptz,
  -- The platform's receipt: accepted, not yet processed.
  add column request_id text,
  add column next_status_check_at timestamptz,
  add column status_checks integer not null default 0,
  -- The platform's verdict: processed.
  add column confirmed_at timestamptz,
  add column last_error_code text,
  add column dead_lettered_at timestamptz,
  add constraint conversion_queue_lease_is_whole check ((locked_until is null) = (lock_token is null)),
  add constraint conversion_queue_only_open_rows_are_leased check (lock_token is null or status in ('pending', 'failed')),
  add constraint conversion_queue_confirmed_was_uploaded check (confirmed_at is null or status = 'uploaded'),
  add constraint conversion_queue_counts_are_not_negative check (
    claims >= 0 and transport_failures >= 0 and status_checks >= 0
  );

create index conversion_queue_expiry_idx on public.conversion_queue (platform, expires_at, created_at)
  where status in ('pending', 'failed');
create index conversion_queue_unconfirmed_idx on public.conversion_queue (platform, next_status_check_at)
  where status = 'uploaded' and confirmed_at is null;

-- Inbox ---------------------------------------------------------------------------------------------------------

-- Every deal the CRM reported, whether or not its lead is known yet.
create table public.inbox (
  id uuid primary key default gen_random_uuid(),
  source text not null,
  crm_deal_id text not null,
  conversion_type text not null,
  value numeric(18, 6),
  currency text,
  occurred_at timestamptz not null,
  -- Our lead id, when the CRM echoes it.
  lead_id uuid,
  email_hash text,
  email_hash_google text,
  phone_hash text,
  -- SHA-256 of the first body received for this deal and type.
  payload_hash text not null,
  deliveries integer not null default 1,
  state text not null default 'awaiting_lead',
  conversion_id uuid constraint inbox_conversion_id_fkey references public.conversions (id) on delete cascade,
  received_at timestamptz not null default now(),
  matched_at timestamptz,
  constraint inbox_deal_and_type_key unique (crm_deal_id, conversion_type),
  constraint inbox_state_is_known check (state in ('awaiting_lead', 'matched', 'expired')),
  constraint inbox_matched_has_a_conversion check ((state = 'matched') = (conversion_id is not null)),
  constraint inbox_type_is_known check (conversion_type in ('qualified', 'closed')),
  constraint inbox_names_a_person check (coalesce(lead_id::text, email_hash, phone_hash) is not null)
);

create index inbox_awaiting_email_idx on public.inbox (email_hash) where state = 'awaiting_lead';
create index inbox_awaiting_phone_idx on public.inbox (phone_hash) where state = 'awaiting_lead';
create index inbox_awaiting_received_at_idx on public.inbox (received_at) where state = 'awaiting_lead';
create index inbox_received_at_idx on public.inbox (received_at);
create index inbox_conversion_id_idx on public.inbox (conversion_id) where conversion_id is not null;

-- Platforms -----------------------------------------------------------------------------------------------------

-- The circuit breaker. A platform that refuses us as such is paused with the sentence that fixes it; its rows wait.
create table public.platform_state (
  platform text primary key,
  state text not null default 'active',
  reason text,
  paused_at timestamptz,
  next_probe_at timestamptz,
  -- The last time the platform accepted something.
  last_accepted_at timestamptz,
  constraint platform_state_is_known check (state in ('active', 'paused')),
  constraint platform_state_paused_says_why check (
    (state = 'paused') = (reason is not null and paused_at is not null and next_probe_at is not null)
  )
);

-- Append-only: every request to a platform and what came of it. No personal data.
create table public.upload_attempts (
  id uuid primary key default gen_random_uuid(),
  platform text not null,
  operation text not null,
  queue_ids uuid[] not null,
  attempted_at timestamptz not null default now(),
  duration_ms integer not null,
  http_status smallint,
  request_id text,
  outcome text not null,
  reason_code text,
  reason text,
  constraint upload_attempts_operation_is_known check (operation in ('upload', 'status')),
  constraint upload_attempts_have_rows check (cardinality(queue_ids) > 0)
);

create index upload_attempts_queue_ids_idx on public.upload_attempts using gin (queue_ids);

-- Metrics -------------------------------------------------------------------------------------------------------

-- One row. A rate is null while there is nothing to divide by.
create view public.conversion_metrics with (security_invoker = true) as
select
  v.visitors,
  v.visitors_with_gclid,
  round(v.visitors_with_gclid::numeric / nullif(v.visitors, 0), 4) as gclid_capture_rate,
  l.leads,
  l.leads_with_click_id,
  c.conversions,
  c.skipped,
  i.awaiting_lead,
  q.pending,
  q.failed,
  q.uploaded,
  q.confirmed,
  q.dead_letter,
  -- Of the rows that are settled, those the platform accepted.
  round(q.uploaded::numeric / nullif(q.uploaded + q.dead_letter, 0), 4) as upload_success_rate
from
  (select count(*) as visitors, count(gclid) as visitors_with_gclid from public.visitors) v,
  (select count(*) as leads, count(coalesce(gclid, gbraid, wbraid)) as leads_with_click_id from public.leads) l,
  (select count(*) as conversions, count(skip_reason) as skipped from public.conversions) c,
  (select count(*) as awaiting_lead from public.inbox where state = 'awaiting_lead') i,
  (
    select
      count(*) filter (where status = 'pending') as pending,
      count(*) filter (where status = 'failed') as failed,
      count(*) filter (where status = 'uploaded') as uploaded,
      count(*) filter (where status = 'uploaded' and confirmed_at is not null) as confirmed,
      count(*) filter (where status = 'dead_letter') as dead_letter
    from public.conversion_queue
  ) q;

-- Nobody but the owner ------------------------------------------------------------------------------------------

alter table public.inbox enable row level security;
alter table public.platform_state enable row level security;
alter table public.upload_attempts enable row level security;
revoke all on table public.inbox, public.platform_state, public.upload_attempts, public.conversion_metrics
  from public, anon, authenticated;

-- sqlx keeps its own list of applied migrations in this schema; the Supabase CLI keeps it elsewhere.
do $$
begin
  if to_regclass('public._sqlx_migrations') is not null then
    alter table public._sqlx_migrations enable row level security;
    revoke all on table public._sqlx_migrations from public, anon, authenticated;
  end if;
end
$$;
