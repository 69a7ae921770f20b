-- By which version of the reading of addresses and phone numbers a deal's person was read. The uploader reads deals
-- that wait once more, from their kept bodies, when a new version knows more spellings.

set local lock_timeout = '5s';

-- 0: before versions were counted, or by a deployment that doesn't know them.
alter table public.inbox add column reading smallint not null default 0;

create index inbox_awaiting_reading_idx on public.inbox (reading, received_at, id) where state = 'awaiting_lead';
