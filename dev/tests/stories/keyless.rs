//! The role of a Lambda function proves itself to Google and speaks for the service account: no key anywhere.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use dev::lambda_runtime::LambdaRuntime;
use dev::settings;
use google_sandbox::{AwsRole, GoogleAccount, WorkloadIdentity};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::settings::Values;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::service_account::REFRESH_TOKEN;
use crate::stage::{Stage, binary, database_url};

const AUDIENCE: &str =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/adtrail/providers/aws";
const CLIENT_EMAIL: &str = "uploader@project.iam.gserviceaccount.example";

const PATIENCE: Duration = Duration::from_mins(1);

/// An account that lets one AWS role in.
pub fn account() -> GoogleAccount {
    let role = AwsRole {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: "example/secret+access/key".into(),
        session_token: "example+session/token==".into(),
    };
    GoogleAccount {
        workload_identity: Some(WorkloadIdentity {
            audience: AUDIENCE.into(),
            role,
            client_email: CLIENT_EMAIL.into(),
        }),
        ..GoogleAccount::dev()
    }
}

/// What gcloud writes, with the sandbox in Google's place.
pub fn configuration(google: &str) -> Value {
    json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": format!("{google}/v1/token"),
        "service_account_impersonation_url":
            format!("{google}/v1/projects/-/serviceAccounts/{CLIENT_EMAIL}:generateAccessToken"),
        "credential_source": {
            "environment_id": "aws1",
            "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
            "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        },
    })
}

/// Sets the configuration in place of the credentials of `make dev`, and what Lambda puts into the environment.
pub fn go_keyless(values: &mut Values) {
    let google = values["GOOGLE_DATA_MANAGER_URL"].expose_secret().to_owned();
    values.retain(|name, _| name != "GOOGLE_TOKEN_URL" && !REFRESH_TOKEN.contains(&name.as_str()));
    let role = account().workload_identity.unwrap().role;
    for (name, value) in [
        ("GOOGLE_EXTERNAL_ACCOUNT", configuration(&google).to_string()),
        ("AWS_ACCESS_KEY_ID", role.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", role.secret_access_key),
        ("AWS_SESSION_TOKEN", role.session_token),
        ("AWS_REGION", "eu-central-1".into()),
    ] {
        values.insert(name.into(), SecretString::from(value));
    }
}

/// Where containers find the keys of their role. Answers its address.
async fn container_credentials(role: AwsRole) -> String {
    let answer = json!({
        "AccessKeyId": role.access_key_id,
        "SecretAccessKey": role.secret_access_key,
        "Token": role.session_token,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/role", listener.local_addr().unwrap());
    let router = Router::new().route("/role", get(async move || Json(answer)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[sqlx::test(migrations = "../migrations")]
async fn conversions_are_sent_without_a_key(pool: PgPool) {
    let stage = Stage::with_account(pool, account(), go_keyless).await;
    stage.queue(30).await;

    stage.tick().await;

    let sent: BTreeSet<_> = stage.google.events().into_iter().map(|event| event.transaction_id).collect();
    assert_eq!(sent.len(), 30);
    let requests = stage.google.requests();
    assert_eq!((requests.token, requests.security_tokens, requests.iam_credentials), (0, 1, 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_role_whose_keys_are_not_in_the_environment_is_found_as_the_sdk_finds_it(pool: PgPool) {
    let stage = Stage::with_account(pool, account(), |_| {}).await;
    stage.queue(1).await;
    let mut values = settings::values(&database_url(&stage.pool), &stage.base);
    go_keyless(&mut values);
    // The real binaries refuse the secrets of `make dev`; the uploader has no use for them.
    let unused = ["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY"];
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    values.retain(|name, _| !unused.contains(&name.as_str()) && !keys.contains(&name.as_str()));
    let runtime = LambdaRuntime::start().await.unwrap();
    let mut uploader = runtime.command(&binary("upload-conversions"));
    uploader.envs(values.iter().map(|(name, value)| (name, value.expose_secret())));
    let role = account().workload_identity.unwrap().role;
    uploader.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", container_credentials(role).await);
    let _running = uploader.stdout(Stdio::null()).spawn().unwrap();

    runtime.invoke(json!({"source": "aws.scheduler"}));
    let summary = timeout(PATIENCE, runtime.result()).await.expect("the run ends").unwrap().unwrap();

    assert_eq!(summary["accepted"], 1, "{summary}");
    assert_eq!(stage.google.requests().security_tokens, 1);
}
