-- Leads that are known by an e-mail address, a phone number or a click; what of a form couldn't be used, where a lead
-- came from, and how many forms were refused.

set local lock_timeout = '5s';

-- As in 000: the site may have had columns of these names, and the type decides whether they can be used.
do $$
declare
  misfits text := (
    select string_agg(format('%s is %s, not %s', needed.name, actual.type, needed.type), '; ' order by needed.name)
    from (values ('warnings', 'jsonb'), ('source', 'text')) needed (name, type)
    join (
      select a.attname, t.typname, format_type(a.atttypid, null) as type
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_type t on t.oid = a.atttypid
      where a.attrelid = 'public.leads'::regclass and not a.attisdropped
    ) actual on actual.attname = needed.name
    where actual.type <> needed.type
      and not (needed.type = 'text' and actual.typname in ('varchar', 'citext'))
  );
begin
  if misfits is not null then
    raise exception
      'public.leads has columns that Adtrail would use, of another type (%): %',
      misfits, 'rename them or change their type, and run the migrations again';
  end if;
end
$$;

alter table public.leads
  -- Somebody may leave only a phone number.
  alter column email drop not null,
  -- What was left out, cut or not understood, as [{"pointer": "/phone", "detail": "…"}].
  add column if not exists warnings jsonb not null default '[]',
  -- The source of leads that it came through. Null: the website's own form.
  add column if not exists source text,
  -- A lead of ours has something to recognise a person by. The site's own rows go in as they are.
  add constraint leads_know_somebody check (
    payload_hash is null or coalesce(email_hash, phone_hash, phone::text) is not null or clicks::text <> '{}'
  ) not valid;

create index if not exists leads_warned_at_idx on public.leads (created_at) where warnings <> '[]';

-- Forms that were refused. Nothing of them is kept but how many there were, and why, for a week.
create table public.lead_refusals (
  -- The source of leads. Empty: the website's own form.
  source text not null default '',
  reason text not null,
  hour timestamptz not null,
  refusals bigint not null default 1,
  last_at timestamptz not null,
  primary key (source, reason, hour)
);

create index lead_refusals_hour_idx on public.lead_refusals (hour);

alter table public.lead_refusals enable row level security;
revoke all on table public.lead_refusals from public, anon, authenticated;
