-- When the uploader last ended a run: from the database alone it can be told that its schedule stopped.

set local lock_timeout = '5s';

-- One row per deployment.
create table public.uploader_runs (
  -- What Lambda calls the function.
  function text primary key,
  ended_at timestamptz not null
);

-- No policy: nobody reads this table through Supabase's Data API. TRUNCATE is not covered by RLS, hence the revoke.
alter table public.uploader_runs enable row level security;
revoke all on table public.uploader_runs from public, anon, authenticated;
