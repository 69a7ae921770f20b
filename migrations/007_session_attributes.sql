-- What Google's tag captured of a visit, for Google to attribute by: kept with the lead, copied into its conversions.

set local lock_timeout = '5s';

-- As in 000: the site may have had a column of this name, and the type decides whether it can be used.
do $$
declare
  actual text := (
    select format_type(a.atttypid, null)
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    where a.attrelid = 'public.leads'::regclass and a.attname = 'session_attributes' and not a.attisdropped
      and t.typname not in ('text', 'varchar', 'citext')
  );
begin
  if actual is not null then
    raise exception
      'public.leads has a column that Adtrail would use, of another type (session_attributes is %, not text): rename it or change its type, and run the migrations again',
      actual;
  end if;
end
$$;

-- No check on the leads' own: a site that had the column may write whatever there, and the lead must go in.
alter table public.leads add column if not exists session_attributes text;

alter table public.conversions
  add column session_attributes text,
  add constraint conversions_session_attributes_are_well_formed check (
    session_attributes ~ '^[A-Za-z0-9._=+/-]+$' and length(session_attributes) <= 4096
  );
