//! Conversions: deals that reached a stage worth telling the ad platforms, matched to their leads.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx, json};
use crate::identity::Hash;
use crate::inbox::{self, Match, Waiting};
use crate::leads;
use crate::platforms::{self, Operation};

/// The stage a deal reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum ConversionType {
    /// Sales took it up.
    Qualified,
    /// It was won.
    Closed,
}

crate::db::text_in_sql!(ConversionType);

impl ConversionType {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Qualified, Self::Closed];

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qualified => "qualified",
            Self::Closed => "closed",
        }
    }

    /// # Errors
    /// The types there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|it| it.as_str() == text).ok_or_else(|| "must be qualified or closed".into())
    }
}

/// The rule that found a deal's lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The CRM echoed our lead id.
    LeadId,
    /// The e-mail hashes are the same.
    Email,
    /// The phone hashes are the same.
    Phone,
}

crate::db::text_in_sql!(MatchedBy);

/// Why no platform hears of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The person said no.
    ConsentDenied,
    /// Neither click id nor hashed e-mail or phone.
    NoAttribution,
    /// No platform has a conversion action for this type.
    NoConversionAction,
    /// The deal was lost before any platform heard of it.
    DealLost,
}

/// What became of a deal whose lead was found.
#[derive(Debug)]
pub struct Recorded {
    /// The conversion.
    pub conversion_id: Uuid,
    /// The platforms that will hear of it.
    pub platforms: Vec<&'static str>,
    /// Why none will.
    pub skip_reason: Option<SkipReason>,
}

/// What platforms recognise a conversion by: the same for the same deal and type, for ever, without personal data and
/// never all digits. 128 bits of a SHA-256.
#[must_use]
pub fn transaction_id(idempotency_key: &str) -> String {
    format!("adtrail-{}", &Hash::of(idempotency_key).as_str()[..32])
}

/// Matches waiting deals to leads and records what they become: a conversion each, and a queue row for every platform
/// that accepts it. All in the caller's transaction.
///
/// # Errors
/// Those of the database.
pub async fn record_matches(tx: &mut Tx, app: &App, waiting: Waiting<'_>) -> Result<Vec<Recorded>, DbError> {
    let matches = inbox::find_leads(tx, waiting).await?;
    if matches.is_empty() {
        return Ok(Vec::new());
    }
    let decisions: Vec<_> = matches.iter().map(|found| Decision::on(app, found)).collect();
    let mut rows = record(tx, &decisions, app.clock.now()).await?;
    let lost: Vec<_> = rows.iter().filter(|row| row.is_lost).map(|row| row.crm_deal_id.as_str()).collect();
    if !lost.is_empty() {
        leads::renew_status(tx, &lost).await?;
    }
    Ok(decisions
        .into_iter()
        .filter_map(|decision| {
            let at = rows.iter().position(|row| row.inbox_id == decision.inbox_id)?;
            let row = rows.swap_remove(at);
            let (platforms, skip_reason) = if row.is_undone {
                (Vec::new(), Some(SkipReason::DealLost))
            } else {
                (decision.platforms, decision.skip_reason)
            };
            Some(Recorded { conversion_id: row.conversion_id, platforms, skip_reason })
        })
        .collect())
}

