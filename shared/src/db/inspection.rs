//! What a database says of itself, for `adtrail doctor`. Only reads.

use chrono::{DateTime, Utc};

use super::{DbError, Tx};

/// Our tables and views in the schema public. `tests/database/inspection.rs` compares them with the migrations.
pub const RELATIONS: [&str; 26] = [
    "_sqlx_migrations",
    "consent_statements",
    "conversion_metrics",
    "conversion_queue",
    "conversions",
    "deal_names",
    "deal_outcomes",
    "deal_reports",
    "deleted_deals",
    "delivery_outcomes",
    "event_queue",
    "ignored_values",
    "inbox",
    "inbox_events",
    "inbox_receipts",
    "lead_emails",
    "lead_refusals",
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
pub const FUNCTIONS: [&str; 12] = [
    "consent_statements_skip_repeated",
    "consent_statements_stay",
    "count_call",
    "google_click",
    "is_of_bot",
    "leads_keep_emails",
    "leads_note_candidates",
    "leads_set_updated_at",
    "leads_state_consent",
    "merge_clicks",
    "mirror_google_click",
    "undone_at",
];

/// Something that Supabase's Data API could reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    pub kind: Kind,
    /// The table, view, function or role.
    pub object: String,
    /// Which policy, which role, or which role may do what.
    pub detail: String,
    /// The SQL that closes it.
    pub fix: String,
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
    /// A role of the Data API that row level security doesn't hold for.
    PastRowSecurity,
    /// Rights by membership in another role.
    Member,
    /// A view of somebody else on our tables, with their owner's rights or a copy of their rows.
    BuiltOn,
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

/// What of our schema is open to everybody, to `anon` or to `authenticated`: by the rights that they have in effect.
/// What everybody may isn't repeated for the two, and a superuser, who may do everything, is one finding. The policies
/// of `leads` may be those of the site: without rights they have no effect.
#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
pub async fn exposures(tx: &mut Tx) -> Result<Vec<Exposure>, DbError> {
    let found = sqlx::query_as!(
        Exposure,
        r#"-- db::inspection::exposures
        with recursive role as (
            select 0::oid as oid, 'public'::name as name
            union all
            select oid, rolname from pg_roles where rolname in ('anon', 'authenticated') and not rolsuper
        ),
        -- Whose rights they have besides their own.
        parent as (
            select distinct role.name as child, p.rolname as name
            from role
            join pg_auth_members m on m.member = role.oid
            join pg_roles p on p.oid = m.roleid
            where pg_has_role(role.oid, p.oid, 'usage')
        ),
        subject as (select name from role union select name from parent),
        -- Ours, and the views on ours, and the views on those.
        built as (
            select oid from pg_class where relnamespace = 'public'::regnamespace and relname = any($1::text[])
            union
            select v.oid
            from built
            join pg_depend d
                on d.refclassid = 'pg_class'::regclass and d.refobjid = built.oid and d.classid = 'pg_rewrite'::regclass
            join pg_rewrite w on w.oid = d.objid
            join pg_class v on v.oid = w.ev_class and v.relkind in ('v', 'm')
        ),
        relation as (
            select
                c.oid, c.relkind, c.relacl, c.relrowsecurity, c.relnamespace, is_ours,
                case when is_ours then c.relname::text else n.nspname || '.' || c.relname end as name,
                format('%I.%I', n.nspname, c.relname) as path,
                c.relkind = 'v' and not coalesce(
                    (select option_value::boolean from pg_options_to_table(c.reloptions)
                     where option_name = 'security_invoker'),
                    false
                ) as is_owners
            from built
            join pg_class c on c.oid = built.oid
            join pg_namespace n on n.oid = c.relnamespace,
            lateral (select n.nspname = 'public' and c.relname = any($1::text[]) as is_ours) mine
        ),
        looked_at as (
            select
                case when is_ours then 'grant' else 'built_on' end as kind, oid, name, relacl as acl, relnamespace,
                case when not is_ours and relkind = 'v'
                    then format('alter view %s set (security_invoker = true);', path)
                    else format('revoke all on table %s from ', path)
                end as fix,
                case
                    when relkind = 'm' then array['select']
                    when not is_ours then array['select', 'insert', 'update', 'delete']
                    when current_setting('server_version_num')::int < 170000
                        then array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']
                    else array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger', 'maintain']
                end as privileges,
                case when is_ours then array['select', 'insert', 'update', 'references']
                    when relkind = 'm' then array['select']
                    else array['select', 'insert', 'update']
                end as of_columns
            from relation
            where is_ours or is_owners or relkind = 'm'
        ),
        may as (
            select l.kind, l.name, l.fix, l.acl, s.name as subject, privilege, privilege as shown
            from looked_at l, unnest(l.privileges) privilege, subject s
            where has_table_privilege(s.name, l.oid, privilege)
                and (l.kind = 'grant' or has_schema_privilege(s.name, l.relnamespace, 'usage'))
            union all
            select l.kind, l.name, l.fix, c.attacl, s.name, privilege, privilege || ' (' || c.attname || ')'
            from looked_at l
            join pg_attribute c on c.attrelid = l.oid and c.attnum > 0 and not c.attisdropped,
            unnest(l.of_columns) privilege, subject s
            where has_column_privilege(s.name, l.oid, c.attnum, privilege)
                and not has_table_privilege(s.name, l.oid, privilege)
                and (l.kind = 'grant' or has_schema_privilege(s.name, l.relnamespace, 'usage'))
            union all
            select
                'execute', p.oid::regprocedure::text,
                format(
                    'revoke all on function public.%I(%s) from ', p.proname, pg_get_function_identity_arguments(p.oid)
                ),
                coalesce(p.proacl, acldefault('f', p.proowner)), s.name, 'execute', 'execute'
            from pg_proc p, subject s
            where p.pronamespace = 'public'::regnamespace and p.proname = any($2::text[])
                and has_function_privilege(s.name, p.oid, 'execute')
        ),
        held as (
            select role.name as role, role.oid, m.kind, m.name, m.fix, m.acl, m.privilege, m.shown
            from role
            join may m on m.subject = role.name
            where role.name = 'public' or not exists (
                select from may p where (p.subject, p.kind, p.name, p.shown) = ('public', m.kind, m.name, m.shown)
            )
        ),
        inherited as (
            select h.kind, h.name, h.shown, h.role, parent.name as parent
            from held h
            join parent on parent.child = h.role
            join may p on (p.subject, p.kind, p.name, p.shown) = (parent.name, h.kind, h.name, h.shown)
        ),
        -- Their own, unless they have it by membership alone.
        own as (
            select h.* from held h
            where exists (
                    select from aclexplode(h.acl) a where a.grantee = h.oid and lower(a.privilege_type) = h.privilege
                )
                or not exists (
                    select from inherited i where (i.kind, i.name, i.shown, i.role) = (h.kind, h.name, h.shown, h.role)
                )
        ),
        open as (
            select
                'no_row_security' as kind, name as object, '' as detail,
                format('alter table %s enable row level security;', path) as fix
            from relation
            where is_ours and relkind in ('r', 'p') and not relrowsecurity
            union all
            select
                'policy', r.name,
                p.polname || ' for '
                    || string_agg(role.name || coalesce(' through ' || through.rolname, ''), ', ' order by role.name),
                format('drop policy %I on %s;', p.polname, r.path)
            from relation r
            join pg_policy p on p.polrelid = r.oid
            cross join unnest(p.polroles) lets_in
            join role on role.oid = lets_in or pg_has_role(role.oid, lets_in, 'usage')
            left join pg_roles through on through.oid = lets_in and lets_in <> role.oid
            where r.is_ours and r.name <> 'leads' and p.polpermissive
            group by r.name, r.path, p.polname
            union all
            select
                kind, name,
                case kind when 'execute' then role::text
                    else role || ' may ' || string_agg(shown, ', ' order by shown) end,
                case when fix like '%;' then fix else fix || role || ';' end
            from own
            group by kind, name, role, fix
            union all
            select
                'member', parent::text, role || ' has its rights on ' || string_agg(distinct name, ', ' order by name),
                format('revoke %I from %I;', parent, role)
            from inherited
            group by parent, role
            union all
            select
                'past_row_security', rolname::text, case when rolsuper then 'superuser' else 'bypassrls' end,
                format('alter role %I nobypassrls%s;', rolname, case when rolsuper then ' nosuperuser' end)
            from pg_roles
            where rolname in ('anon', 'authenticated') and (rolsuper or rolbypassrls)
            union all
            select 'owners_view', name, '', format('alter view %s set (security_invoker = true);', path)
            from relation
            where is_ours and is_owners
        )
        select kind as "kind!: Kind", object as "object!", detail as "detail!", fix as "fix!"
        from open
        order by 1, 2, 3"#,
        &RELATIONS as &[&str],
        &FUNCTIONS as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(found)
}
