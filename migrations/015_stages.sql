-- Stages are declared (STAGES), so a conversion type is any name of a stage. `qualified` and `closed` are always there.

set local lock_timeout = '5s';

alter table public.conversions
  drop constraint conversions_type_is_known,
  add constraint conversions_type_is_a_stage check (conversion_type ~ '^[a-z][a-z0-9_]{0,39}$');

alter table public.inbox
  drop constraint inbox_type_is_known,
  add constraint inbox_type_is_a_stage check (conversion_type ~ '^[a-z][a-z0-9_]{0,39}$');

-- All stages of a deal: its name no longer tells the keys of its conversions.
create index conversions_crm_deal_id_idx on public.conversions (crm_deal_id);
