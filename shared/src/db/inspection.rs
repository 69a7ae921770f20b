//! What a database says of itself, for `adtrail doctor`. Only reads.

use chrono::{DateTime, Utc};

use super::{DbError, Tx};

/// Our tables and views in the schema public. `tests/database/inspection.rs` compares them with the migrations.
pub const RELATIONS: [&str; 19] = [
    "_sqlx_migrations",
    "consent_statements",
    "conversion_metrics",
    "conversion_queue",
    "conversions",
    "deal_reports",
    "inbox",
    "inbox_events",
    "inbox_receipts",
    "lead_emails",
    "leads",
    "lost_deals",
    "platform_state",
    "rate_counters",
    "tracking_events",
    "upload_attempts",
    "uploader_runs",
    "visitors",
    "webhook_refusals",
];

/// Our functions there.
pub const FUNCTIONS: [&str; 10] = [
    "consent_statements_skip_repeated",
    "consent_statements_stay",
    "count_call",
    "google_click",
    "leads_keep_emails",
    "leads_note_candidates",
    "leads_set_updated_at",
    "leads_state_consent",
    "merge_clicks",
    "mirror_google_click",
];

/// Something that Supabase's Data API could reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    pub kind: Kind,
    /// The table, view or function.
    pub object: String,
    /// Which policy, or which role may do what.
    pub detail: String,
}

/// What is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Decode)]
#[sqlx(rename_all = "snake_case")]
pub enum Kind {
    /// A table without row level security.
    NoRowSecurity,
    /// A policy that lets a role of the Data API in.
    Policy,
    /// Rights on a table or a view.
    Grant,
    /// A view that runs as its owner, past row level security.
    OwnersView,
    /// A function that a role of the Data API may call.
    Execute,
}

super::text_in_sql!(Kind);

/// What the time is there.
pub async fn time(tx: &mut Tx) -> Result<DateTime<Utc>, DbError> {
    let row = sqlx::query!(
        r#"-- db::inspection::time
        select clock_timestamp() as "now!""#,
    )
    .fetch_one(tx)
    .await?;
    Ok(row.now)
}

/// What of our schema is open to everybody, to `anon` or to `authenticated`. The policies of `leads` may be those of
/// the site: without rights they have no effect.
pub async fn exposures(tx: &mut Tx) -> Result<Vec<Exposure>, DbError> {
    let found = sqlx::query_as!(
        Exposure,
        r#"-- db::inspection::exposures
        with role as (
            select 0::oid as oid, 'public' as name
            union all
            select oid, rolname::text from pg_roles where rolname in ('anon', 'authenticated')
        ),
        relation as (
            select c.oid, c.relname::text as name, c.relkind, c.relrowsecurity, c.reloptions, c.relacl
            from pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relname = any($1::text[])
        ),
        granted as (
            select r.name, a.grantee, lower(a.privilege_type) as privilege
            from relation r, aclexplode(r.relacl) a
            union
            select r.name, a.grantee, lower(a.privilege_type) || ' (' || c.attname || ')'
            from relation r
            join pg_attribute c on c.attrelid = r.oid, aclexplode(c.attacl) a
        ),
        callable as (
            select p.oid::regprocedure::text as name, a.grantee
            from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            where p.pronamespace = 'public'::regnamespace and p.proname = any($2::text[])
        ),
        open as (
            select 'no_row_security' as kind, name as object, '' as detail
            from relation where relkind in ('r', 'p') and not relrowsecurity
            union all
            select 'policy', r.name, p.polname || ' for ' || string_agg(role.name, ', ' order by role.name)
            from relation r
            join pg_policy p on p.polrelid = r.oid
            join role on role.oid = any(p.polroles)
            where r.name <> 'leads'
            group by r.name, p.polname
            union all
            select 'grant', g.name, role.name || ' may ' || string_agg(g.privilege, ', ' order by g.privilege)
            from granted g join role on role.oid = g.grantee
            group by g.name, role.name
            union all
            select 'owners_view', name, ''
            from relation
            where relkind = 'v' and not coalesce('security_invoker=true' = any(reloptions), false)
            union all
            select 'execute', c.name, string_agg(role.name, ', ' order by role.name)
            from callable c join role on role.oid = c.grantee
            group by c.name
        )
        select kind as "kind!: Kind", object as "object!", detail as "detail!" from open order by 1, 2, 3"#,
        &RELATIONS as &[&str],
        &FUNCTIONS as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(found)
}
