-- What nobody saw: ignored events by the value that no rule knew, and paid visits without a click id; and conversions
-- that Google takes only as of another second.

set local lock_timeout = '5s';

alter table public.conversion_queue
  -- Google counts one conversion of a click at a time: so many seconds later than it was it is said to be, because
  -- another one is there.
  add column seconds_later integer not null default 0,
  add constraint conversion_queue_seconds_later_is_not_negative check (seconds_later >= 0) not valid;

-- Those that went without their click id, among which are those whose click belongs to another account.
create index conversion_queue_omit_click_id_idx on public.conversion_queue (platform) where omit_click_id;
