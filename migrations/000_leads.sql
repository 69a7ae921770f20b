-- The site's own table of leads. Made here only where the site has none yet; 005 and 006 extend it.

create table if not exists public.leads (
  id uuid primary key default gen_random_uuid(),
  name text,
  email text,
  phone text,
  message text,
  created_at timestamptz not null default now()
);

-- Everything that follows refers to a lead by uuid: say so now rather than fail in a foreign key later.
do $$
declare
  actual text := (
    select format_type(a.atttypid, a.atttypmod)
    from pg_catalog.pg_attribute a
    where a.attrelid = 'public.leads'::regclass and a.attname = 'id' and not a.attisdropped
  );
begin
  if actual is distinct from 'uuid' then
    raise exception 'public.leads.id is %, but Adtrail needs a uuid key', coalesce(actual, 'missing')
      using hint = 'Give public.leads a column "id uuid primary key default gen_random_uuid()" and run the migrations again.';
  end if;
end
$$;

alter table public.leads enable row level security;
revoke all on table public.leads from public, anon, authenticated;
