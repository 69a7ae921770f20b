-- What nobody saw: ignored events by the value that no rule knew, and paid visits without a click id; and conversions
-- that Google takes only as of another second.

set local lock_timeout = '5s';

alter table public.conversion_queue
  -- Google counts one conversion of a click at a time: so many seconds later than it was it is said to be, because
  -- another one is there.
  add column seconds_later integer not null default 0,
  add constraint conversion_queue_seconds_later_is_not_negative check (seconds_later >= 0) not valid;

-- Those that went without their click id, among which are those whose click belongs to another account.
create index conversion_queue_omit_click_id_idx on public.conversion_queue (platform) where omit_click_id;

-- Ignored events ----------------------------------------------------------------------------------------------------

-- Webhooks whose values no rule of their source knew, for six weeks. Values of stages and the like; nothing else of an
-- event is kept here.
create table public.ignored_values (
  source text not null,
  day date not null,
  -- Empty: those beyond the fifty that are told apart in a day.
  value text not null,
  events bigint not null default 1,
  first_at timestamptz not null,
  last_at timestamptz not null,
  primary key (source, day, value),
  constraint ignored_values_are_short check (length(value) <= 1000),
  constraint ignored_values_events_are_positive check (events > 0)
);

alter table public.ignored_values enable row level security;
revoke all on table public.ignored_values from public, anon, authenticated;

-- Habits ------------------------------------------------------------------------------------------------------------

-- Which days had deals of a source and stage is asked day by day.
create index inbox_source_stage_idx on public.inbox (source, conversion_type, received_at);

-- Visits that an ad was paid for, whether or not their click id arrived (health::website::read).
create index visitors_paid_idx on public.visitors (first_seen_at)
  where bot_score < 100
    and (
      coalesce(gclid, gbraid, wbraid, gad_source, gad_campaignid) is not null
      or (lower(utm_source) = 'google' and lower(utm_medium) in ('cpc', 'ppc', 'paid', 'paidsearch'))
      or referrer ~* '^https?://([a-z0-9.-]+\.)?(google\.[a-z.]+/aclk|googleadservices\.com'
        '|doubleclick\.net|syndicatedsearch\.goog)'
    );
