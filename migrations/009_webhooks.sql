-- Webhooks from any CRM: what arrived and what became of it, deals that name nobody yet, and what else a lead is known by.

set local lock_timeout = '5s';

-- What arrived --------------------------------------------------------------------------------------------------

-- Every body whose sender proved who it is, once.
create table public.inbox_receipts (
  id uuid primary key default gen_random_uuid(),
  source text not null,
  -- SHA-256 of the body. The same body again is counted, not kept twice.
  payload_hash text not null,
  -- As it came, byte by byte; null once nobody needs it any more.
  body bytea,
  -- Names of all headers; values only of those that can't be secret or personal, else null.
  headers jsonb not null default '{}',
  -- How the sender proved who it is, and the setting whose secret fitted.
  verified_by text not null,
  verified_with text not null,
  deliveries integer not null default 1,
  received_at timestamptz not null default now(),
  last_received_at timestamptz not null default now(),
  constraint inbox_receipts_source_payload_hash_key unique (source, payload_hash),
  constraint inbox_receipts_hash_is_a_hash check (payload_hash ~ '^[0-9a-f]{64}$')
);

-- The bodies that are still kept, oldest first.
create index inbox_receipts_kept_idx on public.inbox_receipts (last_received_at) where body is not null;

-- What a body says: one event, or one for each item of an array.
create table public.inbox_events (
  id uuid primary key default gen_random_uuid(),
  receipt_id uuid not null
    constraint inbox_events_receipt_id_fkey references public.inbox_receipts (id) on delete cascade,
  -- Its place in the array; 0 where there is none.
  position integer not null default 0,
  source text not null,
  -- The sender's id of the event, else the SHA-256 of what was sent.
  source_event_id text not null,
  -- received: the CRM has to be asked for what it left out. taken: it is a report on a deal. ignored: it means nothing to
  -- us. rejected: it can't be used. expired: it was received, and the CRM never said the rest.
  state text not null,
  -- Why it is ignored or rejected, or what the CRM said last.
  reason text,
  -- The rule of the declaration that decided.
  rule text,
  crm_deal_id text,
  -- The deal it reports on; null for a loss.
  inbox_id uuid constraint inbox_events_inbox_id_fkey references public.inbox (id) on delete set null,
  deliveries integer not null default 1,
  -- When the CRM is asked next.
  fetch_due_at timestamptz,
  fetch_failures integer not null default 0,
  received_at timestamptz not null default now(),
  constraint inbox_events_source_event_id_key unique (source, source_event_id),
  constraint inbox_events_state_is_known check (state in ('received', 'taken', 'ignored', 'rejected', 'expired')),
  constraint inbox_events_refusal_has_a_reason check (state not in ('ignored', 'rejected') or reason is not null),
  constraint inbox_events_only_received_are_fetched check ((state = 'received') = (fetch_due_at is not null))
);

create index inbox_events_receipt_id_idx on public.inbox_events (receipt_id);
create index inbox_events_inbox_id_idx on public.inbox_events (inbox_id) where inbox_id is not null;
create index inbox_events_crm_deal_id_idx on public.inbox_events (crm_deal_id) where crm_deal_id is not null;
create index inbox_events_rejected_idx on public.inbox_events (received_at) where state = 'rejected';
create index inbox_events_expired_idx on public.inbox_events (id) where state = 'expired';
create index inbox_events_fetch_due_at_idx on public.inbox_events (fetch_due_at) where state = 'received';
create index inbox_events_received_at_idx on public.inbox_events (received_at);

-- Webhooks whose sender could not prove who it is. Nothing of them is kept but how many there were, and why, for a week.
create table public.webhook_refusals (
  source text not null,
  reason text not null,
  hour timestamptz not null,
  refusals bigint not null default 1,
  last_at timestamptz not null,
  primary key (source, reason, hour)
);

create index webhook_refusals_hour_idx on public.webhook_refusals (hour);

