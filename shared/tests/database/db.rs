use shared::App;
use shared::db::{Db, DbError};
use sqlx::PgPool;
use testing::{app, app_without_database, execute, rows};

const INSERT: &str = "insert into public.visitors (visitor_id) values ('v')";

async fn visitors(pool: &PgPool) -> usize {
    rows(pool, "select 1 from public.visitors").await.len()
}

async fn backend(db: &Db) -> Result<i32, DbError> {
    db.tx(async |tx| Ok(sqlx::query_scalar("select pg_backend_pid()").fetch_one(tx).await?)).await
}

/// Ends a server process and waits until it is gone.
async fn end_backend(pool: &PgPool, pid: i32) {
    // The second argument is how long it may take, in milliseconds.
    let ended: bool =
        sqlx::query_scalar("select pg_terminate_backend($1, 5000)").bind(pid).fetch_one(pool).await.unwrap();
    assert!(ended);
}

#[sqlx::test(migrations = "../migrations")]
async fn ok_is_committed_and_an_error_is_rolled_back(pool: PgPool) {
    let db = app::<()>(&pool).db;
    let failed = db
        .tx(async |tx| {
            sqlx::query(INSERT).execute(&mut *tx).await?;
            sqlx::query("select 1 / 0").execute(tx).await?;
            Ok(())
        })
        .await;
    assert!(matches!(failed, Err(DbError::Value(state)) if state == "22012"));
    assert_eq!(visitors(&pool).await, 0);

    let refused: Result<(), DbError> = db
        .tx(async |tx| {
            sqlx::query(INSERT).execute(tx).await?;
            Err(DbError::Unavailable("a reason of our own".into()))
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(visitors(&pool).await, 0);

    let stored = db.tx(async |tx| Ok::<_, DbError>(sqlx::query(INSERT).execute(tx).await?.rows_affected())).await;
    assert_eq!(stored.unwrap(), 1);
    assert_eq!(visitors(&pool).await, 1, "seen from another connection at once");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_error_that_was_swallowed_is_no_commit(pool: PgPool) {
    let outcome = app::<()>(&pool)
        .db
        .tx(async |tx| {
            sqlx::query(INSERT).execute(&mut *tx).await?;
            let _ = sqlx::query("select 1 / 0").execute(tx).await;
            Ok::<_, DbError>(())
        })
        .await;
    assert_eq!(visitors(&pool).await, 0);
    assert!(outcome.is_err(), "Ok, but nothing was stored");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_fails_at_commit_is_an_error(pool: PgPool) {
    execute(
        &pool,
        "alter table public.visitors add constraint late unique (user_agent) deferrable initially deferred;
         insert into public.visitors (visitor_id, user_agent) values ('first', 'same')",
    )
    .await;
    let insert = "insert into public.visitors (visitor_id, user_agent) values ('second', 'same')";
    let db = app::<()>(&pool).db;
    let outcome = db.tx(async |tx| Ok::<_, DbError>(sqlx::query(insert).execute(tx).await?.rows_affected())).await;
    assert!(matches!(outcome, Err(DbError::Defect(_))), "{outcome:?}");
    assert_eq!(visitors(&pool).await, 1);
    assert!(backend(&db).await.is_ok(), "the door still opens");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_connection_that_broke_while_idle_is_replaced_without_an_error(pool: PgPool) {
    let db = app::<()>(&pool).db;
    db.warm().await.unwrap();
    let first = backend(&db).await.unwrap();
    assert_eq!(backend(&db).await.unwrap(), first, "one connection is used again");
    end_backend(&pool, first).await;
    assert_ne!(backend(&db).await.unwrap(), first);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_connection_that_dies_at_work_is_unavailable_once(pool: PgPool) {
    let db = app::<()>(&pool).db;
    let outcome = db
        .tx(async |tx| {
            sqlx::query(INSERT).execute(&mut *tx).await?;
            let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *tx).await?;
            end_backend(&pool, pid).await;
            sqlx::query("select 1").execute(tx).await?;
            Ok(())
        })
        .await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    assert_eq!(visitors(&pool).await, 0);
    assert!(backend(&db).await.is_ok());

    let at_commit = db
        .tx(async |tx| {
            let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(tx).await?;
            end_backend(&pool, pid).await;
            Ok(())
        })
        .await;
    assert!(matches!(at_commit, Err(DbError::Unavailable(_))), "{at_commit:?}");
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable() {
    let db = app_without_database::<()>(&[]).db;
    assert!(matches!(db.warm().await, Err(DbError::Unavailable(_))));
    assert!(matches!(backend(&db).await, Err(DbError::Unavailable(_))));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_login_or_a_database_that_is_not_there_is_unavailable(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    for options in [options.clone().username("nobody_by_this_name"), options.database("no_such_database")] {
        let outcome = backend(&Db::new(options, 1)).await;
        assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_error_is_classified_by_its_sqlstate(pool: PgPool) {
    let App { db, .. } = app::<()>(&pool);
    for (state, kind) in [
        ("22003", "value"),
        ("22021", "value"),
        ("54000", "value"),
        ("08006", "unavailable"),
        ("25006", "unavailable"),
        ("40001", "unavailable"),
        ("40P01", "unavailable"),
        ("53300", "unavailable"),
        ("55P03", "unavailable"),
        ("57014", "unavailable"),
        ("57P01", "unavailable"),
        ("23505", "defect"),
        ("25001", "defect"),
        ("42P01", "old schema"),
        ("42703", "old schema"),
        ("42883", "old schema"),
        ("42501", "defect"),
        ("P0001", "defect"),
    ] {
        let raise = format!("do $$ begin raise exception 'x' using errcode = '{state}'; end $$");
        let outcome = db.tx(async |tx| Ok::<_, DbError>(sqlx::query(&raise).execute(tx).await?.rows_affected())).await;
        let found = match outcome {
            Err(DbError::Value(_)) => "value",
            Err(DbError::Unavailable(_)) => "unavailable",
            Err(DbError::OldSchema(_)) => "old schema",
            Err(DbError::Defect(_)) => "defect",
            Ok(_) => "ok",
        };
        assert_eq!(found, kind, "{state}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn transactions_beyond_the_connections_take_turns(pool: PgPool) {
    let one = Db::new((*pool.connect_options()).clone(), 1);
    let (a, b, c) = tokio::join!(backend(&one), backend(&one), backend(&one));
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    assert!(a == b && b == c);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stuck_statement_is_ended_by_the_server_and_settings_do_not_outlive_the_transaction(pool: PgPool) {
    let one = Db::new((*pool.connect_options()).clone(), 1);
    let timeouts = "select array[current_setting('statement_timeout'), current_setting('lock_timeout')]";
    let within: Vec<String> =
        one.tx(async |tx| Ok::<_, DbError>(sqlx::query_scalar(timeouts).fetch_one(tx).await?)).await.unwrap();
    assert_eq!(within, ["8s", "5s"]);
    let left = rows(
        &pool,
        "select state from pg_stat_activity where application_name = 'adtrail' and datname = current_database()",
    )
    .await;
    assert_eq!(left, [serde_json::json!({"state": "idle"})], "no transaction stays open");
}