/// What to record for a match. Names are the SQL's.
#[derive(Debug, Serialize)]
struct Decision {
    inbox_id: Uuid,
    lead_id: Uuid,
    matched_by: MatchedBy,
    idempotency_key: String,
    transaction_id: String,
    platforms: Vec<&'static str>,
    skip_reason: Option<SkipReason>,
    due_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

impl Decision {
    fn on(app: &App, found: &Match) -> Self {
        let platforms = platforms::accepting(&app.config, found.conversion_type);
        let skip_reason = if found.ad_user_data == ConsentStatus::Denied {
            Some(SkipReason::ConsentDenied)
        } else if !found.has_click_id && !found.has_user_data {
            Some(SkipReason::NoAttribution)
        } else if platforms.is_empty() {
            Some(SkipReason::NoConversionAction)
        } else {
            None
        };
        let idempotency_key = format!("{}:{}", found.crm_deal_id, found.conversion_type.as_str());
        let clicked_at = found.click_at.filter(|_| found.has_click_id);
        Self {
            inbox_id: found.inbox_id,
            lead_id: found.lead_id,
            matched_by: found.matched_by,
            transaction_id: transaction_id(&idempotency_key),
            idempotency_key,
            platforms: if skip_reason.is_none() { platforms } else { Vec::new() },
            skip_reason,
            due_at: clicked_at.and_then(|at| at.checked_add_signed(app.config.timing.click_hold)),
            // Click ids count for 90 days, hashed user data for 63 (Google Ads Help, "About enhanced conversions for
            // leads"); the hash was taken when the lead came.
            expires_at: match clicked_at {
                Some(at) => at.checked_add_signed(TimeDelta::days(90)),
                None => found.lead_at.checked_add_signed(TimeDelta::days(63)),
            },
        }
    }
}

/// What was recorded. Names are the SQL's.
struct Row {
    inbox_id: Uuid,
    conversion_id: Uuid,
    crm_deal_id: String,
    /// The deal was lost after it reached the stage.
    is_lost: bool,
    /// It was closed, and the loss undoes it.
    is_undone: bool,
}

/// Losses are looked up here and not with the leads: [`inbox::find_leads`] has locked the deal since, so that one that
/// comes now waits and finds the conversion.
async fn record(tx: &mut Tx, decisions: &[Decision], now: DateTime<Utc>) -> Result<Vec<Row>, DbError> {
    let rows = sqlx::query_as!(
        Row,
        r#"-- conversions::record
        with decision as (
            select *
            from jsonb_to_recordset($1) as d (
                inbox_id uuid, lead_id uuid, matched_by text, idempotency_key text, transaction_id text,
                platforms text[], skip_reason text, due_at timestamptz, expires_at timestamptz
            )
            -- Tells the planner that they are few.
            limit $3
        ),
        recorded as (
            insert into public.conversions as c (
                lead_id, conversion_type, value, currency, idempotency_key, crm_deal_id, occurred_at, transaction_id,
                gclid, gbraid, wbraid, click_at, session_attributes, email_hash, email_hash_google, phone_hash,
                utm_source, utm_medium, utm_campaign, utm_term, utm_content,
                ad_user_data, ad_personalization, matched_by, skip_reason, retracted_at, created_at
            )
            select
                l.id, i.conversion_type, i.value, i.currency, d.idempotency_key, i.crm_deal_id, i.occurred_at,
                d.transaction_id,
                -- The site may have had columns of its own by these names, with whatever in them.
                case when l.gclid ~ '^[A-Za-z0-9_-]+$' and length(l.gclid) <= 512 then l.gclid end,
                case when l.gbraid ~ '^[A-Za-z0-9_-]+$' and length(l.gbraid) <= 512 then l.gbraid end,
                case when l.wbraid ~ '^[A-Za-z0-9_-]+$' and length(l.wbraid) <= 512 then l.wbraid end,
                l.click_at,
                case
                    when l.session_attributes ~ '^[A-Za-z0-9._=+/-]+$' and length(l.session_attributes) <= 4096
                        then l.session_attributes
                end,
                -- The address of the form is the one the click belongs to.
                coalesce(l.email_hash, i.email_hash), coalesce(l.email_hash_google, i.email_hash_google),
                coalesce(l.phone_hash, i.phone_hash),
                l.utm_source, l.utm_medium, l.utm_campaign, l.utm_term, l.utm_content,
                l.ad_user_data, l.ad_personalization, d.matched_by,
                case when lost.lost_at is null then d.skip_reason else 'deal_lost' end, lost.lost_at, $2
            from decision d
            join public.inbox i on i.id = d.inbox_id
            join public.leads l on l.id = d.lead_id
            left join public.lost_deals lost
                on lost.crm_deal_id = i.crm_deal_id and lost.lost_at >= i.occurred_at and i.conversion_type = 'closed'
            on conflict (idempotency_key) do update set skip_reason = coalesce(c.skip_reason, excluded.skip_reason)
            returning id, idempotency_key, lead_id, conversion_type, skip_reason is not distinct from 'deal_lost' as is_undone
        ),
        queued as (
            insert into public.conversion_queue (conversion_id, platform, next_retry_at, expires_at, created_at)
            select r.id, platform, d.due_at, d.expires_at, $2
            from recorded r
            join decision d using (idempotency_key)
            cross join unnest(d.platforms) as platform
            where not r.is_undone
            on conflict (conversion_id, platform) do nothing
        ),
        advanced as (
            update public.leads l
            set conversion_status = r.furthest
            -- 'closed' is further than 'qualified', and first in the alphabet.
            from (select lead_id, min(conversion_type) as furthest from recorded group by lead_id) r
            where l.id = r.lead_id and l.conversion_status <> 'closed' and l.conversion_status <> r.furthest
        )
        update public.inbox i
        set state = 'matched', conversion_id = r.id, matched_at = $2
        from recorded r
        join decision d using (idempotency_key)
        where i.id = d.inbox_id
        returning
            i.id as inbox_id, r.id as conversion_id, i.crm_deal_id, r.is_undone as "is_undone!",
            exists (
                select from public.lost_deals l where l.crm_deal_id = i.crm_deal_id and l.lost_at >= i.occurred_at
            ) as "is_lost!""#,
        json(decisions)?,
        now,
        i64::try_from(decisions.len()).unwrap_or(i64::MAX),
    )
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

/// Lets a deal that closed again after its loss be recorded anew, if no platform heard of it before: platforms take
/// nothing again that was taken back. Answers whether it now waits for [`record_matches`].
///
/// # Errors
/// Those of the database.
pub async fn reopen(tx: &mut Tx, inbox_id: Uuid, closed_at: DateTime<Utc>) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "-- conversions::reopen
        with reopened as (
            update public.conversions c
            set value = i.value, currency = i.currency, occurred_at = $2, skip_reason = null, retracted_at = null
            from public.inbox i
            join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
            where i.id = $1 and c.id = i.conversion_id and c.conversion_type = 'closed' and c.skip_reason = 'deal_lost'
                and d.lost_at < $2
            returning c.id
        )
        update public.inbox i
        set state = 'awaiting_lead', conversion_id = null, matched_at = null, occurred_at = $2
        from reopened
        where i.id = $1",
        inbox_id,
        closed_at,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A conversion whose value changed.
#[derive(Debug)]
pub struct Restated {
    /// The platforms that will be told, because they know of the old value.
    pub platforms: Vec<String>,
}

/// Brings a conversion's value in line with the report that stands, and has it corrected where a platform may know of the
/// old one. None when it is what it was.
///
/// # Errors
/// Those of the database.
pub async fn restate(tx: &mut Tx, inbox_id: Uuid, now: DateTime<Utc>) -> Result<Option<Restated>, DbError> {
    // Locks the conversion against a claim; one that came first is seen by the next statement.
    let conversion_id = sqlx::query_scalar!(
        "-- conversions::restate
        update public.conversions c
        -- Google tells corrections apart by the second.
        set value = i.value, currency = i.currency, restated_at = greatest($2, c.restated_at + interval '1 second')
        from public.inbox i
        where i.id = $1 and c.id = i.conversion_id and (c.value, c.currency) is distinct from (i.value, i.currency)
        returning c.id",
        inbox_id,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(conversion_id) = conversion_id else { return Ok(None) };
    let (uploads, restatements) = platforms::corrections(Operation::Restatement);
    let platforms = sqlx::query_scalar!(
        "-- conversions::restate_at_platforms
        insert into public.conversion_queue as q (conversion_id, platform, adjusts, expires_at, created_at)
        select c.id, way.restatements, told.id, c.occurred_at + interval '54 days', $4
        from public.conversions c
        join public.conversion_queue told on told.conversion_id = c.id
        join unnest($2::text[], $3::text[]) as way (uploads, restatements) on way.uploads = told.platform
        where c.id = $1 and c.retracted_at is null
            -- Whoever never claimed it can't have sent the old value.
            and told.claims > 0 and told.status <> 'dead_letter'
        on conflict (conversion_id, platform) do update
        -- Told again, from the start and due as of now. An attempt with the value before loses its lease.
        set status = 'pending', retry_count = 0, transport_failures = 0, next_retry_at = $4, request_id = null,
            confirmed_at = null, next_status_check_at = null, status_checks = 0, send_alone = false,
            last_error = null, last_error_code = null, dead_lettered_at = null, locked_until = null, lock_token = null
        returning platform",
        conversion_id,
        &uploads,
        &restatements,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(Some(Restated { platforms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_is_stable_and_has_a_letter() {
        let id = transaction_id("1042:closed");
        assert_eq!(id, transaction_id("1042:closed"));
        assert_ne!(id, transaction_id("1042:qualified"));
        assert!(id.starts_with("adtrail-") && id.len() == 40, "{id}");
        assert!(!transaction_id("jane@example.com:closed").contains('@'));
    }
}
