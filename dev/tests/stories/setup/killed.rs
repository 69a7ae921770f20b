//! Killed at any step, the next run ends where one ends that nobody disturbed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::*;
use crate::secrets_manager::When;

const PATIENCE: Duration = Duration::from_secs(30);

/// Where a run is held up and then killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call of Secrets Manager that gets no answer.
    Call(&'static str, When),
    /// In the middle of this migration, which waits for a lock.
    Migration(i64),
    /// Half of this file is written.
    Writing(&'static str),
}

/// More than a pipe holds: whoever writes it into one that is not read stops halfway.
fn long_comment() -> String {
    format!("# {}\n", "x".repeat(99)).repeat(2_000)
}

impl Step {
    /// Runs until it is here, and is killed.
    async fn kills(self, checkout: &Checkout, pool: &PgPool, arguments: &[&str]) {
        let mut running = match self {
            Self::Call(call, when) => {
                checkout.aws.hold(call, when);
                let running = checkout.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
                timeout(PATIENCE, checkout.aws.held.notified()).await.expect("the call");
                running
            }
            Self::Migration(version) => {
                let mut lock = PgConnection::connect(&database_url(pool)).await.unwrap();
                sqlx::query("select pg_advisory_lock(7)").execute(&mut lock).await.unwrap();
                execute(pool, &waits_in(version)).await;
                let mut running = checkout.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
                let waiting = "select count(*)::integer as n from pg_locks where locktype = 'advisory' and objid = 7
                               and not granted and database = (select oid from pg_database
                                                               where datname = current_database())";
                timeout(PATIENCE, async { while rows(pool, waiting).await[0]["n"] == 0 {} }).await.expect("a wait");
                running.start_kill().unwrap();
                execute(pool, "drop event trigger waits").await;
                // The server ends the transaction of the dead client now.
                lock.close().await.unwrap();
                running
            }
            Self::Writing(name) => {
                let unfinished = checkout.folder.join(format!(".{name}.adtrail"));
                assert!(Command::new("mkfifo").arg(&unfinished).status().await.unwrap().success());
                let running = checkout.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
                first_byte(&unfinished).await;
                running
            }
        };
        running.start_kill().unwrap();
        let status = running.wait().await.unwrap();
        assert_eq!(status.signal(), Some(9), "{self:?}: {status:?}");
        checkout.aws.go_on();
        if let Self::Writing(name) = self {
            let unfinished = checkout.folder.join(format!(".{name}.adtrail"));
            fs::remove_file(&unfinished).unwrap();
            fs::write(&unfinished, "half of it").unwrap();
        }
    }
}

async fn first_byte(path: &Path) {
    let read = async {
        let mut file = File::open(path).await.unwrap();
        file.read_exact(&mut [0]).await.unwrap();
        // Closed at the end of the test: a writer without readers would be ended by the system.
        std::mem::forget(file);
    };
    timeout(PATIENCE, read).await.expect("a writer");
}

/// An event trigger that waits for lock 7 in this migration.
fn waits_in(version: i64) -> String {
    format!(
        "create function public.wait_in_migration() returns event_trigger language plpgsql as $$
         declare done bigint := -1;
         begin
             if to_regclass('public._sqlx_migrations') is not null then
                 execute 'select coalesce(max(version), -1) from public._sqlx_migrations' into done;
             end if;
             if done = {version} - 1 then
                 perform pg_advisory_xact_lock(7);
             end if;
         end $$;
         create event trigger waits on ddl_command_end execute function public.wait_in_migration()"
    )
}

/// A database of its own on the same server, for each step.
async fn fresh(pool: &PgPool) -> PgPool {
    let name = format!("setup_{}", Uuid::new_v4().simple());
    execute(pool, &format!("create database {name}")).await;
    PgPool::connect_with((*pool.connect_options()).clone().database(&name)).await.unwrap()
}

/// One set up by these arguments from the state that `prepare` makes; killed at `step` before.
async fn ends(pool: &PgPool, step: Option<Step>, prepare: &str, arguments: &[&str], secret: Option<&str>) -> Value {
    let database = fresh(pool).await;
    let checkout = Checkout::new().await;
    checkout.write("samconfig.toml", &(long_comment() + SAMCONFIG));
    checkout.write("answers.toml", &answers(&database_url(&database)));
    if let Some(secret) = secret {
        checkout.write("secret.json", secret);
    }
    if !prepare.is_empty() {
        checkout.write("before.toml", &(answers(&database_url(&database)) + prepare));
        assert_eq!(checkout.run(&["--answers", "before.toml", "--yes"]).await.code, Some(0));
    }
    if let Some(step) = step {
        step.kills(&checkout, &database, arguments).await;
        let (file, kept) = (checkout.read("samconfig.toml"), checkout.aws.get("adtrail"));
        let said = checkout.run(arguments).await;
        assert_eq!(said.code, Some(0), "{step:?}: {said:?}");
        assert!(file.contains("\nparameter_overrides") != prepare.is_empty(), "{step:?} left half a file");
        if let (Some(kept), Some(now)) = (kept, checkout.aws.get("adtrail")) {
            assert!(KEYS.iter().all(|key| kept[key] == now[key]), "{step:?}: a key that was written stays");
        }
        execute(&database, "drop function if exists public.wait_in_migration()").await;
    } else {
        assert_eq!(checkout.run(arguments).await.code, Some(0));
    }
    let again = checkout.run(arguments).await;
    assert!(again.out.contains("Nothing was changed."), "{step:?}: {again:?}");
    let mut state = checkout.state();
    let url = database_url(&database);
    state["migrations"] = migrations(&database).await.into();
    state["tables"] =
        rows(&database, "select tablename from pg_tables where schemaname = 'public' order by 1").await.into();
    if secret.is_some() {
        let mut file: Value = serde_json::from_str(&checkout.read("secret.json")).unwrap();
        for made in ["HEALTH_KEY", "IP_HASH_KEY", "PROXY_KEY"] {
            file[made] = file[made].as_str().unwrap().len().into();
        }
        state["file"] = file;
    }
    database.close().await;
    serde_json::from_str(&state.to_string().replace(&url, "the database")).unwrap()
}

const ARGUMENTS: [&str; 3] = ["--answers", "answers.toml", "--yes"];

#[sqlx::test(migrations = false)]
async fn a_first_run_that_was_killed_is_finished_by_the_next(pool: PgPool) {
    let undisturbed = ends(&pool, None, "", &ARGUMENTS, None).await;
    for step in [
        Step::Call("GetSecretValue", When::Before),
        Step::Migration(0),
        Step::Migration(9),
        Step::Migration(19),
        Step::Call("CreateSecret", When::Before),
        Step::Call("CreateSecret", When::After),
        Step::Writing("samconfig.toml"),
    ] {
        assert_eq!(ends(&pool, Some(step), "", &ARGUMENTS, None).await, undisturbed, "{step:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_change_that_was_killed_is_finished_by_the_next(pool: PgPool) {
    let arguments = [&ARGUMENTS[..], &["--phone-region", "DE", "--origins", "https://shop.example.com"]].concat();
    let before = "cookie_domain = \"example.com\"\n";
    let undisturbed = ends(&pool, None, before, &arguments, None).await;
    for step in [
        Step::Call("PutSecretValue", When::Before),
        Step::Call("PutSecretValue", When::After),
        Step::Writing("samconfig.toml"),
    ] {
        assert_eq!(ends(&pool, Some(step), before, &arguments, None).await, undisturbed, "{step:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_secret_file_is_whole_or_not_there(pool: PgPool) {
    let arguments = [&ARGUMENTS[..], &["--secret-file", "secret.json"]].concat();
    let secret = json!({"WEBHOOK_SECRET": "0123456789abcdef", "CRM_SOURCES": long_comment()}).to_string();
    let undisturbed = ends(&pool, None, "", &arguments, Some(&secret)).await;
    let step = Step::Writing("secret.json");
    assert_eq!(ends(&pool, Some(step), "", &arguments, Some(&secret)).await, undisturbed);
}
