-- Several destinations: where a conversion was sent is kept, and one whose click is another account's is passed on.

set local lock_timeout = '5s';

alter table public.conversion_queue
  -- What the platform calls the place it was sent to when it accepted it, such as an account and a conversion action.
  -- Corrections go there.
  add column sent_to text,
  -- Destinations that said its click belongs to another account than theirs.
  add column declined_by text[] not null default '{}',
  -- The platform that its destination is an account of. Rows from before, and of old code, are Google Ads'.
  add column kind text not null default 'google-ads';
