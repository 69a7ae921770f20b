//! Nobody reaches Adtrail's schema through Supabase's Data API: `anon` and `authenticated` get nothing, with any verb.
//!
//! The schema is migrated as on an older Supabase project: by an owner that is no superuser, where default privileges
//! hand every new table, sequence and function to both roles. `DATABASE_URL` names a superuser of a cluster that has
//! Supabase's roles.

use std::path::Path;

use sqlx::{Connection, PgConnection, Postgres, migrate::Migrator, pool::PoolConnection};

/// Everything in schema `public`, one line each. All of it is out of reach; a new object needs a line here and a
/// `revoke` in the migration that makes it.
const OUT_OF_REACH: &[&str] = &[
    "function consent_statements_skip_repeated()",
    "function consent_statements_stay()",
    "function count_call(callers text[], limits integer[], ceiling double precision, at timestamp with time zone)",
    "function google_click(gclid text, gbraid text, wbraid text, click_at timestamp with time zone)",
    "function is_of_bot(visitor text)",
    "function leads_keep_emails()",
    "function leads_note_candidates()",
    "function leads_set_updated_at()",
    "function leads_state_consent()",
    "function merge_clicks(known jsonb, seen jsonb, of_a_click text[], beside_ids text[], seen_at timestamp with time zone)",
    "function mirror_google_click()",
    "function undone_at(deal text, reached_at timestamp with time zone)",
    "sequence consent_statements_id_seq",
    "table _sqlx_migrations",
    "table consent_statements",
    "table conversion_queue",
    "table conversions",
    "table deal_names",
    "table deal_reports",
    "table deleted_deals",
    "table event_queue",
    "table ignored_values",
    "table inbox",
    "table inbox_events",
    "table inbox_receipts",
    "table lead_emails",
    "table lead_refusals",
    "table leads",
    "table lost_deals",
    "table platform_state",
    "table rate_counters",
    "table tracking_events",
    "table upload_attempts",
    "table uploader_runs",
    "table visitors",
    "table webhook_refusals",
    "view conversion_metrics",
    "view deal_outcomes",
    "view delivery_outcomes",
];

/// SQLSTATE `insufficient_privilege`.
const PERMISSION_DENIED: &str = "42501";

