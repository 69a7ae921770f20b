//! What `adtrail doctor` looks at is what the migrations make.

use shared::db::inspection::{FUNCTIONS, Kind, RELATIONS, exposures};
use shared::db::migrations::{Schema, compare};
use shared::db::{DbError, Tx};
use sqlx::PgPool;
use testing::{app, execute};

#[sqlx::test(migrations = "../migrations")]
async fn every_object_of_ours_is_looked_at(pool: PgPool) {
    for (sql, known) in [
        (
            "select relname::text from pg_class
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') order by 1",
            RELATIONS.as_slice(),
        ),
        (
            "select distinct proname::text from pg_proc where pronamespace = 'public'::regnamespace order by 1",
            FUNCTIONS.as_slice(),
        ),
    ] {
        let made: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
        assert_eq!(made, known, "add what a migration makes to shared/src/db/inspection.rs");
    }
}

/// As `supabase db push` records it: the site's own migrations are there, too.
#[sqlx::test(migrations = "../migrations")]
async fn a_schema_of_supabases_tool_is_compared_by_its_record(pool: PgPool) {
    let app = app::<()>(&pool);
    let schema = async || app.db.tx(async |tx| compare(tx).await).await.unwrap();
    assert_eq!(schema().await, Schema::Current);
    execute(
        &pool,
        "create schema supabase_migrations;
         create table supabase_migrations.schema_migrations (version text);
         insert into supabase_migrations.schema_migrations
         select to_char(version, 'FM000') from public._sqlx_migrations union select '20260101120000';
         drop table public._sqlx_migrations",
    )
    .await;
    assert_eq!(schema().await, Schema::Current);
    execute(&pool, "delete from supabase_migrations.schema_migrations where version = '030'").await;
    assert!(matches!(schema().await, Schema::Older(missing) if missing[0].version == 30), "the site's is no later one");
    execute(&pool, "drop schema supabase_migrations cascade").await;
    assert_eq!(schema().await, Schema::Unrecorded);
}

/// Kind, object and detail.
type Found<'a> = (Kind, &'a str, &'a str);

async fn run(tx: &mut Tx, statements: &str) {
    sqlx::query(&format!("do $do$ begin {statements} end $do$")).execute(tx).await.unwrap();
}

