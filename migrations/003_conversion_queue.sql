-- One row for each conversion and platform that is to hear of it.

create table public.conversion_queue (
  id uuid primary key default gen_random_uuid(),
  conversion_id uuid not null
    constraint conversion_queue_conversion_id_fkey references public.conversions (id) on delete cascade,
  platform text not null,
  status text not null default 'pending',
  -- Verdicts of the platform on this row. Outages, quotas, tokens and configuration don't count.
  retry_count integer not null default 0,
  max_retries integer not null default 5,
  -- Due from then on; null is now.
  next_retry_at timestamptz,
  last_error text,
  uploaded_at timestamptz,
  created_at timestamptz not null default now(),
  constraint conversion_queue_conversion_id_platform_key unique (conversion_id, platform),
  constraint conversion_queue_status_is_known check (status in ('pending', 'uploaded', 'failed', 'dead_letter')),
  constraint conversion_queue_retries_are_counted check (retry_count between 0 and max_retries),
  constraint conversion_queue_uploaded_has_a_time check (status <> 'uploaded' or uploaded_at is not null),
  constraint conversion_queue_dead_letter_has_a_reason check (status <> 'dead_letter' or last_error is not null)
);

-- What the uploader reads: open rows only, so it stays small however many rows are done.
create index conversion_queue_due_idx on public.conversion_queue (platform, next_retry_at)
  where status in ('pending', 'failed');

alter table public.conversion_queue enable row level security;
revoke all on table public.conversion_queue from public, anon, authenticated;
