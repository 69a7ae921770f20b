//! The real binaries: a request of API Gateway comes in, and the settings come out of one secret in Secrets Manager.

use std::process::Stdio;
use std::time::Duration;

use dev::lambda_runtime::{LambdaRuntime, http_event};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::timeout;

use crate::secrets_manager::SecretsManager;
use crate::stage::{binary, database_url};

const KEY: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(30);

fn request(token: &str) -> Value {
    http_event("GET", "/api/health/tracking", &[("authorization", &format!("Bearer {token}"))], "")
}

/// The function for health, which has its settings from one secret, is asked with each key.
async fn ask_for_health(secrets: &[Value], keys_and_statuses: &[(&str, u16)]) {
    let secrets_manager = SecretsManager::with_script(secrets).await;
    let runtime = LambdaRuntime::start().await.unwrap();
    let mut function = runtime.command(&binary("tracking-health"));
    secrets_manager.lead(function.env("ADTRAIL_SECRET_ID", "adtrail"));
    let _running = function.stdout(Stdio::null()).spawn().unwrap();

    for (key, status) in keys_and_statuses {
        runtime.invoke(request(key));
        let answer = timeout(PATIENCE, runtime.result()).await.expect("an answer").unwrap().unwrap();
        assert_eq!(answer["statusCode"], *status, "{answer}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_function_takes_its_settings_from_one_secret(pool: PgPool) {
    let secret = json!({"DATABASE_URL": database_url(&pool), "HEALTH_KEY": KEY});
    ask_for_health(&[secret], &[(KEY, 200), ("another key of 16", 401)]).await;
}

/// Whatever level is asked for.
#[sqlx::test(migrations = "../migrations")]
async fn no_log_has_a_request_in_it(pool: PgPool) {
    for (level, format) in [("TRACE", "JSON"), ("DEBUG", "Text")] {
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut function = runtime.command(&binary("tracking-health"));
        function.env("DATABASE_URL", database_url(&pool)).env("HEALTH_KEY", KEY);
        function.env("AWS_LAMBDA_LOG_LEVEL", level).env("AWS_LAMBDA_LOG_FORMAT", format);
        function.env("RUST_LOG", "trace,lambda_runtime=trace,lambda_http=trace").stdout(Stdio::piped());
        let mut running = function.stderr(Stdio::piped()).spawn().unwrap();
        for key in [KEY, "another key of 16"] {
            runtime.invoke(request(key));
            timeout(PATIENCE, runtime.result()).await.expect("an answer").unwrap().unwrap();
        }
        running.start_kill().unwrap();
        let ended = running.wait_with_output().await.unwrap();

        let said = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("DEBUG") && said.contains("answered"), "{said}");
        for told in [KEY, "another key of 16", "192.0.2.1"] {
            assert!(!said.contains(told), "{told} in: {said}");
        }
    }
}

/// The first role can't log in.
#[sqlx::test(migrations = "../migrations")]
async fn a_function_reads_its_secret_again_when_its_login_is_refused(pool: PgPool) {
    let url = database_url(&pool);
    let secrets =
        [url.replace("postgres@", "retired@"), url].map(|url| json!({"DATABASE_URL": url, "HEALTH_KEY": KEY}));
    ask_for_health(&secrets, &[(KEY, 200)]).await;
}

#[sqlx::test(migrations = false)]
async fn a_function_without_its_settings_says_all_that_is_missing(_pool: PgPool) {
    let runtime = LambdaRuntime::start().await.unwrap();
    let ended = runtime.command(&binary("track-visit")).output().await.unwrap();

    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
    for name in ["DATABASE_URL", "ALLOWED_ORIGINS", "IP_HASH_KEY"] {
        assert!(said.contains(name), "{name} in: {said}");
    }
}
