-- Events the website reports: form starts, sign-ups, purchases. Named by GA4's rules.

create table public.tracking_events (
  id uuid primary key default gen_random_uuid(),
  -- Shared with the browser's own tag; the same event sent twice is stored once.
  event_id text not null constraint tracking_events_event_id_key unique,
  event_name text not null,
  -- Null when the browser sent no cookie, or its visitor was erased.
  visitor_id text
    constraint tracking_events_visitor_id_fkey references public.visitors (visitor_id) on delete set null,
  params jsonb not null default '{}',
  page_url text,
  created_at timestamptz not null default now(),
  constraint tracking_events_name_follows_ga4 check (event_name ~ '^[A-Za-z][A-Za-z0-9_]{0,39}$'),
  constraint tracking_events_event_id_is_short check (length(event_id) between 1 and 128),
  constraint tracking_events_params_are_an_object check (jsonb_typeof(params) = 'object')
);

create index tracking_events_visitor_id_idx on public.tracking_events (visitor_id) where visitor_id is not null;

alter table public.tracking_events enable row level security;
revoke all on table public.tracking_events from public, anon, authenticated;
