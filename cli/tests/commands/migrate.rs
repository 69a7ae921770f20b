use testing::{execute, rows};

use super::*;

async fn applied(pool: &PgPool) -> usize {
    rows(pool, "select version from public._sqlx_migrations").await.len()
}

fn only_database(pool: &PgPool) -> Values {
    let url = pool.connect_options().to_url_lossy().to_string();
    Values::from([("DATABASE_URL".to_owned(), SecretString::from(url))])
}

#[sqlx::test(migrations = false)]
async fn what_is_missing_is_listed_applied_once_and_then_nothing_is(pool: PgPool) {
    let values = only_database(&pool);
    let listed = document(&values, &["migrate", "--dry-run"]).await;
    let names = listed["migrations"].as_array().unwrap();
    assert_eq!((&names[0], &listed["applied"]), (&json!("000_leads"), &json!(false)));
    assert!(rows(&pool, "select to_regclass('public.leads') as leads").await[0]["leads"].is_null());
    let done = document(&values, &["migrate", "--yes"]).await;
    assert_eq!(done, json!({"database": done["database"], "migrations": names, "applied": true}));
    assert_eq!(applied(&pool).await, names.len());
    let text = printed(&values, &["migrate", "--yes"]).await;
    assert!(text.contains("The schema is up to date."), "{text}");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_interrupted_upgrade_goes_on_where_it_stopped(pool: PgPool) {
    // As if the last ones had never run.
    execute(
        &pool,
        "drop view public.deal_outcomes;
         drop view public.delivery_outcomes;
         drop view public.conversion_metrics;
         drop function public.is_of_bot;
         alter table public.visitors drop column session_attributes, drop column bot_score, drop column bot_reasons;
         alter table public.leads drop column spam_signs;
         drop index public.conversion_queue_dead_lettered_at_idx;
         alter table public.conversion_queue drop column sent_to, drop column declined_by, drop column kind;
         alter table public.inbox drop column clicks, drop column clicks_reported_at, drop column reading;
         drop table public.uploader_runs;
         drop table public.event_queue;
         drop table public.lead_refusals;
         alter table public.conversions drop constraint conversions_without_lead_have_a_click;
         drop index public.conversions_without_lead_idx;
         alter table public.leads drop column warnings, drop column source;
         drop table public.deal_names, public.deleted_deals;
         drop function public.undone_at;
         alter table public.lost_deals drop column is_reopened, drop column as_of;
         alter table public.deal_reports drop column as_of, drop column is_crms_word;
         alter table public.inbox drop column key_name, drop column generation;
         alter table public.inbox_events drop column warnings;
         drop table public.ignored_values;
         drop index public.conversion_queue_omit_click_id_idx, public.inbox_source_stage_idx;
         drop index public.conversion_queue_uploaded_at_idx, public.conversion_queue_without_verdict_idx,
             public.conversion_queue_refused_idx;
         alter table public.conversion_queue drop column seconds_later, drop column sent_through;
         alter table public.tracking_events drop column ga_client_id, drop column ga_sessions, drop column user_agent,
             drop column sent_by, drop column analytics_storage, drop column ad_user_data,
             drop column ad_personalization;
         delete from public._sqlx_migrations where version >= 18",
    )
    .await;
    let done = document(&only_database(&pool), &["migrate", "--yes"]).await;
    let expected = [
        "018_clicks_of_deals",
        "019_destinations",
        "020_uploader_runs",
        "021_gauges",
        "022_browser",
        "023_event_outbox",
        "024_leads_by_any_sign",
        "025_reading",
        "026_life_of_deals",
        "027_told_by_click",
        "028_silences",
        "029_counted_windows",
        "030_outcomes",
    ];
    assert_eq!(done["migrations"], json!(expected));
    execute(&pool, "select sent_to from public.conversion_queue; select clicks from public.inbox").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_schema_that_is_newer_is_refused(pool: PgPool) {
    execute(
        &pool,
        "insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
         values (999, 'the future', true, '', 0)",
    )
    .await;
    let before = applied(&pool).await;
    let error = refused(&only_database(&pool), &["migrate", "--yes"]).await;
    assert!(error.contains("migration 999") && error.contains("newer"), "{error}");
    assert_eq!(applied(&pool).await, before);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_schema_of_another_tool_is_left_to_it(pool: PgPool) {
    execute(&pool, "drop table public._sqlx_migrations").await;
    let error = refused(&only_database(&pool), &["migrate", "--yes"]).await;
    assert!(error.contains("in the SQL editor or with psql"), "{error}");
    execute(&pool, "create schema supabase_migrations; create table supabase_migrations.schema_migrations (v text)")
        .await;
    let error = refused(&only_database(&pool), &["migrate", "--yes"]).await;
    assert!(error.contains("supabase db push"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_migration_that_changed_is_refused(pool: PgPool) {
    execute(&pool, "update public._sqlx_migrations set checksum = '\\x00' where version = 3").await;
    execute(&pool, "delete from public._sqlx_migrations where version = 19").await;
    let error = refused(&only_database(&pool), &["migrate", "--yes"]).await;
    assert!(error.contains("Migration 3 was applied with another text"), "{error}");
}

/// The SQL that a refusal has at its end.
fn record(error: &str) -> &str {
    error.split_once("before adtrail migrate runs again: ").unwrap_or_else(|| panic!("{error}")).1
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_there_without_a_record_is_recorded_and_gone_on_with(pool: PgPool) {
    let values = only_database(&pool);
    let all = applied(&pool).await;
    for (planted, said) in [
        (
            "delete from public._sqlx_migrations where version = 30",
            "Migration 030_outcomes makes what is there already (",
        ),
        (
            "delete from public._sqlx_migrations where version = 12",
            "Migration 012_candidates isn't recorded as applied",
        ),
        (
            "update public._sqlx_migrations set success = false where version = 30",
            "030_outcomes is recorded as unsuccessful",
        ),
        ("update public._sqlx_migrations set success = false where version = 3", "is recorded as unsuccessful"),
    ] {
        execute(&pool, planted).await;
        let error = refused(&values, &["migrate", "--yes"]).await;
        assert!(error.contains(said) && error.contains(".sql whose objects are missing"), "{error}");
        assert!(!error.contains("error returned from database") && !error.contains('\n'), "{error}");
        execute(&pool, record(&error)).await;
        let text = printed(&values, &["migrate", "--yes"]).await;
        assert!(text.contains("The schema is up to date.") && applied(&pool).await == all, "{text}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_leads_table_that_does_not_fit_stops_before_anything_is_made(pool: PgPool) {
    execute(&pool, "create table public.leads (id uuid primary key, email integer)").await;
    let error = refused(&only_database(&pool), &["migrate", "--yes"]).await;
    assert!(error.contains("email") && error.contains("Nothing of this migration was applied"), "{error}");
    assert!(error.ends_with("Correct it and run adtrail migrate again."), "{error}");
    assert!(rows(&pool, "select to_regclass('public.visitors') as it").await[0]["it"].is_null());
}

#[tokio::test]
async fn a_database_that_is_away_is_one_sentence_without_the_password() {
    let url = SecretString::from("postgresql://app:hush@127.0.0.1:9/nothing");
    for setting in ["DATABASE_URL", "MIGRATIONS_DATABASE_URL"] {
        let error = refused(&Values::from([(setting.to_owned(), url.clone())]), &["migrate"]).await;
        assert!(error.contains("can't be reached") && !error.contains("hush"), "{error}");
    }
    let error = refused(&Values::new(), &["migrate"]).await;
    assert!(error.contains("Missing settings: DATABASE_URL"), "{error}");
}
