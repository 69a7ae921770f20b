-- An event's id counts per visitor: one that another browser has used no longer swallows an event.
--
-- The natural key would be (visitor_id, event_id), but `on conflict (event_id)` of the code before this migration needs
-- event_id to stay unique alone. So event_id remains the key. The first to use an id has it as it was sent; where it is
-- taken, a slash and a hash of visitor and id follow. No id that is sent has a slash in it. A key doesn't change when
-- its visitor is erased (on delete set null), so two rows can't become one, and the hash doesn't tell whose it was.
--
-- leads.transaction_id is used the same way and has no limit to widen.

-- The table may be in use: give up rather than queue up behind a long transaction.
set local lock_timeout = '5s';

-- 128 characters as sent, the slash, and 32 hexadecimal digits. Rows there are fit the narrower limit: not valid spares
-- the scan of the table under the lock.
alter table public.tracking_events
  drop constraint tracking_events_event_id_is_short,
  add constraint tracking_events_event_id_is_short check (length(event_id) between 1 and 161) not valid;
