-- Undoing and correcting what the platforms were told, batches whose verdict names no row, and a breaker for outages.

set local lock_timeout = '5s';

-- Deals that were lost or refunded ------------------------------------------------------------------------------

-- Kept also when nothing is known of the deal yet: its closing may be reported later.
create table public.lost_deals (
  crm_deal_id text primary key,
  -- The latest loss reported. A deal closed again after it stands.
  lost_at timestamptz not null,
  -- SHA-256 of the body that said so last. Received again, it says nothing new.
  payload_hash text not null,
  deliveries integer not null default 1,
  received_at timestamptz not null default now(),
  constraint lost_deals_id_is_not_empty check (crm_deal_id <> '')
);

-- Every body received for a deal and type. A body received before says nothing new, whatever came in between.
create table public.deal_reports (
  inbox_id uuid not null constraint deal_reports_inbox_id_fkey references public.inbox (id) on delete cascade,
  payload_hash text not null,
  received_at timestamptz not null default now(),
  primary key (inbox_id, payload_hash),
  constraint deal_reports_hash_is_a_hash check (payload_hash ~ '^[0-9a-f]{64}$')
);

-- Of the reports from before, the one that stands is known.
insert into public.deal_reports (inbox_id, payload_hash, received_at)
select id, payload_hash, received_at from public.inbox where payload_hash ~ '^[0-9a-f]{64}$';

alter table public.inbox
  -- How new the report is that stands: the CRM's word, or the time we received it.
  add column reported_at timestamptz;

alter table public.conversions
  -- When the CRM last changed the value; null while the first one stands.
  add column restated_at timestamptz,
  -- When the deal was lost or refunded.
  add column retracted_at timestamptz;

create index conversions_retracted_at_idx on public.conversions (id) where retracted_at is not null;

-- Queue ---------------------------------------------------------------------------------------------------------

alter table public.conversion_queue
  -- The row whose conversion this one corrects or takes back. Such rows have a platform of their own, as in
  -- google_ads_restatements, because a pause of one must not stop the other.
  add column adjusts uuid constraint conversion_queue_adjusts_fkey references public.conversion_queue (id) on delete cascade,
  -- It was in a batch whose verdict named no row, so it is sent again in a request of its own.
  add column send_alone boolean not null default false,
  -- The platform refused its click id; it goes again with what else there is.
  add column omit_click_id boolean not null default false;

create index conversion_queue_adjusts_idx on public.conversion_queue (adjusts) where adjusts is not null;

-- Platforms -----------------------------------------------------------------------------------------------------

alter table public.platform_state
  -- What ends the pause. A platform that accepts first and refuses later has to confirm something.
  add column ends_with text not null default 'acceptance',
  add constraint platform_state_end_is_known check (ends_with in ('acceptance', 'confirmation'));

alter table public.upload_attempts
  -- Conversions of one request may come to different things: a line each, and the request's id on all of them.
  add column exchange_id uuid not null default gen_random_uuid(),
  -- The API that was asked; null when the row was settled without asking.
  add column transport text,
  -- A request may hold more than those this line is about.
  add column rows_in_request integer,
  drop constraint upload_attempts_operation_is_known,
  add constraint upload_attempts_operation_is_known check (operation in ('upload', 'restatement', 'retraction', 'status'));

-- Requests of the last minute and day, for the platforms' limits.
create index upload_attempts_transport_idx on public.upload_attempts (transport, attempted_at) where transport is not null;

-- Metrics -------------------------------------------------------------------------------------------------------

create or replace view public.conversion_metrics with (security_invoker = true) as
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
  round(q.uploaded::numeric / nullif(q.uploaded + q.dead_letter, 0), 4) as upload_success_rate,
  c.restated,
  c.retracted,
  q.unconfirmed
from
  (select count(*) as visitors, count(gclid) as visitors_with_gclid from public.visitors) v,
  (select count(*) as leads, count(coalesce(gclid, gbraid, wbraid)) as leads_with_click_id from public.leads) l,
  (
    select count(*) as conversions, count(skip_reason) as skipped, count(restated_at) as restated,
      count(retracted_at) as retracted
    from public.conversions
  ) c,
  (select count(*) as awaiting_lead from public.inbox where state = 'awaiting_lead') i,
  (
    select
      count(*) filter (where status = 'pending') as pending,
      count(*) filter (where status = 'failed') as failed,
      count(*) filter (where status = 'uploaded') as uploaded,
      count(*) filter (where status = 'uploaded' and confirmed_at is not null) as confirmed,
      -- What was lost before it was sent isn't the platform's refusal.
      count(*) filter (where status = 'dead_letter' and last_error_code is distinct from 'deal_lost') as dead_letter,
      -- No verdict within seven days; nobody asks any more.
      count(*) filter (
        where status = 'uploaded' and confirmed_at is null and request_id is not null and next_status_check_at is null
      ) as unconfirmed
    from public.conversion_queue
    where adjusts is null
  ) q;

-- Nobody but the owner ------------------------------------------------------------------------------------------

alter table public.lost_deals enable row level security;
alter table public.deal_reports enable row level security;
revoke all on table public.lost_deals, public.deal_reports, public.conversion_metrics from public, anon, authenticated;
