//! What can't be right: each is one sentence with the fix, and nothing is half done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::database_authority::{Authority, pooler};

/// What a run with `answers.toml` says that changes nothing.
async fn refused(checkout: &Checkout, change: impl FnOnce(&mut Command)) -> String {
    let writes = |aws: &SecretsManager| aws.count("CreateSecret") + aws.count("PutSecretValue");
    let before = (checkout.state(), writes(&checkout.aws));
    let mut command = checkout.command(&["--answers", "answers.toml", "--yes"]);
    change(&mut command);
    let said = said(&mut command).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!((checkout.state(), writes(&checkout.aws)), before, "{said:?}");
    assert!(!said.error.contains("s3cret"), "{said:?}");
    said.error
}

/// The same, without a change of the command.
async fn refuses(checkout: &Checkout, answers: &str) -> String {
    checkout.write("answers.toml", answers);
    refused(checkout, |_| {}).await
}

/// A server that refuses every connection with this message, and counts them.
async fn refusing_server(sqlstate: &str, message: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgresql://app:s3cret@{}/postgres?sslmode=disable", listener.local_addr().unwrap());
    let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    let answer = [b"E", &length[..], fields.as_bytes()].concat();
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = logins.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = client.read(&mut [0; 1024]).await;
            let _ = client.write_all(&answer).await;
        }
    });
    (url, logins)
}

#[tokio::test]
async fn a_connection_string_that_can_not_be_right() {
    let checkout = Checkout::new().await;
    let pooler = "aws-0-eu-central-1.pooler.supabase.com";
    for (url, said) in [
        ("s3cret", "database_url in answers.toml must be a connection string"),
        (&format!("postgresql://postgres.abc:s3cret@/@{pooler}:6543/postgres"), "%40 for @, %2F for /"),
        ("postgresql://postgres:s3cret@db.abc.supabase.co:5432/postgres", "IPv6 only"),
        (&format!("postgresql://postgres.abc:s3cret@{pooler}:5432/postgres"), "must have the port 6543"),
        ("postgresql://app:s3cret@127.0.0.1:9/postgres?sslmode=disable", "127.0.0.1:9 can't be reached"),
        ("postgresql://app:s3cret@[2001:db8::1]:6543/postgres", "has IPv6 only"),
        ("postgresql://app:s3cret@nowhere.invalid:6543/postgres", "no host of the name in nowhere.invalid:6543"),
    ] {
        let error = refuses(&checkout, &answers(url)).await;
        assert!(error.contains(said) && error.lines().count() == 1, "{error}");
    }
    // From the environment, too.
    checkout.write("answers.toml", &answers(""));
    let error = refused(&checkout, |command| {
        command.env("DATABASE_URL", "s3cret");
    })
    .await;
    assert!(error.contains("DATABASE_URL in the environment must be a connection string"), "{error}");
}

