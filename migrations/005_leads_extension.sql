-- What a lead carries for attribution: its visitor, first-touch UTMs, hashed e-mail, consent, and how the deal went.

-- The table is the site's and may be in use: give up rather than queue up behind a long transaction.
set local lock_timeout = '5s';

alter table public.leads
  add column if not exists visitor_id text,
  add column if not exists utm_source text,
  add column if not exists utm_medium text,
  add column if not exists utm_campaign text,
  add column if not exists utm_term text,
  add column if not exists utm_content text,
  -- Plain SHA-256 of the trimmed, lower-cased address: what leads are matched by.
  add column if not exists email_hash text,
  add column if not exists consent_marketing boolean,
  add column if not exists consent_data_processing boolean,
  add column if not exists consent_recorded_at timestamptz,
  add column if not exists conversion_status text not null default 'new',
  add column if not exists updated_at timestamptz not null default now();

alter table public.leads
  add constraint leads_visitor_id_fkey
    foreign key (visitor_id) references public.visitors (visitor_id) on delete set null,
  add constraint leads_conversion_status_is_known
    check (conversion_status in ('new', 'qualified', 'closed', 'lost')),
  add constraint leads_email_hash_is_a_hash check (email_hash ~ '^[0-9a-f]{64}$');

create index if not exists leads_email_hash_idx on public.leads (email_hash) where email_hash is not null;
create index if not exists leads_visitor_id_idx on public.leads (visitor_id) where visitor_id is not null;

-- Named for its table: many sites have a set_updated_at() of their own.
create function public.leads_set_updated_at() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end
$$;
revoke all on function public.leads_set_updated_at() from public, anon, authenticated;

-- *<> compares the bytes: the site may have a column whose type has no equality, such as json.
create trigger leads_set_updated_at
  before update on public.leads
  for each row when (old.* *<> new.*) execute function public.leads_set_updated_at();

alter table public.leads enable row level security;
revoke all on table public.leads from public, anon, authenticated;
