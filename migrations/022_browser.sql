-- The browser's side: what Google wants to know of a visit, which visitors are bots, and what a form gives away.

set local lock_timeout = '5s';

-- As in 000: the site may have had a column of this name, and the type decides whether it can be used.
do $$
declare
  actual text := (
    select format_type(a.atttypid, null)
    from pg_catalog.pg_attribute a
    where a.attrelid = 'public.leads'::regclass and a.attname = 'spam_signs' and not a.attisdropped
      and a.atttypid <> 'text[]'::regtype
  );
begin
  if actual is not null then
    raise exception
      'public.leads has a column that Adtrail would use, of another type (spam_signs is %, not text[]): %',
      actual, 'rename it or change its type, and run the migrations again';
  end if;
end
$$;

alter table public.visitors
  -- Of the newest visit from an ad of Google's, for leads whose form sends none.
  add column session_attributes text,
  add constraint visitors_session_attributes_are_well_formed check (
    session_attributes ~ '^[A-Za-z0-9._=+/-]+$' and length(session_attributes) <= 4096
  ),
  -- The least of all visits, and why. From 100 on it is a bot: kept, not counted, and nothing of it is sent.
  add column bot_score smallint not null default 0,
  add column bot_reasons text[] not null default '{}',
  add constraint visitors_bot_score_is_not_negative check (bot_score >= 0);

-- What speaks against a person: never a reason to refuse a lead.
alter table public.leads add column if not exists spam_signs text[] not null default '{}';

-- Did a program fill in the form? Who does that has looked at the page, even if it was loaded ahead of that. And a
-- developer's own test of the site is to see what becomes of its leads.
create function public.is_of_bot(visitor text) returns boolean
language sql
stable
set search_path = ''
as $$
  select exists (
    select from public.visitors
    where visitor_id = visitor and bot_score >= 100 and bot_reasons <> '{prefetch}'
      and 'on_this_machine' <> all (bot_reasons)
  )
$$;

revoke all on function public.is_of_bot(text) from public, anon, authenticated;

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
  q.unconfirmed,
  v.bots,
  l.leads_with_spam_signs
from
  (
    select
      count(*) filter (where bot_score < 100) as visitors,
      count(gclid) filter (where bot_score < 100) as visitors_with_gclid,
      count(*) filter (where bot_score >= 100) as bots
    from public.visitors
  ) v,
  (
    select
      count(*) as leads,
      count(coalesce(gclid, gbraid, wbraid)) as leads_with_click_id,
      count(*) filter (where spam_signs <> '{}') as leads_with_spam_signs
    from public.leads
  ) l,
  (
    select count(*) as conversions, count(skip_reason) as skipped, count(restated_at) as restated,
      count(retracted_at) as retracted
    from public.conversions
    -- What a bot reported is no conversion.
    where skip_reason is distinct from 'bot'
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
