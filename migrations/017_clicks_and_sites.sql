-- The clicks of every advertising network, on which site of a company it was, and phone numbers as Meta hashes them.

set local lock_timeout = '5s';

-- As in 000: the site may have had columns of these names, and the type decides whether they can be used.
do $$
declare
  misfits text := (
    select string_agg(format('%s is %s, not %s', needed.name, actual.type, needed.type), '; ' order by needed.name)
    from (values ('clicks', 'jsonb'), ('site', 'text'), ('phone_hash_digits', 'text')) needed (name, type)
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

-- Sites ---------------------------------------------------------------------------------------------------------

-- The host of a page: of the one that the newest click led to, or of the first one until there is a click.
alter table public.visitors
  add column site text,
  add constraint visitors_site_is_a_host check (site ~ '^[][a-z0-9._:-]+$' and length(site) <= 253);

-- No check: a site that had the column may write whatever there, and the lead must go in.
alter table public.leads add column if not exists site text;

alter table public.conversions
  add column site text,
  add constraint conversions_site_is_a_host check (site ~ '^[][a-z0-9._:-]+$' and length(site) <= 253);

-- Phone numbers -------------------------------------------------------------------------------------------------

-- The SHA-256 of the digits without the +. Whatever else the platforms ask for is one of the hashes that there are.
alter table public.leads
  add column if not exists phone_hash_digits text,
  add constraint leads_phone_hash_digits_is_a_hash check (phone_hash_digits ~ '^[0-9a-f]{64}$');

alter table public.inbox
  add column phone_hash_digits text,
  add constraint inbox_phone_hash_digits_is_a_hash check (phone_hash_digits ~ '^[0-9a-f]{64}$');

alter table public.conversions
  add column phone_hash_digits text,
  add constraint conversions_phone_hash_digits_is_a_hash check (phone_hash_digits ~ '^[0-9a-f]{64}$');

-- Clicks --------------------------------------------------------------------------------------------------------

-- The newest click of each network, as {"google": {"gclid": "…", "at": "…"}, "meta": {"fbclid": "…", "at": "…"}}.
alter table public.visitors
  add column clicks jsonb not null default '{}',
  add constraint visitors_clicks_are_an_object check (jsonb_typeof(clicks) = 'object');

alter table public.leads add column if not exists clicks jsonb not null default '{}';

alter table public.conversions
  add column clicks jsonb not null default '{}',
  add constraint conversions_clicks_are_an_object check (jsonb_typeof(clicks) = 'object');

-- The clicks that are known and those that were seen now, the newer one of each network; the same click keeps its time.
-- A click that was seen without a time is of now, and gives way to any other. What is the browser's is the newest.
-- `of_a_click` are the names of what belongs to one click, `beside_ids` of what doesn't say which click it is.
create function public.merge_clicks(
  known jsonb, seen jsonb, of_a_click text[], beside_ids text[], seen_at timestamptz
) returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  merged jsonb := known;
  network text;
  k jsonb;
  s jsonb;
begin
  for network, s in select key, value from jsonb_each(seen) loop
    k := coalesce(known -> network, '{}');
    k := case
      when k - beside_ids = '{}' or s - beside_ids = '{}' then k || s
      when k - beside_ids = s - beside_ids then s || k || (s - of_a_click)
      when (s ->> 'at')::timestamptz > (k ->> 'at')::timestamptz then (k - of_a_click) || s
      else k || (s - of_a_click)
    end;
    if k - beside_ids <> '{}' and not k ? 'at' then
      k := k || jsonb_build_object('at', to_char(seen_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    end if;
    merged := merged || jsonb_build_object(network, k);
  end loop;
  return merged;
end
$$;

-- Google's click, of the columns; null if none of them is a click id: on leads they may be the site's own.
create function public.google_click(gclid text, gbraid text, wbraid text, click_at timestamptz) returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  ids jsonb := jsonb_strip_nulls(jsonb_build_object(
    'gclid', case when gclid ~ '^[A-Za-z0-9_-]+$' and length(gclid) <= 512 then gclid end,
    'gbraid', case when gbraid ~ '^[A-Za-z0-9_-]+$' and length(gbraid) <= 512 then gbraid end,
    'wbraid', case when wbraid ~ '^[A-Za-z0-9_-]+$' and length(wbraid) <= 512 then wbraid end
  ));
begin
  if ids = '{}' then
    return null;
  end if;
  return ids || jsonb_strip_nulls(
    jsonb_build_object('at', to_char(click_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
  );
end
$$;

-- Rows from before this migration. Nothing changes for the site, so its own triggers on leads needn't run.
update public.visitors
set clicks = jsonb_build_object('google', jsonb_strip_nulls(jsonb_build_object(
  'gclid', gclid, 'gbraid', gbraid, 'wbraid', wbraid, 'gad_source', gad_source, 'gad_campaignid', gad_campaignid,
  'at', to_char(click_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
)))
where coalesce(gclid, gbraid, wbraid) is not null;

update public.conversions
set clicks = jsonb_build_object('google', jsonb_strip_nulls(jsonb_build_object(
  'gclid', gclid, 'gbraid', gbraid, 'wbraid', wbraid,
  'at', to_char(click_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
)))
where coalesce(gclid, gbraid, wbraid) is not null;

do $$
declare
  enabled name[] := array(
    select tgname
    from pg_catalog.pg_trigger
    where tgrelid = 'public.leads'::regclass and not tgisinternal and tgenabled = 'O'
  );
  name name;
begin
  foreach name in array enabled loop
    execute format('alter table public.leads disable trigger %I', name);
  end loop;
  update public.leads l
  set clicks = l.clicks || jsonb_build_object('google', click)
  from (
    select id, public.google_click(gclid::text, gbraid::text, wbraid::text, click_at) as click
    from public.leads
    where coalesce(gclid::text, gbraid::text, wbraid::text) is not null
  ) known
  where l.id = known.id and known.click is not null and jsonb_typeof(l.clicks) = 'object';
  foreach name in array enabled loop
    execute format('alter table public.leads enable trigger %I', name);
  end loop;
end
$$;

-- The columns of Google's click and the click are the same: code that writes one of them has written both.
create function public.mirror_google_click() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  click jsonb := new.clicks -> 'google';
  ids jsonb;
  has_hints boolean := tg_table_name = 'visitors';
begin
  -- A column of the site's own.
  if jsonb_typeof(new.clicks) <> 'object' then
    return new;
  end if;
  if tg_op = 'INSERT' and click is not null
    or tg_op = 'UPDATE' and click is distinct from old.clicks -> 'google'
  then
    ids := public.google_click(click ->> 'gclid', click ->> 'gbraid', click ->> 'wbraid', null);
    new.gclid := ids ->> 'gclid';
    new.gbraid := ids ->> 'gbraid';
    new.wbraid := ids ->> 'wbraid';
    new.click_at := click ->> 'at';
    if has_hints then
      new.gad_source := click ->> 'gad_source';
      new.gad_campaignid := click ->> 'gad_campaignid';
    end if;
  elsif tg_op = 'INSERT'
    or (new.gclid::text, new.gbraid::text, new.wbraid::text, new.click_at)
      is distinct from (old.gclid::text, old.gbraid::text, old.wbraid::text, old.click_at)
  then
    click := public.google_click(new.gclid::text, new.gbraid::text, new.wbraid::text, new.click_at);
    if has_hints then
      click := click || jsonb_strip_nulls(
        jsonb_build_object('gad_source', new.gad_source, 'gad_campaignid', new.gad_campaignid)
      );
    end if;
    if click is not null then
      new.clicks := coalesce(new.clicks, '{}') || jsonb_build_object('google', click);
    elsif new.clicks ? 'google' then
      new.clicks := new.clicks - 'google';
    end if;
  end if;
  return new;
end
$$;

create trigger visitors_mirror_google_click
  before insert or update on public.visitors for each row execute function public.mirror_google_click();
create trigger leads_mirror_google_click
  before insert or update on public.leads for each row execute function public.mirror_google_click();
create trigger conversions_mirror_google_click
  before insert or update on public.conversions for each row execute function public.mirror_google_click();

revoke all on function public.merge_clicks(jsonb, jsonb, text[], text[], timestamptz)
  from public, anon, authenticated;
revoke all on function public.google_click(text, text, text, timestamptz) from public, anon, authenticated;
revoke all on function public.mirror_google_click() from public, anon, authenticated;
