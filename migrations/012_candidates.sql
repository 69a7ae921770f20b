-- Whose deal it is when leads of several browsers have its address: the deal says so, and many leads cost nothing.

set local lock_timeout = '5s';

alter table public.inbox
  -- Leads of several browsers have the address that the deal was matched by, or one came before the deal was sent.
  add column several_candidates boolean not null default false;

create index inbox_several_candidates_idx on public.inbox (matched_at) where several_candidates;

-- The oldest and the newest leads of an address, however many there are.
create index lead_emails_email_hash_created_at_idx on public.lead_emails (email_hash, created_at, lead_id);
drop index public.lead_emails_email_hash_idx;
create index leads_phone_hash_created_at_idx on public.leads (phone_hash, created_at, id)
  where phone_hash is not null;
drop index if exists public.leads_phone_hash_idx;

-- Deals that were matched by an address, for a lead that comes later.
create index inbox_one_candidate_email_idx on public.inbox (email_hash)
  where state = 'matched' and not several_candidates;
create index inbox_one_candidate_phone_idx on public.inbox (phone_hash)
  where state = 'matched' and not several_candidates;
create index inbox_one_candidate_other_emails_idx on public.inbox using gin (other_email_hashes)
  where state = 'matched' and not several_candidates and other_email_hashes <> '{}';

-- A lead doesn't change a match that was made. But if it is another browser's and nothing was sent yet, the operator
-- may have to: a stranger's form may have come first. Runs after leads_keep_emails, by its name.
create function public.leads_note_candidates() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  emails text[] := array(select email_hash from public.lead_emails where lead_id = new.id);
begin
  update public.inbox
  set several_candidates = true
  where id in (
    select i.id
    from public.inbox i
    join public.conversions c on c.id = i.conversion_id
    join public.leads l on l.id = c.lead_id
    where i.state = 'matched'
      and not i.several_candidates
      and i.matched_by in ('email', 'phone', 'deal')
      and (
        i.email_hash = any(emails)
        or i.phone_hash = new.phone_hash
        or (i.other_email_hashes <> '{}' and i.other_email_hashes && emails)
      )
      and coalesce(l.visitor_id::text, l.id::text) <> coalesce(new.visitor_id::text, new.id::text)
      and not exists (
        select from public.conversion_queue q where q.conversion_id = c.id and q.claims > 0
      )
    -- Whoever holds such a row may be waiting for a lead.
    for update of i skip locked
  );
  return null;
end
$$;
revoke all on function public.leads_note_candidates() from public, anon, authenticated;

create trigger leads_note_candidates
  after insert on public.leads
  for each row execute function public.leads_note_candidates();
