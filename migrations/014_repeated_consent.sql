-- A page view that repeats the banner's yes doesn't lift a no that the person said elsewhere since, such as in a form.

set local lock_timeout = '5s';

-- Every page view carries the banner's state. It is kept when it differs from what page views and the banner said last.
-- A no, and an answer to the banner, is also kept when the browser said otherwise since, in a form; and a no when a CRM
-- or the operator may have lifted it since. A yes of a page view is not: it was said before the form's no.
create or replace function public.consent_statements_skip_repeated() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  banner record;
  last record;
begin
  select value into banner
  from public.consent_statements
  where visitor_id = new.visitor_id and purpose = new.purpose and lead_id is null
  order by stated_at desc, id desc
  limit 1;
  if banner.value is distinct from new.value then
    return new;
  end if;
  if new.source = 'visit' and new.value = 'granted' then
    return null;
  end if;
  select value, stated_at into last
  from public.consent_statements
  where visitor_id = new.visitor_id and purpose = new.purpose
  order by stated_at desc, id desc
  limit 1;
  if last.value is distinct from new.value then
    return new;
  end if;
  if new.value = 'denied' and exists (
    select from public.consent_statements
    where case when value = 'granted' and source in ('crm', 'operator') then purpose end = new.purpose
      and stated_at >= last.stated_at
  ) then
    return new;
  end if;
  return null;
end
$$;