-- Deals ---------------------------------------------------------------------------------------------------------

alter table public.inbox
  -- A deal that names nobody waits for a report that does, or for the operator.
  drop constraint inbox_names_a_person,
  -- The CRM may know several addresses of a person.
  add column other_email_hashes text[] not null default '{}',
  -- How new the report is that its person is from; null where no report named one. reported_at is the value's.
  add column person_reported_at timestamptz,
  -- When the operator said whose deal it is; lead_id is theirs then.
  add column attached_at timestamptz,
  -- The rule that found the lead.
  add column matched_by text,
  add constraint inbox_matched_by_is_known check (matched_by in ('manual', 'lead_id', 'email', 'phone', 'deal'));

-- Of the deals from before, it is as old as what is known of them.
update public.inbox set person_reported_at = coalesce(reported_at, received_at);

alter table public.deal_reports
  -- When the deal reached the stage, as the report says, and how new that is.
  add column stated_at timestamptz,
  add column stated_as_of timestamptz,
  -- Where it doesn't say: when that was noticed. The deal may have reached the stage several times, with losses between.
  add column noticed_at timestamptz;

update public.deal_reports r
set stated_at = i.occurred_at, stated_as_of = coalesce(i.reported_at, i.received_at)
from public.inbox i
where i.id = r.inbox_id;

update public.inbox i set matched_by = c.matched_by
from public.conversions c
where c.id = i.conversion_id and c.matched_by is not null;

-- The waiting ones, page by page.
create index inbox_awaiting_idx on public.inbox (received_at, id) where state = 'awaiting_lead';
create index inbox_awaiting_other_emails_idx on public.inbox using gin (other_email_hashes) where state = 'awaiting_lead';

create index inbox_expired_idx on public.inbox (id) where state = 'expired';

alter table public.conversions
  drop constraint conversions_matched_by_is_known,
  add constraint conversions_matched_by_is_known check (matched_by in ('manual', 'lead_id', 'email', 'phone', 'deal'));

-- Leads ---------------------------------------------------------------------------------------------------------

-- Every address a lead was ever known by, as SHA-256: the form's, the ones the site changed it to, and those of deals
-- that are surely the lead's.
create table public.lead_emails (
  lead_id uuid not null constraint lead_emails_lead_id_fkey references public.leads (id) on delete cascade,
  email_hash text not null,
  created_at timestamptz not null default now(),
  primary key (lead_id, email_hash),
  constraint lead_emails_hash_is_a_hash check (email_hash ~ '^[0-9a-f]{64}$')
);

create index lead_emails_email_hash_idx on public.lead_emails (email_hash);

-- Whoever writes to leads, the site's own pages included, needn't know of this table: hence the owner's rights.
create function public.leads_keep_emails() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  plain text := lower(regexp_replace(new.email::text, '\s', '', 'g'));
begin
  insert into public.lead_emails (lead_id, email_hash)
  select distinct new.id, hash
  from (
    values
      (new.email_hash),
      (case when plain ~ '^[^@]+@[^@]+$' then encode(sha256(convert_to(plain, 'UTF8')), 'hex') end)
  ) known (hash)
  where hash is not null
  on conflict do nothing;
  return null;
end
$$;
revoke all on function public.leads_keep_emails() from public, anon, authenticated;

create trigger leads_keep_emails
  after insert or update of email, email_hash on public.leads
  for each row execute function public.leads_keep_emails();

insert into public.lead_emails (lead_id, email_hash)
select id, email_hash from public.leads where email_hash is not null
on conflict do nothing;

-- Nobody but the owner ------------------------------------------------------------------------------------------

alter table public.inbox_receipts enable row level security;
alter table public.inbox_events enable row level security;
alter table public.webhook_refusals enable row level security;
alter table public.lead_emails enable row level security;
revoke all on table public.inbox_receipts, public.inbox_events, public.webhook_refusals, public.lead_emails
  from public, anon, authenticated;
