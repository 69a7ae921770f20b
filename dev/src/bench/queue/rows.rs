//! Leads whose deals were closed, a second apart, and their rows in the queue.

use std::ops::RangeInclusive;

use sqlx::PgConnection;

/// The most rows in a request. Half of the finished ones were sent in such requests, the others one per request.
pub const BATCH: i64 = 2_000;

/// Due rows of each destination but the first.
const DUE_OF_OTHERS: i64 = 1_000;

/// Puts so many finished rows into an empty database, with their requests in the log, and so many that are due for the
/// first of these destinations. The finished ones are those of all destinations, and the others have due rows, too.
pub async fn fill(
    connection: &mut PgConnection,
    destinations: &[String],
    finished: i64,
    due: i64,
) -> anyhow::Result<()> {
    sqlx::raw_sql(FOR_MANY_ROWS).execute(&mut *connection).await?;
    insert(connection, destinations, true, 1..=finished).await?;
    log(connection).await?;
    let (first, others) = destinations.split_at(1);
    insert(connection, first, false, finished + 1..=finished + due).await?;
    if !others.is_empty() {
        let of_others = DUE_OF_OTHERS * i64::try_from(others.len())?;
        insert(connection, others, false, finished + due + 1..=finished + due + of_others).await?;
    }
    sqlx::raw_sql("reindex schema public").execute(&mut *connection).await?;
    sqlx::raw_sql("vacuum analyze").execute(connection).await?;
    Ok(())
}

/// What refers to something is inserted with it, so nothing is looked up again; and indexes are made afterwards
/// (`reindex` brings those back that aren't ready). Together that takes less than half the time.
const FOR_MANY_ROWS: &str = "-- rows::FOR_MANY_ROWS
    set session_replication_role = replica;
    set work_mem = '256MB';
    set maintenance_work_mem = '256MB';
    update pg_catalog.pg_index set indisready = false
    where indrelid in (select oid from pg_catalog.pg_class where relnamespace = 'public'::regnamespace)";

/// Rows with these numbers: uploaded and confirmed, or due.
async fn insert(
    connection: &mut PgConnection,
    destinations: &[String],
    finished: bool,
    numbers: RangeInclusive<i64>,
) -> anyhow::Result<()> {
    sqlx::query(
        "-- rows::insert
        with person as materialized (
            select
                n, gen_random_uuid() as lead_id, gen_random_uuid() as conversion_id,
                encode(sha256(convert_to('email-' || n, 'UTF8')), 'hex') as email_hash,
                encode(sha256(convert_to('phone-' || n, 'UTF8')), 'hex') as phone_hash,
                'Bench-' || encode(sha256(convert_to('click-' || n, 'UTF8')), 'hex') as gclid,
                'adtrail-' || left(encode(sha256(convert_to('deal-' || n, 'UTF8')), 'hex'), 32) as transaction_id,
                now() - case when $3 then interval '30 days' else interval '1 hour' end - make_interval(secs => $2 - n)
                    as closed_at
            from generate_series($1::bigint, $2::bigint) n
        ),
        clicked as materialized (
            -- Triggers don't fire here, so the click is written both ways.
            select
                person.*, closed_at - interval '2 days' as click_at,
                jsonb_build_object(
                    'google', jsonb_build_object('gclid', gclid, 'at', closed_at - interval '2 days')
                ) as clicks
            from person
        ),
        lead as (
            insert into public.leads (
                id, name, email, email_hash, email_hash_google, phone_hash, gclid, click_at, clicks, created_at,
                ad_user_data, ad_personalization, conversion_status, transaction_id
            )
            select
                lead_id, 'Jane Doe', 'jane.' || n || '@example.com', email_hash, email_hash, phone_hash, gclid,
                click_at, clicks, closed_at - interval '1 day', 'granted', 'granted', 'closed', 'lead-' || n
            from clicked
        ),
        conversion as (
            insert into public.conversions (
                id, lead_id, conversion_type, value, currency, idempotency_key, crm_deal_id, occurred_at,
                transaction_id, gclid, click_at, clicks, email_hash, email_hash_google, phone_hash, ad_user_data,
                ad_personalization, matched_by, created_at
            )
            select
                conversion_id, lead_id, 'closed', 1000 + n % 5000, 'EUR', n || ':closed', n, closed_at, transaction_id,
                gclid, click_at, clicks, email_hash, email_hash, phone_hash, 'granted', 'granted', 'email', closed_at
            from clicked
        )
        insert into public.conversion_queue (
            conversion_id, platform, next_retry_at, expires_at, created_at, status, claims, uploaded_at, request_id,
            confirmed_at, status_checks
        )
        select
            conversion_id, $5[1 + n % cardinality($5)], closed_at, closed_at + interval '88 days', closed_at,
            case when $3 then 'uploaded' else 'pending' end,
            $3::integer,
            case when $3 then closed_at + interval '15 minutes' end,
            case when $3 then case when n % 2 = 0 then 'batch-' || n / (2 * $4) else 'single-' || n end end,
            case when $3 then closed_at + interval '45 minutes' end,
            $3::integer
        from person",
    )
    .bind(numbers.start())
    .bind(numbers.end())
    .bind(finished)
    .bind(BATCH)
    .bind(destinations)
    .execute(connection)
    .await?;
    Ok(())
}

/// Two lines for each request: of the upload, and of the question for its verdict.
async fn log(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query(
        "-- rows::log
        insert into public.upload_attempts (
            platform, operation, transport, queue_ids, attempted_at, duration_ms, http_status, request_id, outcome
        )
        select platform, operation, 'data_manager', queue_ids, attempted_at, 300, 200, request_id, outcome
        from (
            select
                platform, request_id, array_agg(id) as queue_ids, max(uploaded_at) as uploaded_at,
                max(confirmed_at) as confirmed_at
            from public.conversion_queue
            where status = 'uploaded'
            group by platform, request_id
        ) request
        cross join lateral (values ('upload', 'accepted', uploaded_at), ('status', 'confirmed', confirmed_at))
            as line (operation, outcome, attempted_at)",
    )
    .execute(connection)
    .await?;
    Ok(())
}