#[tokio::test]
async fn a_login_that_is_refused_is_tried_once() {
    let checkout = Checkout::new().await;
    for (sqlstate, message, said) in [
        ("28P01", "password authentication failed for user \"app\"", "check user and password"),
        ("XX000", "(ENOTFOUND) tenant/user app.abc not found", "resume the project in the dashboard if it is paused"),
        ("XX000", "Tenant or user not found", "copy the string from Connect"),
        ("XX000", "(ECIRCUITBREAKER) too many authentication failures", "wait ten minutes"),
    ] {
        let (url, logins) = refusing_server(sqlstate, message).await;
        let error = refuses(&checkout, &answers(&url)).await;
        assert!(error.contains(said) && error.contains(message) && error.lines().count() == 1, "{error}");
        assert_eq!(logins.load(Ordering::SeqCst), 1, "{message}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_certificate_that_nobody_vouches_for(pool: PgPool) {
    let authority = Authority::certifies("localhost");
    let (_pooler, url) = pooler(&pool, &authority).await;
    let checkout = Checkout::new().await;
    let error = refuses(&checkout, &answers(&url)).await;
    assert!(error.contains("is not trusted") && error.contains("set DATABASE_CA_PEM"), "{error}");

    let mut command = checkout.command(&["--answers", "answers.toml", "--yes"]);
    // Migrations don't go through a pooler in transaction mode.
    command.env("DATABASE_CA_PEM", &authority.root).env("MIGRATIONS_DATABASE_URL", database_url(&pool));
    let said = said(&mut command).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(checkout.aws.get("adtrail").unwrap()["DATABASE_CA_PEM"], authority.root.trim());
}

#[sqlx::test(migrations = false)]
async fn everything_wrong_with_a_file_at_once(pool: PgPool) {
    let checkout = Checkout::new().await;
    let good = answers(&database_url(&pool));
    let file = good
        .replace("https://www.example.com", "https://www.example.com/shop")
        .replace("google_ads_account = \"\"", "google_ads_account = 12\ngoogle_ads_credentials = \"nowhere.json\"")
        .replace("\"hold\"", "\"perhaps\"")
        .replace("alarm_email = \"alarms@example.com\"", "alarm_email = true\nwebsite = \"https://www.example.com\"");
    let error = refuses(&checkout, &file).await;
    for said in [
        "origins in answers.toml must list origins",
        "google_ads_account in answers.toml must be the ten digits",
        "google_ads_credentials in answers.toml names nowhere.json, which can't be read",
        "unknown_consent in answers.toml must be hold or send; there is no default",
        "alarm_email must be a text",
        "website is no answer: there are database_url, origins,",
    ] {
        assert!(error.contains(said), "{said} in {error}");
    }
    let error = refuses(&checkout, "database_url = \"postgresql://app:s3cret").await;
    assert!(error.contains("answers.toml is no TOML, line 1"), "{error}");

    let incomplete = good.replace("origins =", "# ").replace("unknown_consent", "# ");
    let error =
        refuses(&checkout, &incomplete.replace("google_ads_account = \"\"", "google_ads_account = 1234567890")).await;
    let missing = "Not answered: origins (--origins), google_ads_credentials (--google-ads-credentials), \
                   unknown_consent (--unknown-consent).";
    assert!(error.contains(missing), "{error}");
}

#[sqlx::test(migrations = false)]
async fn aws_that_refuses(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    for (code, said) in [
        ("ExpiredTokenException", "have expired: log in again"),
        ("UnrecognizedClientException", "AWS refuses these credentials"),
        ("AccessDeniedException", "may not call secretsmanager:GetSecretValue on the secret adtrail in eu-central-1"),
        ("DecryptionFailure", "give it the default key"),
        ("Novel", "the secret adtrail in eu-central-1 (Novel): run this again in a minute; if the code stays"),
    ] {
        checkout.aws.refuse("*", code);
        let error = refused(&checkout, |_| {}).await;
        assert!(error.contains(said) && error.lines().count() == 1, "{error}");
    }
    checkout.aws.go_on();
    let error = refused(&checkout, |command| {
        command.env_remove("AWS_ACCESS_KEY_ID");
    })
    .await;
    assert!(error.contains("no AWS credentials") && error.lines().count() == 1, "{error}");
    let error = refused(&checkout, |command| {
        command.env_remove("AWS_REGION");
    })
    .await;
    assert!(error.contains("No AWS region is set"), "{error}");
    let error = refused(&checkout, |command| {
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    })
    .await;
    assert!(error.contains("gives no answer") && error.contains("AWS_ENDPOINT_URL"), "{error}");
    checkout.write("samconfig.toml", &format!("{SAMCONFIG}region = \"us-east-1\"\n"));
    let error = refused(&checkout, |_| {}).await;
    assert!(error.contains("region is eu-central-1, but") && error.contains("AWS_REGION=us-east-1"), "{error}");
    assert_eq!(migrations(&pool).await, [Value::Null; 0]);

    // A right that shows only when the secret is written: what is done by then is said, and the next run goes on.
    checkout.write("samconfig.toml", SAMCONFIG);
    checkout.aws.refuse("CreateSecret", "AccessDeniedException");
    let said = checkout.set_up().await;
    assert!(said.error.contains("secretsmanager:CreateSecret") && said.error.contains("--secret-file"), "{said:?}");
    assert!(said.error.contains("Done before: the migrations. Run adtrail setup again"), "{said:?}");
    assert_eq!(checkout.read("samconfig.toml"), SAMCONFIG);
    checkout.aws.go_on();
    assert_eq!(checkout.set_up().await.code, Some(0));
}

#[sqlx::test(migrations = false)]
async fn a_file_that_can_not_be_written(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    let in_the_way = checkout.folder.join(".samconfig.toml.adtrail");
    fs::create_dir(&in_the_way).unwrap();
    let said = checkout.set_up().await;
    assert!(said.error.contains("samconfig.toml can't be written"), "{said:?}");
    assert!(said.error.contains("Done before: the migrations and the secret."), "{said:?}");
    let secret = checkout.aws.get("adtrail");
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(checkout.set_up().await.code, Some(0));
    assert_eq!(checkout.aws.get("adtrail"), secret);
}

#[sqlx::test(migrations = false)]
async fn a_secret_or_a_schema_that_does_not_fit(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    checkout.aws.put("adtrail", r#"["not", "an object"]"#);
    let error = refused(&checkout, |_| {}).await;
    assert!(error.contains("must be a JSON object"), "{error}");
    let wrong = json!({"WEBHOOK_SECRET": "short", "HEALTH_KEY": "short too", "PHONE_DEFAULT_REGION": "UK"});
    checkout
        .aws
        .put("adtrail", &json!({"WEBHOK_SECRET": "0123456789abcdef", "HEALTHKEY": "0123456789abcdef"}).to_string());
    let error = refused(&checkout, |_| {}).await;
    assert!(
        error.contains("WEBHOK_SECRET and no WEBHOOK_SECRET") && error.contains("HEALTHKEY and no HEALTH_KEY"),
        "{error}"
    );
    checkout.aws.put("adtrail", &wrong.to_string());
    let error = refused(&checkout, |_| {}).await;
    assert!(error.contains("PHONE_DEFAULT_REGION in the secret must be the two letters"), "{error}");
    checkout.aws.put("adtrail", &json!({"WEBHOOK_SECRET": "short", "HEALTH_KEY": "short too"}).to_string());
    let error = refused(&checkout, |_| {}).await;
    assert!(
        error.contains("WEBHOOK_SECRET must be a secret of at least 16") && error.contains("HEALTH_KEY must"),
        "{error}"
    );

    checkout.aws.put("adtrail", "{}");
    assert_eq!(checkout.set_up().await.code, Some(0));
    execute(
        &pool,
        "insert into public._sqlx_migrations (version, description, success, checksum, execution_time)
         values (999, 'the future', true, '', 0)",
    )
    .await;
    let error = refused(&checkout, |_| {}).await;
    assert!(error.contains("migration 999") && error.contains("a newer one"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_no_checkout() {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers("postgresql://app@127.0.0.1:9/postgres"));
    checkout.write("samconfig.toml", "parameter_overrides = ");
    assert!(refused(&checkout, |_| {}).await.contains("samconfig.toml is no TOML"));
    fs::remove_file(checkout.folder.join("samconfig.toml")).unwrap();
    let said = checkout.set_up().await;
    assert!(said.error.contains("run adtrail setup in the root of the checkout"), "{said:?}");
}
