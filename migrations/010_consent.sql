-- What people say about consent, kept statement by statement: who, for which purpose, what, where and when. Whether a
-- conversion is sent follows from all statements of its person; the table is the record of consent.

set local lock_timeout = '5s';

create table public.consent_statements (
  id bigint generated always as identity primary key,
  -- Who: the lead, the browser, the deal of a CRM; and the addresses by which the person was known then.
  lead_id uuid constraint consent_statements_lead_id_fkey references public.leads (id) on delete cascade,
  visitor_id text,
  crm_deal_id text,
  email_hash text,
  phone_hash text,
  purpose text not null,
  value text not null,
  -- form, visit (the banner's state, sent with a page view), banner (its answer), gpc (the browser's Global Privacy
  -- Control), crm, operator, site (written to leads by the site's own code).
  source text not null,
  stated_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  -- Not part of the statement: when the conversions of the person were brought in line with it.
  applied_at timestamptz,
  constraint consent_statements_somebody_states check (coalesce(lead_id::text, visitor_id, crm_deal_id) is not null),
  constraint consent_statements_purpose_is_known check (purpose in ('ad_user_data', 'ad_personalization')),
  constraint consent_statements_value_is_an_answer check (value in ('granted', 'denied')),
  constraint consent_statements_source_is_known check (
    source in ('form', 'visit', 'banner', 'gpc', 'crm', 'operator', 'site')
  )
);

create index consent_statements_lead_idx on public.consent_statements (lead_id, purpose, value, source)
  where lead_id is not null;
create index consent_statements_visitor_idx on public.consent_statements (visitor_id, purpose, stated_at)
  where visitor_id is not null;
create index consent_statements_deal_idx on public.consent_statements (crm_deal_id, purpose, value, source)
  where crm_deal_id is not null;
create index consent_statements_email_idx on public.consent_statements (email_hash, purpose, value, source)
  where email_hash is not null;
create index consent_statements_phone_idx on public.consent_statements (phone_hash, purpose, value, source)
  where phone_hash is not null;
create index consent_statements_unapplied_idx on public.consent_statements (id) where applied_at is null;
-- An expression, because a search for one person's statements must never go through everybody's.
create index consent_statements_lifting_idx on public.consent_statements (
  (case when value = 'granted' and source in ('crm', 'operator') then purpose end), stated_at
);

-- A statement is never changed. It is deleted with its lead.
create function public.consent_statements_stay() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if (old.lead_id, old.visitor_id, old.crm_deal_id, old.email_hash, old.phone_hash, old.purpose, old.value, old.source,
      old.stated_at, old.recorded_at)
    is distinct from (new.lead_id, new.visitor_id, new.crm_deal_id, new.email_hash, new.phone_hash, new.purpose,
      new.value, new.source, new.stated_at, new.recorded_at)
  then
    raise exception 'a consent statement is never changed: insert a newer one' using errcode = 'restrict_violation';
  end if;
  return new;
end
$$;
revoke all on function public.consent_statements_stay() from public, anon, authenticated;

create trigger consent_statements_stay
  before update on public.consent_statements
  for each row execute function public.consent_statements_stay();

-- Every page view carries the banner's state. It is kept when it differs from what the browser said last, and when a
-- CRM or the operator may have lifted that since.
create function public.consent_statements_skip_repeated() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  last record;
begin
  select value, stated_at into last
  from public.consent_statements
  where visitor_id = new.visitor_id and purpose = new.purpose
  order by stated_at desc, id desc
  limit 1;
  if last.value is distinct from new.value then
    return new;
  end if;
  if new.value = 'denied' and exists (
    select from public.consent_statements
    where case when value = 'granted' and source in ('crm', 'operator') then purpose end = new.purpose
      and stated_at >= last.stated_at
  ) then
    return new;
  end if;
  return null;
end
$$;
revoke all on function public.consent_statements_skip_repeated() from public, anon, authenticated;

create trigger consent_statements_skip_repeated
  before insert on public.consent_statements
  for each row when (new.source in ('visit', 'banner', 'gpc') and new.lead_id is null)
  execute function public.consent_statements_skip_repeated();

-- What a lead says is stated by its row, whoever writes that: POST /api/leads, the site's own code, or a person by
-- hand. Not what POST /api/leads copied from the visit, which was stated there. With the owner's rights, because the
-- writer needn't know of this table.
create function public.leads_state_consent() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  says_when boolean := tg_op = 'INSERT' or new.consent_recorded_at is distinct from old.consent_recorded_at;
  says_where boolean := tg_op = 'INSERT' or new.consent_source is distinct from old.consent_source;
begin
  if says_where and new.consent_source = 'visit' then
    return null;
  end if;
  insert into public.consent_statements (
    lead_id, visitor_id, email_hash, phone_hash, purpose, value, source, stated_at
  )
  select
    new.id, new.visitor_id, new.email_hash, new.phone_hash, said.purpose, said.value,
    coalesce(case when says_where then new.consent_source end, 'site'),
    coalesce(
      case when says_when then new.consent_recorded_at end, case when tg_op = 'INSERT' then new.created_at end, now()
    )
  from (
    values
      ('ad_user_data', new.ad_user_data, case when tg_op = 'UPDATE' then old.ad_user_data end),
      ('ad_personalization', new.ad_personalization, case when tg_op = 'UPDATE' then old.ad_personalization end)
  ) as said (purpose, value, before)
  where said.value <> 'unknown' and said.value is distinct from said.before;
  return null;
end
$$;
revoke all on function public.leads_state_consent() from public, anon, authenticated;

create trigger leads_state_consent
  after insert or update of ad_user_data, ad_personalization on public.leads
  for each row execute function public.leads_state_consent();

-- What was said until now. Whether a visit's answer came from the banner or from Global Privacy Control wasn't kept.
insert into public.consent_statements (visitor_id, purpose, value, source, stated_at, applied_at)
select v.visitor_id, said.purpose, said.value, 'visit', coalesce(v.consent_recorded_at, v.last_seen_at), now()
from public.visitors v
cross join lateral (
  values ('ad_user_data', v.ad_user_data), ('ad_personalization', v.ad_personalization)
) as said (purpose, value)
where said.value <> 'unknown';

insert into public.consent_statements (
  lead_id, visitor_id, email_hash, phone_hash, purpose, value, source, stated_at
)
select
  l.id, l.visitor_id, l.email_hash, l.phone_hash, said.purpose, said.value, coalesce(l.consent_source, 'site'),
  coalesce(l.consent_recorded_at, l.created_at, now())
from public.leads l
cross join lateral (
  values ('ad_user_data', l.ad_user_data), ('ad_personalization', l.ad_personalization)
) as said (purpose, value)
where said.value <> 'unknown' and l.consent_source is distinct from 'visit';

alter table public.conversions
  -- When it was found that consent was withdrawn after a platform may have received the conversion.
  add column consent_withdrawn_at timestamptz,
  drop constraint conversions_denied_consent_is_skipped,
  add constraint conversions_denied_consent_is_skipped check (
    ad_user_data <> 'denied' or skip_reason is not null or consent_withdrawn_at is not null
  );

-- Deals by the addresses that the CRM gave, once they are matched: whose consent changes.
create index inbox_matched_email_idx on public.inbox (email_hash) where state = 'matched';
create index inbox_matched_phone_idx on public.inbox (phone_hash) where state = 'matched';
create index inbox_matched_other_emails_idx on public.inbox using gin (other_email_hashes) where state = 'matched';

alter table public.consent_statements enable row level security;
revoke all on table public.consent_statements from public, anon, authenticated;
revoke all on sequence public.consent_statements_id_seq from public, anon, authenticated;
