-- What the uploader counts in each run, for metrics: recent dead letters, without going through the whole queue.

set local lock_timeout = '5s';

create index conversion_queue_dead_lettered_at_idx on public.conversion_queue (dead_lettered_at)
  where status = 'dead_letter';
