//! Takes due events of a lane to send them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use super::LEASE_SECONDS;
use crate::analytics::EventToSend;
use crate::consent::{Consent, ConsentStatus, UnknownConsent};
use crate::db::{DbError, Tx};
use crate::identity::{ClientId, Hash};

/// Which events are claimed.
#[derive(Clone, Copy, Debug)]
pub struct Claiming<'a> {
    pub lane: &'a str,
    /// The measurement id of the stream, which says which session of the browser counts.
    pub stream: &'a str,
    /// Older ones have expired.
    pub since: DateTime<Utc>,
    /// Whether the person's addresses may go along without an answer about consent.
    pub unknown_consent: UnknownConsent,
    pub limit: usize,
}

/// Rows claimed together. Whoever gets one sends its events: without an outcome they count as sent.
#[derive(Debug)]
pub struct Claim {
    pub(super) token: Uuid,
    /// What to send, in the order of their queue ids.
    pub events: Vec<EventToSend>,
    /// How often each of them failed to be sent.
    pub(super) failures: Vec<i32>,
    /// Rows whose browser can't be named: its visitor was erased.
    pub(super) nameless: Vec<Uuid>,
}

impl Claim {
    /// Nothing was due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.nameless.is_empty()
    }
}

/// Claims due events, the oldest first.
pub async fn claim(tx: &mut Tx, of: Claiming<'_>, now: DateTime<Utc>) -> Result<Claim, DbError> {
    let token = Uuid::new_v4();
    let rows = sqlx::query!(
        r#"-- event_queue::claim
        with due as materialized (
            select id
            from public.event_queue
            where destination = $1 and status = 'pending' and lock_token is null
                and (next_retry_at is null or next_retry_at <= $2)
                and created_at >= $3
            order by created_at, id
            limit $4
            for no key update skip locked
        ),
        leased as (
            update public.event_queue q
            set locked_until = now() + make_interval(secs => $5), lock_token = $6, claims = q.claims + 1
            from due
            where q.id = due.id
            returning q.id, q.event, q.transport_failures
        )
        select
            l.id, l.transport_failures, e.event_id, e.event_name, e.params as "params: Json<Map<String, Value>>",
            e.page_url, e.created_at, e.visitor_id, e.ga_client_id as "client_id: ClientId",
            (e.ga_sessions ->> $7)::bigint as session_id, coalesce(e.user_agent, v.user_agent) as user_agent,
            -- A no counts, whenever it was said.
            case
                when 'denied' in (e.ad_user_data, v.ad_user_data) then 'denied'
                else coalesce(nullif(e.ad_user_data, 'unknown'), v.ad_user_data, 'unknown')
            end as "ad_user_data!: ConsentStatus",
            case
                when 'denied' in (e.ad_personalization, v.ad_personalization) then 'denied'
                else coalesce(nullif(e.ad_personalization, 'unknown'), v.ad_personalization, 'unknown')
            end as "ad_personalization!: ConsentStatus",
            person.email_hash_google as "email_hash_google?: Hash", person.phone_hash as "phone_hash?: Hash"
        from leased l
        join public.tracking_events e on e.id = l.event
        left join public.visitors v on v.visitor_id = e.visitor_id
        left join lateral (
            select email_hash_google, phone_hash
            from public.leads
            where visitor_id = e.visitor_id and not is_suspicious
            order by created_at desc
            limit 1
        ) person on true
        order by l.id"#,
        of.lane,
        now,
        of.since,
        i64::try_from(of.limit).unwrap_or(i64::MAX),
        f64::from(LEASE_SECONDS),
        token,
        of.stream,
    )
    .fetch_all(tx)
    .await?;
    let mut claim = Claim { token, events: Vec::new(), failures: Vec::new(), nameless: Vec::new() };
    for row in rows {
        let derived = || row.visitor_id.as_deref().map(ClientId::derived_from);
        let Some(client_id) = row.client_id.clone().or_else(derived) else {
            claim.nameless.push(row.id);
            continue;
        };
        let may_name_person = row.ad_user_data.may_be_sent(of.unknown_consent);
        claim.failures.push(row.transport_failures);
        claim.events.push(EventToSend {
            queue_id: row.id,
            event_id: row.event_id,
            name: row.event_name,
            params: row.params.0,
            page_url: row.page_url,
            at: row.created_at,
            client_id,
            session_id: row.session_id,
            user_agent: row.user_agent,
            consent: Consent { ad_user_data: row.ad_user_data, ad_personalization: row.ad_personalization },
            email_hash_google: row.email_hash_google.filter(|_| may_name_person),
            phone_hash: row.phone_hash.filter(|_| may_name_person),
        });
    }
    Ok(claim)
}
