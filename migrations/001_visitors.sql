-- A visitor is a browser that came by. The first touch (UTMs, landing page, referrer) is kept; the newest click id wins.

create table public.visitors (
  id uuid primary key default gen_random_uuid(),
  -- What the HttpOnly cookie carries; minted by Adtrail, never by the browser.
  visitor_id text not null constraint visitors_visitor_id_key unique,
  gclid text,
  utm_source text,
  utm_medium text,
  utm_campaign text,
  utm_term text,
  utm_content text,
  -- A keyed hash (HMAC-SHA-256) of the address. The address itself is never stored.
  ip_hash text,
  user_agent text,
  landing_page text,
  referrer text,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  constraint visitors_visitor_id_is_short check (length(visitor_id) between 1 and 64),
  constraint visitors_gclid_is_a_click_id check (gclid ~ '^[A-Za-z0-9_-]+$' and length(gclid) <= 512),
  constraint visitors_ip_hash_is_a_hash check (ip_hash ~ '^[0-9a-f]{64}$'),
  constraint visitors_were_seen_first_before_last check (first_seen_at <= last_seen_at)
);

create index visitors_gclid_idx on public.visitors (gclid) where gclid is not null;

-- No policy: nobody reads this table through Supabase's Data API. TRUNCATE is not covered by RLS, hence the revoke.
alter table public.visitors enable row level security;
revoke all on table public.visitors from public, anon, authenticated;
