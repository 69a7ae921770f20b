//! What newer reports change about deals that are stored.

use serde_json::json;
use uuid::Uuid;

use super::person::Columns;
use super::{Report, Standing};
use crate::db::{DbError, Tx};

/// Their values are those of these reports.
pub(super) async fn values(tx: &mut Tx, reports: &[&(Standing, &Report<'_>)]) -> Result<(), DbError> {
    if reports.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = reports.iter().map(|(row, _)| row.id).collect();
    let values: Vec<_> = reports.iter().map(|(_, it)| it.value()).collect();
    let currencies: Vec<_> = reports.iter().map(|(_, it)| it.currency()).collect();
    let as_of: Vec<_> = reports.iter().map(|(_, it)| it.as_of).collect();
    let payloads: Vec<_> = reports.iter().map(|(_, it)| it.deal.payload_hash.as_str()).collect();
    sqlx::query!(
        "-- inbox::receiving::updating::values
        update public.inbox i
        set value = d.value, currency = d.currency, reported_at = d.reported_at, payload_hash = d.payload_hash
        from unnest($1::uuid[], $2::float8[], $3::text[], $4::timestamptz[], $5::text[])
            as d (inbox_id, value, currency, reported_at, payload_hash)
        where i.id = d.inbox_id",
        &ids,
        &values as &[Option<f64>],
        &currencies as &[Option<&str>],
        &as_of,
        &payloads as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Their persons are those of these reports.
pub(super) async fn persons(tx: &mut Tx, reports: &[&(Standing, &Report<'_>)]) -> Result<(), DbError> {
    if reports.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = reports.iter().map(|(row, _)| row.id).collect();
    let persons = Columns::of(reports.iter().map(|(_, it)| *it));
    let as_of: Vec<_> = reports.iter().map(|(_, it)| it.as_of).collect();
    let payloads: Vec<_> = reports.iter().map(|(_, it)| it.deal.payload_hash.as_str()).collect();
    sqlx::query!(
        "-- inbox::receiving::updating::persons
        update public.inbox i
        set lead_id = d.lead_id, email_hash = d.email_hash, email_hash_google = d.email_hash_google,
            other_email_hashes = string_to_array(d.other_email_hashes, ','), phone_hash = d.phone_hash,
            phone_hash_digits = d.phone_hash_digits, person_reported_at = d.person_reported_at,
            payload_hash = d.payload_hash
        from unnest(
            $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[],
            $9::text[]
        ) as d (
            inbox_id, lead_id, email_hash, email_hash_google, other_email_hashes, phone_hash, person_reported_at,
            payload_hash, phone_hash_digits
        )
        where i.id = d.inbox_id",
        &ids,
        &persons.leads as &[Option<Uuid>],
        &persons.emails as &[Option<&str>],
        &persons.google_emails as &[Option<&str>],
        &persons.other_emails as &[&str],
        &persons.phones as &[Option<&str>],
        &as_of,
        &payloads as &[&str],
        &persons.phone_digits as &[Option<&str>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Their clicks are those of these reports with what was known.
pub(super) async fn clicks(tx: &mut Tx, reports: &[&(Standing, &Report<'_>)]) -> Result<(), DbError> {
    if reports.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = reports.iter().map(|(row, _)| row.id).collect();
    let (clicks, as_of): (Vec<_>, Vec<_>) = reports.iter().map(|(row, it)| row.clicks_with(it)).unzip();
    let clicks: Vec<_> = clicks.iter().map(|clicks| json!(clicks)).collect();
    let payloads: Vec<_> = reports.iter().map(|(_, it)| it.deal.payload_hash.as_str()).collect();
    sqlx::query!(
        "-- inbox::receiving::updating::clicks
        update public.inbox i
        set clicks = d.clicks, clicks_reported_at = d.clicks_reported_at, payload_hash = d.payload_hash
        from unnest($1::uuid[], $2::jsonb[], $3::timestamptz[], $4::text[])
            as d (inbox_id, clicks, clicks_reported_at, payload_hash)
        where i.id = d.inbox_id",
        &ids,
        &clicks,
        &as_of,
        &payloads as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}
