-- What became of every conversion at every destination, and of every deal: each in exactly one state.

set local lock_timeout = '5s';

alter table public.uploader_runs
  -- What this run did while consent was unknown. Null: code from before said nothing.
  add column unknown_consent text,
  add constraint uploader_runs_unknown_consent_is_known check (unknown_consent in ('hold', 'send')) not valid;

-- Conversions -------------------------------------------------------------------------------------------------------

-- One row for each conversion and destination that it is queued for; one without a destination if it is for none.
-- Only what is stored decides, and for a lease the clock of Postgres, which leases have.
create view public.delivery_outcomes with (security_invoker = true) as
select
  c.id as conversion_id, q.id as queue_id, q.platform as destination, c.crm_deal_id, c.conversion_type, c.lead_id,
  c.site, c.occurred_at, c.value, c.currency, told.state,
  -- Why: of a skipped one the reason, of a waiting one what it waits for, of others the code that the queue has.
  case
    when told.state in ('waiting', 'skipped') then told.cause
    when told.state = 'held' then 'consent_unknown'
    when told.state = 'retracted' and c.retracted_at is null and back.id is not null then 'consent_withdrawn'
    when told.state = 'retracted' then 'deal_lost'
    when told.state in ('refused', 'expired', 'unconfirmed') then q.last_error_code
  end as reason_code,
  -- The sentence that is stored of it: of a pause, a failed attempt or a refusal.
  case
    when told.state = 'waiting' and told.cause = 'pause' then p.reason
    when told.state in ('waiting', 'refused', 'expired', 'unconfirmed') then q.last_error
  end as reason,
  -- Until when it waits, is held or is asked about. Null: nothing says when.
  case
    when told.state = 'accepted' then q.next_status_check_at
    when told.state = 'held' then q.expires_at
    when told.state = 'waiting' then
      case told.cause when 'answer' then q.locked_until when 'pause' then p.next_probe_at else q.next_retry_at end
  end as until,
  q.expires_at, q.uploaded_at, q.confirmed_at, q.dead_lettered_at, q.request_id, q.sent_to,
  -- What was to tell the destination that it was taken back: null if nothing had to.
  back.id as retraction_id, back.status as retraction_status, back.last_error as retraction_error
from public.conversions c
left join public.conversion_queue q on q.conversion_id = c.id and q.adjusts is null
left join public.platform_state p on p.platform = q.platform and p.state = 'paused'
left join lateral (
  select r.id, r.status, r.last_error
  from public.conversion_queue r
  where r.adjusts = q.id and r.platform like '%\_retractions'
  order by r.created_at desc, r.id
  limit 1
) back on true
cross join lateral (
  select
    q.status in ('pending', 'failed') as is_open,
    -- Who withdraws consent has it taken back only where the settings say so: then there is a row for it.
    c.retracted_at is not null or back.id is not null as is_taken_back,
    coalesce(c.skip_reason, case when c.ad_user_data = 'denied' then 'consent_denied' end) as skipped_for
) facts
cross join lateral (
  select
    case
      when is_taken_back or c.skip_reason = 'deal_lost' then 'retracted'
      when q.status = 'uploaded' and q.confirmed_at is not null then 'confirmed'
      when q.status = 'uploaded' and q.next_status_check_at is not null then 'accepted'
      when q.status = 'uploaded' then 'unconfirmed'
      when q.status = 'dead_letter' and q.last_error_code = 'deal_lost' then 'retracted'
      when q.status = 'dead_letter' and q.last_error_code = 'consent_withdrawn' then 'skipped'
      when q.status = 'dead_letter' and q.last_error_code = 'expired' then 'expired'
      when q.status = 'dead_letter' then 'refused'
      when skipped_for is not null then 'skipped'
      when is_open and q.locked_until > now() then 'waiting'
      when is_open and c.ad_user_data = 'unknown' and coalesce(
        (select r.unknown_consent from public.uploader_runs r order by r.ended_at desc limit 1), 'hold'
      ) = 'hold' then 'held'
      else 'waiting'
    end as state,
    case
      when q.status = 'dead_letter' then 'consent_denied'
      when skipped_for is not null then skipped_for
      when q.id is null then 'destination'
      when q.locked_until > now() then 'answer'
      when p.platform is not null then 'pause'
      when q.retry_count > 0 or q.transport_failures > 0 then 'retry'
      when q.next_retry_at is not null then 'click_age'
      else 'next_run'
    end as cause
) told;

-- Deals -------------------------------------------------------------------------------------------------------------

-- One row for each deal and stage that a CRM reported. Of several destinations the one that got furthest decides.
create view public.deal_outcomes with (security_invoker = true) as
select
  i.id as inbox_id, i.source, i.crm_deal_id, i.conversion_type, i.value, i.currency, i.occurred_at, i.reported_at,
  i.received_at, i.conversion_id, coalesce(d.lead_id, i.lead_id) as lead_id, d.site, d.queue_id, d.destination,
  case
    when i.state = 'expired' then 'expired'
    when i.state = 'awaiting_lead' and public.undone_at(i.crm_deal_id, i.occurred_at) is not null then 'lost'
    when i.state = 'awaiting_lead' then 'awaiting_lead'
    -- Its conversion was deleted by hand: nothing says that it counts.
    else coalesce(d.state, 'missing')
  end as state,
  case when i.state = 'expired' then 'no_lead' else d.reason_code end as reason_code,
  d.reason,
  case when i.state = 'awaiting_lead' then i.received_at + interval '90 days' else d.until end as until,
  d.retraction_status
from public.inbox i
left join lateral (
  select o.*
  from public.delivery_outcomes o
  where o.conversion_id = i.conversion_id
  order by array_position(
    array[
      'confirmed', 'accepted', 'unconfirmed', 'waiting', 'held', 'refused', 'expired', 'retracted', 'skipped'
    ],
    o.state
  ), o.destination
  limit 1
) d on i.state = 'matched';

-- Nobody but the owner ----------------------------------------------------------------------------------------------

revoke all on table public.delivery_outcomes, public.deal_outcomes from public, anon, authenticated;
