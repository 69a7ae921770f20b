-- The life of a deal after it was won: other names of merged deals, deleted deals, conversions that count again under a
-- new id, and what was warned of.

set local lock_timeout = '5s';

-- Deals -----------------------------------------------------------------------------------------------------------

-- The ids of deals that were merged into another. A report under such a name is about the other.
create table public.deal_names (
  name text primary key,
  -- The deal that is left, as it is called everywhere else.
  crm_deal_id text not null,
  -- When the CRM merged them.
  merged_at timestamptz not null,
  created_at timestamptz not null default now(),
  constraint deal_names_is_another check (name <> crm_deal_id),
  constraint deal_names_is_not_empty check (name <> '' and crm_deal_id <> '')
);

create index deal_names_crm_deal_id_idx on public.deal_names (crm_deal_id);

-- Kept also when nothing is known of the deal yet. Unlike a loss it is final: only a restoration lifts it.
create table public.deleted_deals (
  crm_deal_id text primary key,
  deleted_at timestamptz,
  restored_at timestamptz,
  received_at timestamptz not null default now(),
  constraint deleted_deals_id_is_not_empty check (crm_deal_id <> ''),
  constraint deleted_deals_has_a_time check (coalesce(deleted_at, restored_at) is not null)
);

alter table public.lost_deals
  -- The latest loss was no loss: the deal is open again, and only its win is undone.
  add column is_reopened boolean not null default false,
  -- How new its report is: the CRM's word, else when it arrived.
  add column as_of timestamptz;

-- When what a deal reached at this time was undone: it was lost then or later, or deleted. Null: it stands.
create function public.undone_at(deal text, reached_at timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select coalesce(
    (select lost_at from public.lost_deals where crm_deal_id = deal and lost_at >= reached_at),
    (
      select deleted_at from public.deleted_deals
      where crm_deal_id = deal and (restored_at is null or restored_at < deleted_at)
    )
  )
$$;
revoke all on function public.undone_at(text, timestamptz) from public, anon, authenticated;

alter table public.deal_reports
  -- How new it is: the CRM's word, else when it arrived.
  add column as_of timestamptz,
  add column is_crms_word boolean not null default false;

alter table public.inbox
  -- The name in the key of its conversion, where a merge gave the deal another one since.
  add column key_name text,
  -- How often it has become a conversion: a retracted one that counts again has a new key.
  add column generation integer not null default 1,
  add constraint inbox_generation_is_positive check (generation > 0) not valid;

-- The key is '{name}:{conversion_type}', from the second generation on with ':{generation}' after it. The name is that
-- of the deal when it became a conversion.
alter table public.conversions
  drop constraint if exists conversions_key_is_deal_and_type,
  drop constraint if exists conversions_key_names_its_type,
  add constraint conversions_key_names_its_type check (
    idempotency_key like '%_:' || conversion_type
    or idempotency_key ~ ('.:' || conversion_type || ':[1-9][0-9]*$')
  ) not valid;

-- Inbox -----------------------------------------------------------------------------------------------------------

alter table public.inbox_events
  -- What was ignored or guessed: an array of objects with a pointer (or field) and a detail.
  add column warnings jsonb not null default '[]',
  add constraint inbox_events_warnings_are_an_array check (jsonb_typeof(warnings) = 'array') not valid;

-- Queue -----------------------------------------------------------------------------------------------------------

alter table public.conversion_queue
  -- Beside sent_to: through whom it was reached, such as a manager account, or the account itself. Null: unknown.
  add column sent_through text;

-- Nobody but the owner --------------------------------------------------------------------------------------------

alter table public.deal_names enable row level security;
alter table public.deleted_deals enable row level security;
revoke all on table public.deal_names, public.deleted_deals from public, anon, authenticated;
