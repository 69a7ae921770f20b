-- Events on their way to analytics: whom Google Analytics knows the browser as, and a queue of events.

set local lock_timeout = '5s';

-- Events ----------------------------------------------------------------------------------------------------------

alter table public.tracking_events
  -- Of Google's tag (cookie _ga), and the session of each of its streams (cookies _ga_<stream>). Kept until the event
  -- is sent.
  add column ga_client_id text,
  add column ga_sessions jsonb not null default '{}',
  add column user_agent text,
  -- Who sends it to Google Analytics, if the page says so: the server then doesn't.
  add column sent_by text,
  -- As the page stated it with the event.
  add column analytics_storage text not null default 'unknown',
  add column ad_user_data text not null default 'unknown',
  add column ad_personalization text not null default 'unknown',
  add constraint tracking_events_ga_client_id_is_short check (length(ga_client_id) <= 64) not valid,
  add constraint tracking_events_ga_sessions_are_an_object check (jsonb_typeof(ga_sessions) = 'object') not valid,
  add constraint tracking_events_user_agent_is_short check (length(user_agent) <= 512) not valid,
  add constraint tracking_events_sent_by_is_known check (sent_by in ('gtag')) not valid,
  add constraint tracking_events_consent_is_known check (
    analytics_storage in ('granted', 'denied', 'unknown')
    and ad_user_data in ('granted', 'denied', 'unknown')
    and ad_personalization in ('granted', 'denied', 'unknown')
  ) not valid;

-- The queue -------------------------------------------------------------------------------------------------------

-- One row for each event and destination. A row with a lease is being sent: without an outcome nobody knows whether the
-- event arrived, so it isn't simply sent again when the lease has ended.
create table public.event_queue (
  id uuid primary key default gen_random_uuid(),
  event uuid not null
    constraint event_queue_event_fkey references public.tracking_events (id) on delete cascade,
  -- The name of the destination, as declared.
  destination text not null,
  -- sent: accepted. confirmed: processed. unverifiable: it may have arrived, and nobody can tell.
  status text not null default 'pending',
  -- When the event happened.
  created_at timestamptz not null,
  -- Null: at once.
  next_retry_at timestamptz,
  transport_failures integer not null default 0,
  locked_until timestamptz,
  lock_token uuid,
  claims integer not null default 0,
  -- The receipt, and when to ask for its verdict.
  request_id text,
  next_status_check_at timestamptz,
  status_checks integer not null default 0,
  -- When it stopped being pending.
  settled_at timestamptz,
  last_error text,
  last_error_code text,
  constraint event_queue_event_destination_key unique (event, destination),
  constraint event_queue_status_is_known check (
    status in ('pending', 'sent', 'confirmed', 'unverifiable', 'rejected', 'expired')
  ),
  constraint event_queue_is_settled check ((status = 'pending') = (settled_at is null)),
  constraint event_queue_lease_has_a_token check ((locked_until is null) = (lock_token is null)),
  constraint event_queue_only_pending_is_leased check (status = 'pending' or lock_token is null),
  constraint event_queue_only_sent_awaits_a_verdict check (
    next_status_check_at is null or (status = 'sent' and request_id is not null)
  )
);

-- What a claim takes, the oldest first.
create index event_queue_due_idx on public.event_queue (destination, created_at, id)
  where status = 'pending' and lock_token is null;
-- Leases, of which there are few.
create index event_queue_leased_idx on public.event_queue (locked_until) where lock_token is not null;
-- Receipts whose verdict is due.
create index event_queue_unconfirmed_idx on public.event_queue (destination, next_status_check_at)
  where next_status_check_at is not null;
create index event_queue_request_id_idx on public.event_queue (request_id) where next_status_check_at is not null;
-- What is removed after some days, and what the last minute and day were like.
create index event_queue_settled_at_idx on public.event_queue (settled_at) where settled_at is not null;
create index event_queue_troubled_idx on public.event_queue (destination, status, settled_at)
  where status in ('unverifiable', 'rejected', 'expired');

alter table public.event_queue enable row level security;
revoke all on table public.event_queue from public, anon, authenticated;