#[sqlx::test(migrations = false)]
async fn anon_and_authenticated_get_nothing(mut owner: PoolConnection<Postgres>) -> anyhow::Result<()> {
    migrate_as_on_supabase(&mut owner).await?;

    let leaks = leaks(&mut owner).await?;

    assert!(leaks.is_empty(), "\n{}\n", leaks.join("\n"));
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn every_kind_of_leak_is_reported(mut owner: PoolConnection<Postgres>) -> anyhow::Result<()> {
    migrate_as_on_supabase(&mut owner).await?;
    let mistakes = [
        (
            "create table public.forgotten (id bigint generated always as identity)",
            &[
                "table forgotten: has no line in OUT_OF_REACH",
                "table forgotten: anon may select",
                "table forgotten: anon may truncate",
                "table forgotten: authenticated may delete",
                "table forgotten: insert as anon went through",
                "table forgotten: truncate as authenticated went through",
                "table forgotten: row level security is off",
                "sequence forgotten_id_seq: anon may usage",
            ][..],
        ),
        (
            "drop view public.conversion_metrics",
            &["view conversion_metrics: has a line in OUT_OF_REACH but doesn't exist"],
        ),
        (
            "grant select on public.leads to anon",
            &["table leads: anon may select", "table leads: select as anon went through"],
        ),
        ("grant update (email) on public.leads to authenticated", &["table leads: authenticated may update"]),
        ("grant references on public.visitors to public", &["table visitors: anon may references"]),
        ("alter table public.inbox disable row level security", &["table inbox: row level security is off"]),
        (
            "create policy open on public.leads for insert to anon with check (true)",
            &["table leads: policy open lets anon in"],
        ),
        ("create policy open on public.leads for select using (true)", &["table leads: policy open lets public in"]),
        (
            "alter view public.conversion_metrics reset (security_invoker)",
            &["view conversion_metrics: runs as its owner, past row level security"],
        ),
        (
            "create materialized view public.snapshot as select email from public.leads",
            &["materialized view snapshot: select as anon went through"],
        ),
        (
            "alter function public.leads_set_updated_at() reset search_path",
            &["function leads_set_updated_at(): its search_path isn't fixed"],
        ),
        (
            "create function public.spy() returns text language sql as 'select email from public.leads'",
            &["function spy(): has no line in OUT_OF_REACH", "function spy(): anon may execute"],
        ),
    ];

    for (mistake, expected) in mistakes {
        let mut made = owner.begin().await?;
        sqlx::raw_sql(mistake).execute(&mut *made).await?;
        let reported = leaks(&mut made).await?;
        made.rollback().await?;
        for line in expected {
            assert!(
                reported.iter().any(|leak| leak.starts_with(line)),
                "after `{mistake}` this is missing: {line}\nreported:\n{}",
                reported.join("\n")
            );
        }
    }
    Ok(())
}

/// Migrates an empty database as a role that may make tables and no more. The connection stays in that role.
async fn migrate_as_on_supabase(connection: &mut PgConnection) -> anyhow::Result<()> {
    // Roles belong to the cluster, and tests run at the same time: whoever comes first makes it.
    sqlx::raw_sql(
        "do $$ begin
           create role adtrail_test_owner nosuperuser nobypassrls nologin;
         exception when duplicate_object or unique_violation then null;
         end $$;
         grant usage, create on schema public to adtrail_test_owner;
         grant usage on schema public to anon, authenticated, service_role;
         alter default privileges for role adtrail_test_owner in schema public
           grant all on tables to anon, authenticated, service_role;
         alter default privileges for role adtrail_test_owner in schema public
           grant all on sequences to anon, authenticated, service_role;
         alter default privileges for role adtrail_test_owner in schema public
           grant all on functions to anon, authenticated, service_role;
         set role adtrail_test_owner;",
    )
    .execute(&mut *connection)
    .await?;
    // Read when the test runs: `migrate!` wouldn't notice a new file without a rebuild.
    Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations")))
        .await?
        .run_direct(connection)
        .await?;
    Ok(())
}

/// What is wrong with the access to schema `public`, one sentence each; empty when nothing is.
async fn leaks(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let mut found = surprises(connection).await?;
    found.extend(grants(connection).await?);
    found.extend(trespasses(connection).await?);
    found.extend(weak_definitions(connection).await?);
    Ok(found)
}

/// Objects without a line, and lines without an object.
async fn surprises(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let objects: Vec<String> =
        sqlx::query_scalar(&format!("{OBJECTS} select kind || ' ' || name from object order by 1"))
            .fetch_all(connection)
            .await?;
    let unlisted = objects
        .iter()
        .filter(|object| !OUT_OF_REACH.contains(&object.as_str()))
        .map(|object| format!("{object}: has no line in OUT_OF_REACH; add it, and a revoke to its migration"));
    let missing = OUT_OF_REACH
        .iter()
        .filter(|line| !objects.iter().any(|object| object == *line))
        .map(|line| format!("{line}: has a line in OUT_OF_REACH but doesn't exist"));
    Ok(unlisted.chain(missing).collect())
}

/// Privileges that `anon` or `authenticated` hold: their own, through PUBLIC, or on single columns.
async fn grants(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let held: Vec<(String, String, String)> = sqlx::query_as(&format!(
        "{OBJECTS}
         select kind || ' ' || name, role, verb
         from object
         cross join unnest(array['anon', 'authenticated']) role
         cross join unnest(
           case kind
             when 'sequence' then array['usage', 'select', 'update']
             when 'function' then array['execute']
             else array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']
               || case when current_setting('server_version_num')::int >= 170000 then array['maintain'] end
           end
         ) verb
         where case
           when kind = 'sequence' then has_sequence_privilege(role, oid, verb)
           when kind = 'function' then has_function_privilege(role, oid, verb)
           when verb in ('select', 'insert', 'update', 'references')
             then has_any_column_privilege(role, oid, verb)
           else has_table_privilege(role, oid, verb)
         end
         order by 1, 2, 3"
    ))
    .fetch_all(connection)
    .await?;
    Ok(held
        .into_iter()
        .map(|(object, role, verb)| {
            format!("{object}: {role} may {verb}; revoke all on it from public, anon and authenticated")
        })
        .collect())
}

/// Statements that really run as `anon` or `authenticated` and aren't refused.
async fn trespasses(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    // A view that can't be written to answers writes with another error, before privileges are looked at.
    let attempts: Vec<(String, String, String, String)> = sqlx::query_as(&format!(
        "{OBJECTS}
         select kind || ' ' || name, role, verb, statement
         from object
         cross join unnest(array['anon', 'authenticated']) role
         cross join lateral (
           values
             ('select', format('select from public.%s', name)),
             ('insert', format('insert into public.%s default values', name)),
             ('update', format('update public.%s set ', name) || quote_ident(a_column) || ' = default'),
             ('delete', format('delete from public.%s', name)),
             ('truncate', format('truncate public.%s', name))
         ) attempt (verb, statement)
         where statement is not null
           and (kind = 'table' or (kind in ('view', 'materialized view', 'foreign table') and verb = 'select'))
         order by 1, 2, 3"
    ))
    .fetch_all(&mut *connection)
    .await?;

    let mut found = Vec::new();
    for (object, role, verb, statement) in attempts {
        let mut attempt = connection.begin().await?;
        sqlx::raw_sql(&format!("set local role {role}")).execute(&mut *attempt).await?;
        let outcome = sqlx::raw_sql(&statement).execute(&mut *attempt).await;
        attempt.rollback().await?;
        match outcome {
            Ok(_) => found.push(format!("{object}: {verb} as {role} went through")),
            Err(sqlx::Error::Database(error)) => {
                if error.code().as_deref() != Some(PERMISSION_DENIED) {
                    found.push(format!("{object}: {verb} as {role} wasn't refused but failed: {error}"));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The second line of defence, for the day somebody grants something.
async fn weak_definitions(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select format('table %I: row level security is off', relname)
         from pg_catalog.pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relrowsecurity
         union all
         select format('table %I: policy %I lets %s in', tablename, policyname, role)
         from pg_catalog.pg_policies, unnest(roles) role
         where schemaname = 'public' and role in ('public', 'anon', 'authenticated')
         union all
         select format(
             'view %I: runs as its owner, past row level security; make it with (security_invoker = true)', relname
         )
         from pg_catalog.pg_class
         where relnamespace = 'public'::regnamespace and relkind = 'v'
           and not exists (
             select from pg_catalog.pg_options_to_table(reloptions)
             where option_name = 'security_invoker' and option_value::boolean
           )
         union all
         select format('function %I(%s): its search_path isn''t fixed; add set search_path = ''''',
           proname, pg_catalog.pg_get_function_identity_arguments(oid))
         from pg_catalog.pg_proc
         where pronamespace = 'public'::regnamespace
           and not exists (select from unnest(proconfig) setting where setting like 'search\\_path=%')
         order by 1",
    )
    .fetch_all(connection)
    .await
}

/// All objects of schema `public` with their kind, their quoted name and, for tables, the name of some column.
const OBJECTS: &str = "
    with object as (
      select
        c.oid,
        case c.relkind
          when 'v' then 'view'
          when 'm' then 'materialized view'
          when 'f' then 'foreign table'
          when 'S' then 'sequence'
          else 'table'
        end as kind,
        format('%I', c.relname) as name,
        (
          select a.attname::text
          from pg_catalog.pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
          order by a.attnum
          limit 1
        ) as a_column
      from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')
      union all
      select oid, 'function', format('%I(%s)', proname, pg_catalog.pg_get_function_identity_arguments(oid)), null
      from pg_catalog.pg_proc
      where pronamespace = 'public'::regnamespace
    )";
