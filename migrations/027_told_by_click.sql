-- A deal that brings the id of its click, and of which no lead is known, is told by that.

set local lock_timeout = '5s';

alter table public.conversions
  alter column lead_id drop not null,
  drop constraint conversions_matched_by_is_known,
  add constraint conversions_matched_by_is_known check (
    matched_by in ('manual', 'lead_id', 'email', 'phone', 'deal', 'click')
  ),
  add constraint conversions_without_lead_have_a_click check (
    lead_id is not null or matched_by is not distinct from 'click'
  );

alter table public.inbox
  drop constraint inbox_matched_by_is_known,
  add constraint inbox_matched_by_is_known check (
    matched_by in ('manual', 'lead_id', 'email', 'phone', 'deal', 'click')
  );

-- Those whose lead may still come.
create index conversions_without_lead_idx on public.conversions (created_at) where lead_id is null;
