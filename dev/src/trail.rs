//! The demo site's own routes: `GET /dev/trail`, what is stored of the visitor who asks, and `POST /dev/forget`.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response as AxumResponse};
use serde_json::{Value, json};
use shared::db::{Db, DbError};
use shared::http::{Problem, Request, cookies, json};
use shared::visitors::VisitorId;

use crate::gateway::to_axum;

const TRAIL: &str = "-- trail::of
    with lead as (
        select * from public.leads where visitor_id = $1 order by created_at desc, id limit 1
    ),
    deals as (
        select distinct i.crm_deal_id
        from public.inbox i
        cross join lead l
        left join public.conversions c on c.id = i.conversion_id
        where l.id in (i.lead_id, c.lead_id)
    ),
    queued as (
        select
            q.id, q.conversion_id, q.platform, q.status, q.adjusts, q.created_at, q.next_retry_at,
            q.transport_failures, q.retry_count, q.last_error, q.last_error_code, q.request_id, q.sent_to,
            q.uploaded_at, q.confirmed_at, q.dead_lettered_at,
            q.locked_until is not null as is_being_sent
        from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        join lead l on l.id = c.lead_id
    )
    select jsonb_build_object(
        'now', now(),
        'visitor', (
            select to_jsonb(v) - array['id', 'ip_hash', 'referrer']
            from public.visitors v
            where v.visitor_id = $1
        ),
        'consent', (
            select jsonb_agg(
                jsonb_build_object('purpose', purpose, 'value', value, 'source', source, 'at', stated_at)
                order by stated_at, s.id
            )
            from public.consent_statements s
            where s.visitor_id = $1
        ),
        'events', (
            select jsonb_agg(
                jsonb_build_object(
                    'name', e.event_name, 'id', e.event_id, 'at', e.created_at,
                    'analytics_storage', e.analytics_storage,
                    -- To Google Analytics.
                    'delivery', (
                        select to_jsonb(q) - array['id', 'event', 'lock_token']
                        from public.event_queue q
                        where q.event = e.id
                        order by q.destination
                        limit 1
                    )
                )
                order by e.created_at
            )
            from public.tracking_events e
            where e.visitor_id = $1
        ),
        'lead', (select to_jsonb(lead) - array['message', 'payload_hash', 'ip_hash'] from lead),
        -- What the CRM said, webhook by webhook.
        'reports', (
            select jsonb_agg(
                convert_from(r.body, 'UTF8')::jsonb
                    || jsonb_build_object('at', e.received_at, 'verified_by', r.verified_by)
                order by e.received_at, e.id
            )
            from public.inbox_events e
            join public.inbox_receipts r on r.id = e.receipt_id
            where e.crm_deal_id in (select crm_deal_id from deals)
                and e.state = 'taken' and e.source = 'crm-conversion'
        ),
        'inbox', (
            select jsonb_agg(
                jsonb_build_object('type', conversion_type, 'state', state, 'matched_by', matched_by)
            )
            from public.inbox
            where crm_deal_id in (select crm_deal_id from deals)
        ),
        'conversions', (
            select jsonb_agg(to_jsonb(c) order by c.created_at, c.id)
            from public.conversions c
            join lead l on l.id = c.lead_id
        ),
        'queue', (
            select jsonb_agg(
                to_jsonb(q) || jsonb_build_object(
                    'attempts', (
                        select jsonb_agg(
                            to_jsonb(a) - array['id', 'queue_ids', 'exchange_id'] order by a.attempted_at
                        )
                        from (
                            select *
                            from public.upload_attempts
                            where queue_ids @> array[q.id]
                            order by attempted_at desc
                            limit 20
                        ) a
                    )
                )
                order by q.created_at, q.id
            )
            from queued q
        ),
        'paused', (
            select jsonb_object_agg(platform, reason) from public.platform_state where state = 'paused'
        )
    )";

/// Answers with the trail of the visitor whose cookie comes along; scripts of the page can't read that.
pub async fn answer(db: &Db, headers: HeaderMap) -> AxumResponse {
    let mut request = Request::default();
    *request.headers_mut() = headers;
    let trail = match cookies::visitor(&request) {
        Some(visitor) => of(db, visitor).await,
        None => Ok(json!({"visitor": null})),
    };
    to_axum(trail.map_or_else(|error| Problem::from(error).into_response(), |trail| json(StatusCode::OK, &trail)))
}

/// Has the browser forget who it is, and go back to the ad.
pub fn forget(headers: &HeaderMap) -> AxumResponse {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response();
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let names = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split('=').next());
    for name in names.filter(|name| name.contains("adtrail")) {
        let expired = format!("{name}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax");
        if let Ok(expired) = HeaderValue::try_from(expired) {
            response.headers_mut().append(header::SET_COOKIE, expired);
        }
    }
    response
}

/// What is stored of this visitor, of their newest lead and of its deals: `visitor` is null if nothing is.
///
/// # Errors
/// When the database doesn't answer.
pub async fn of(db: &Db, visitor: VisitorId) -> Result<Value, DbError> {
    db.tx(async |tx| sqlx::query_scalar(TRAIL).bind(visitor.to_string()).fetch_one(tx).await.map_err(DbError::from))
        .await
}
