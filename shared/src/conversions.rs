//! Conversions: deals that reached a stage worth telling the ad platforms, matched to their leads.

mod changes;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

pub use changes::{Restated, reopen, restate};

use crate::app::App;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx, json};
use crate::identity::Hash;
use crate::inbox::matching::{self, Match, Waiting, find_leads};
use crate::leads;
use crate::platforms;

/// Waiting deals looked at together: all of them may find their leads at once.
const PAGE: u16 = 500;

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
    /// The operator said so.
    Manual,
    /// The CRM echoed our lead id.
    LeadId,
    /// The lead is known by the e-mail address.
    Email,
    /// The phone hashes are the same.
    Phone,
    /// Another stage of the deal was matched to it.
    Deal,
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
    let matches = find_leads(tx, waiting).await?;
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

/// Looks at every waiting deal again, page by page until `end`: matching when a deal or its lead arrives is for speed, this
/// is the guarantee. Answers how many found their lead.
///
/// # Errors
/// Those of the database.
pub async fn rematch(app: &App, end: DateTime<Utc>) -> Result<u64, DbError> {
    let (mut matched, mut after) = (0, None);
    while app.clock.now() < end {
        let page = app.db.tx(async |tx| -> Result<_, DbError> {
            let Some(until) = matching::end_of_page(tx, after, PAGE).await? else { return Ok(None) };
            Ok(Some((until, record_matches(tx, app, Waiting::Page(after, until)).await?.len())))
        });
        let Some((until, found)) = page.await? else { break };
        matched += found as u64;
        after = Some(until);
    }
    Ok(matched)
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

/// Losses are looked up here and not with the leads: [`find_leads`] has locked the deal since, so that one that
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
        ),
        -- What is surely the lead's deal tells what else the lead is known by. A phone may be a whole company's.
        learned as (
            insert into public.lead_emails (lead_id, email_hash)
            select distinct d.lead_id, address
            from decision d
            join public.inbox i on i.id = d.inbox_id
            cross join unnest(i.other_email_hashes || i.email_hash) as address
            where d.matched_by in ('manual', 'lead_id', 'deal') and address is not null
            on conflict do nothing
        )
        update public.inbox i
        set state = 'matched', conversion_id = r.id, matched_at = $2, matched_by = d.matched_by
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
