-- Health counts the newest of what is finished, rather than all of it.

set local lock_timeout = '5s';

-- The newest that a platform took.
create index conversion_queue_uploaded_at_idx on public.conversion_queue (uploaded_at) where status = 'uploaded';

-- Those of which nobody knows whether they count: the platform gave no verdict in time, or had them before.
create index conversion_queue_without_verdict_idx on public.conversion_queue (uploaded_at)
  where status = 'uploaded' and confirmed_at is null and next_status_check_at is null
    and coalesce(request_id, last_error_code) is not null;

-- Dead letters that somebody refused: the others were given up for their own reasons.
create index conversion_queue_refused_idx on public.conversion_queue (dead_lettered_at) include (adjusts)
  where status = 'dead_letter'
    and not coalesce(last_error_code in ('deal_lost', 'original_refused', 'consent_withdrawn'), false);

create index if not exists leads_spam_signs_idx on public.leads (created_at) where spam_signs <> '{}';
