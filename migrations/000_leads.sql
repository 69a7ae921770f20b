-- The site's own table of leads. Made here only where the site has none yet; 005 and 006 extend it.

-- The table may be in use: give up rather than queue up behind a long transaction.
set local lock_timeout = '5s';

create table if not exists public.leads (
  id uuid primary key default gen_random_uuid(),
  name text,
  email text,
  phone text,
  message text,
  created_at timestamptz not null default now()
);

-- Everything that follows refers to a lead by uuid and uses the site's columns where it has them: say what doesn't fit
-- now, before anything is made. The fix stands in the message because not every tool shows a hint.
do $$
declare
  id_type text := (
    select format_type(atttypid, atttypmod)
    from pg_catalog.pg_attribute
    where attrelid = 'public.leads'::regclass and attname = 'id' and not attisdropped
  );
  id_is_unique boolean := exists (
    select
    from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.leads'::regclass and a.attname = 'id'
      and i.indisunique and i.indnkeyatts = 1 and i.indpred is null
  );
  misfits text := (
    select string_agg(format('%s is %s, not %s', needed.name, actual.type, needed.type), '; ' order by needed.name)
    from (
      values
        ('name', 'text'), ('email', 'text'), ('phone', 'text'), ('message', 'text'),
        ('created_at', 'timestamp with time zone'), ('updated_at', 'timestamp with time zone'),
        ('visitor_id', 'text'), ('utm_source', 'text'), ('utm_medium', 'text'), ('utm_campaign', 'text'),
        ('utm_term', 'text'), ('utm_content', 'text'),
        ('gclid', 'text'), ('gbraid', 'text'), ('wbraid', 'text'), ('click_at', 'timestamp with time zone'),
        ('email_hash', 'text'), ('email_hash_google', 'text'), ('phone_hash', 'text'),
        ('consent_marketing', 'boolean'), ('consent_data_processing', 'boolean'),
        ('consent_recorded_at', 'timestamp with time zone'), ('consent_source', 'text'),
        ('ad_user_data', 'text'), ('ad_personalization', 'text'),
        ('conversion_status', 'text'), ('transaction_id', 'text'), ('payload_hash', 'text')
    ) needed (name, type)
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
  if id_type is distinct from 'uuid' then
    raise exception
      'public.leads.id is %, but Adtrail needs a uuid key: give public.leads a column "id uuid primary key default gen_random_uuid()" and run the migrations again',
      coalesce(id_type, 'missing');
  end if;
  if not id_is_unique then
    raise exception
      'public.leads.id is not unique: run "alter table public.leads add primary key (id)" and then the migrations again';
  end if;
  if misfits is not null then
    raise exception
      'public.leads has columns that Adtrail would use, of another type (%): rename them or change their type, and run the migrations again',
      misfits;
  end if;
  -- Adtrail leaves the id to the database.
  if exists (
    select
    from pg_catalog.pg_attribute
    where attrelid = 'public.leads'::regclass and attname = 'id' and not atthasdef
  ) then
    alter table public.leads alter column id set default gen_random_uuid();
  end if;
end
$$;

alter table public.leads enable row level security;
revoke all on table public.leads from public, anon, authenticated;
