-- How often anonymous callers may write: calls of each caller in an hour, and leads of callers above their limit.

set local lock_timeout = '5s';

-- Calls of this hour, of each address, browser and e-mail address, by hash. Unlogged: a crash only forgets the counts.
create unlogged table public.rate_counters (
  -- The endpoint, what kind of caller it is, and its hash.
  caller text not null,
  -- Each connection counts in a row of its own, so that calls of one caller needn't wait for each other.
  backend smallint not null,
  hour timestamptz not null,
  calls integer not null,
  primary key (caller, backend)
) with (fillfactor = 50);

create index rate_counters_hour_idx on public.rate_counters (hour);

-- Counts a call for each of its callers, unless one of them has used up more than `ceiling` times its limit. Returns
-- the largest part of a limit that is used with this call: above 1 it is over the limit.
create function public.count_call(callers text[], limits integer[], ceiling double precision, at timestamptz)
returns double precision
language plpgsql
set search_path = ''
as $$
declare
  this_hour timestamptz := date_trunc('hour', at);
  used double precision;
begin
  select coalesce(max(part), 0) into used
  from (
    select (coalesce(sum(r.calls), 0) + 1) / l.calls::double precision as part
    from unnest(callers, limits) as l (caller, calls)
    left join public.rate_counters r on r.caller = l.caller and r.hour >= this_hour
    group by l.caller, l.calls
  ) call;
  if used <= ceiling then
    insert into public.rate_counters as r (caller, backend, hour, calls)
    select caller, pg_backend_pid() % 64, this_hour, 1
    from unnest(callers) as caller
    -- In one order, so that two calls can't deadlock.
    order by caller
    on conflict (caller, backend) do update set
      -- Clocks differ: an hour that is over doesn't come back.
      calls = case when r.hour >= excluded.hour then r.calls + 1 else 1 end,
      hour = greatest(r.hour, excluded.hour);
  end if;
  return used;
end
$$;
revoke all on function public.count_call(text[], integer[], double precision, timestamptz)
  from public, anon, authenticated;

-- A lead of a caller above its limit. It is stored, and no deal is matched to it by its addresses.
alter table public.leads add column is_suspicious boolean not null default false;

create index leads_suspicious_idx on public.leads (created_at) where is_suspicious;

alter table public.rate_counters enable row level security;
revoke all on table public.rate_counters from public, anon, authenticated;
