-- A platform, or a conversion action, that is set up later hears of the conversions that still count.

set local lock_timeout = '5s';

-- What the platforms accepted when they were last asked about this conversion, as a fingerprint. Old code and rows from
-- before have none.
alter table public.conversions add column planned_for text not null default '';

create index conversions_planned_for_idx on public.conversions (planned_for, created_at);
