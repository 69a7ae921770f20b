-- The clicks of a deal, if its CRM kept them.

set local lock_timeout = '5s';

-- As on leads (017), but a click has a time only if the CRM says when it was.
alter table public.inbox
  add column clicks jsonb not null default '{}',
  add constraint inbox_clicks_are_an_object check (jsonb_typeof(clicks) = 'object'),
  -- As of when the CRM reported them; null without any.
  add column clicks_reported_at timestamptz;