/// What is found of it, and that the SQL of the findings closes it. The transaction is rolled back, because roles are
/// those of the whole server.
async fn found(pool: &PgPool, planted: &str) -> Vec<(Kind, String, String)> {
    let mut found = Vec::new();
    let _: Result<(), DbError> = app::<()>(pool)
        .db
        .tx(async |tx| {
            run(tx, planted).await;
            found = exposures(tx).await.unwrap();
            for exposure in &found {
                run(tx, &exposure.fix).await;
            }
            assert_eq!(exposures(tx).await.unwrap(), [], "after the fixes of {planted}");
            Err(DbError::Unavailable("rolled back".into()))
        })
        .await;
    found.into_iter().map(|it| (it.kind, it.object, it.detail)).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_role_may_in_effect_is_found_and_closed(pool: PgPool) {
    const TEAM: &str = "create role team; alter role anon inherit; grant team to anon;";
    let everything = format!("anon has its rights on {}", RELATIONS.join(", "));
    let cases: &[(&str, &[Found])] = &[
        ("", &[]),
        // Rights.
        (
            "grant select on public.leads to public; grant select, insert on public.leads to anon;",
            &[(Kind::Grant, "leads", "anon may insert"), (Kind::Grant, "leads", "public may select")],
        ),
        (
            "grant update (email, name) on public.leads to authenticated;",
            &[(Kind::Grant, "leads", "authenticated may update (email), update (name)")],
        ),
        (
            "grant execute on function public.count_call to anon;",
            &[(Kind::Execute, "count_call(text[],integer[],double precision,timestamp with time zone)", "anon")],
        ),
        // Membership.
        (
            "alter role anon inherit; grant pg_read_all_data to anon;",
            &[(Kind::Member, "pg_read_all_data", &everything)],
        ),
        (
            &format!(
                "{TEAM} create role leaders; grant leaders to team; grant select on public.leads to leaders;
                      grant select on public.deal_reports to team;"
            ),
            &[(Kind::Member, "team", "anon has its rights on deal_reports, leads")],
        ),
        (
            &format!("{TEAM} grant select on public.leads to team, anon;"),
            &[(Kind::Grant, "leads", "anon may select"), (Kind::Member, "team", "anon has its rights on leads")],
        ),
        // Without the inheritance, nothing of the role holds.
        ("create role team; grant team to anon; grant select on public.leads to team;", &[]),
        // Row level security.
        ("alter role anon bypassrls;", &[(Kind::PastRowSecurity, "anon", "bypassrls")]),
        ("alter role authenticated superuser;", &[(Kind::PastRowSecurity, "authenticated", "superuser")]),
        (
            &format!("{TEAM} create policy \"let in\" on public.visitors to team, authenticated using (true);"),
            &[(Kind::Policy, "visitors", "let in for anon through team, authenticated")],
        ),
        ("create policy narrow on public.visitors as restrictive to anon using (false);", &[]),
        // Views.
        (
            "create view public.overview as select count(*) from public.leads;
             grant select on public.overview to anon;",
            &[(Kind::BuiltOn, "public.overview", "anon may select")],
        ),
        (
            "create schema crm; grant usage on schema crm to public;
             create view crm.inner with (security_invoker = on) as select id, email from public.leads;
             create materialized view crm.\"Outer\" as select email from crm.inner;
             grant select (email) on crm.\"Outer\" to public; grant select on crm.\"Outer\" to authenticated;
             grant all on crm.inner to anon;",
            &[
                (Kind::BuiltOn, "crm.Outer", "authenticated may select"),
                (Kind::BuiltOn, "crm.Outer", "public may select (email)"),
            ],
        ),
        (
            "create schema crm; create view crm.hidden as select * from public.leads; grant all on crm.hidden to anon;",
            &[],
        ),
        (
            &format!(
                "{TEAM} create materialized view public.copy as select * from public.leads;
                      grant select on public.copy to team;"
            ),
            &[(Kind::Member, "team", "anon has its rights on public.copy")],
        ),
        ("create view public.times as select now(); grant all on public.times to public;", &[]),
        (
            "alter view public.conversion_metrics reset (security_invoker);",
            &[(Kind::OwnersView, "conversion_metrics", "")],
        ),
    ];
    for (planted, expected) in cases {
        let found = found(&pool, planted).await;
        let found: Vec<_> = found.iter().map(|(kind, object, detail)| (*kind, &**object, &**detail)).collect();
        assert_eq!(found, *expected, "{planted}");
    }
}

/// Each says how to go on: of which file, and with which record.
#[sqlx::test(migrations = "../migrations")]
async fn a_schema_that_is_half_migrated_says_how_to_go_on(pool: PgPool) {
    let app = app::<()>(&pool);
    for (sql, missing_there) in [
        ("update public._sqlx_migrations set success = false where version = 21", 21),
        ("delete from public._sqlx_migrations where version = 12", 12),
    ] {
        execute(&pool, sql).await;
        let Schema::Half { missing, fix } = app.db.tx(async |tx| compare(tx).await).await.unwrap() else {
            panic!("{sql}")
        };
        assert_eq!(missing.iter().map(|it| it.version).collect::<Vec<_>>(), [missing_there]);
        assert!(fix.contains(&format!("migrations/{}.sql", missing[0].name)), "{fix}");
        let (_, record) = fix.split_once("again: ").unwrap();
        execute(&pool, record).await;
        assert_eq!(app.db.tx(async |tx| compare(tx).await).await.unwrap(), Schema::Current);
    }
}
