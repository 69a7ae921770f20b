//! `adtrail setup`: the real binary, a real Postgres, and a stand-in for Secrets Manager.

mod bad_input;
mod killed;
mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use serde_json::{Value, json};
use services::postgres::Postgres;
use services::supabase_roles::create_supabase_roles;
use sqlx::PgPool;
use testing::{execute, rows};
use tokio::process::Command;
use uuid::Uuid;

use crate::secrets_manager::{SecretsManager, arn};
use crate::stage::{binary, database_url};

const PAGE: &str = include_str!("../../../docs/deploy.md");
const SAMCONFIG: &str = include_str!("../../../samconfig.toml");
const KEYS: [&str; 4] = ["IP_HASH_KEY", "WEBHOOK_SECRET", "HEALTH_KEY", "PROXY_KEY"];

/// A checkout on somebody's machine, and their AWS account.
struct Checkout {
    folder: PathBuf,
    aws: SecretsManager,
}

/// What a run of `adtrail setup` said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Checkout {
    async fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
        fs::create_dir_all(&folder).unwrap();
        let it = Self { folder, aws: SecretsManager::start().await };
        it.write("samconfig.toml", SAMCONFIG);
        it
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("adtrail"));
        command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", &self.folder);
        self.aws.lead(&mut command);
        command.arg("setup").args(arguments).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments)).await
    }

    /// With the answers of the file.
    async fn set_up(&self) -> Said {
        self.run(&["--answers", "answers.toml", "--yes"]).await
    }

    /// What the answers lead to: the secret, samconfig.toml, and what is in the folder.
    fn state(&self) -> Value {
        let mut secret = self.aws.get("adtrail").unwrap_or_default();
        for key in KEYS {
            if let Some(value) = secret.get_mut(key) {
                *value = value.as_str().unwrap().len().into();
            }
        }
        let mut files: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|it| it.unwrap().file_name()).collect();
        files.sort_unstable();
        json!({"secret": secret, "samconfig": self.read("samconfig.toml"), "files": format!("{files:?}")})
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn said(command: &mut Command) -> Said {
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// The answers file of this database.
fn answers(url: &str) -> String {
    format!(
        "database_url = \"{url}\"\norigins = \"https://www.example.com\"\ngoogle_ads_account = \"\"\n\
         unknown_consent = \"hold\"\nalarm_email = \"alarms@example.com\"\n"
    )
}

/// Names of the migrations that a database has.
async fn migrations(pool: &PgPool) -> Vec<Value> {
    let exists = rows(pool, "select to_regclass('public._sqlx_migrations') is not null as it").await;
    if exists[0]["it"] == false {
        return Vec::new();
    }
    rows(pool, "select version, success from public._sqlx_migrations order by version").await
}

/// The key file of a service account.
fn google_key() -> String {
    let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
    json!({
        "type": "service_account",
        "client_email": "uploader@project.iam.gserviceaccount.example",
        "private_key": key.to_pkcs8_pem(LineEnding::LF).unwrap().as_str(),
        "private_key_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

/// The answers file as it stands in docs/deploy.md, but for the database's host.
#[tokio::test]
async fn the_answers_file_of_the_docs_sets_everything_up() {
    let postgres = Postgres::throwaway().await.unwrap();
    let url = postgres.url("postgres");
    create_supabase_roles(&url).await.unwrap();
    let pool = PgPool::connect(&url).await.unwrap();
    execute(&pool, "create role \"postgres.abcdefghijklmnopqrst\" superuser login").await;
    let blocks = PAGE.split("```toml\n").filter_map(|rest| rest.split("```").next());
    let file = blocks.into_iter().find(|block| block.starts_with("# answers.toml")).unwrap();
    let host = url.split(['@', '/']).nth(3).unwrap();
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &file.replace("aws-0-eu-central-1.pooler.supabase.com:6543", host));
    checkout.write("google-key.json", &google_key());

    let said = checkout.set_up().await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("This is done.") && said.out.contains("Next: make deploy"), "{said:?}");
    assert!(!said.out.contains("Functions that run already"), "none runs yet: {said:?}");
    assert!(said.out.contains("019_destinations") && said.out.contains("add     WEBHOOK_SECRET"), "{said:?}");
    assert!(migrations(&pool).await.len() >= 20);
    let secret = checkout.aws.get("adtrail").unwrap();
    assert_eq!((&secret["PHONE_DEFAULT_REGION"], &secret["COOKIE_DOMAIN"]), (&json!("DE"), &json!("example.com")));
    assert_eq!(secret["GOOGLE_SERVICE_ACCOUNT_KEY"]["type"], "service_account");
    for key in KEYS {
        let value = secret[key].as_str().unwrap();
        assert!(value.len() == 64 && !said.out.contains(value) && !said.error.contains(value), "{key}");
    }
    assert!(secret["DATABASE_URL"].as_str().unwrap().contains("PASSWORD") && !said.out.contains("PASSWORD"));
    let arn = arn("adtrail");
    let added = format!(
        "parameter_overrides = [\n    \"SecretArn={arn}\",\n    \
         \"AllowedOrigins=https://www.example.com\",\n    \
         \"GoogleAdsCustomerId=123-456-7890\",\n    \"GoogleAdsConversionActionClosed=987654321\",\n    \
         \"ConsentUnknown=hold\",\n    \"AlarmEmail=alarms@example.com\",\n]\n"
    );
    let stack = "stack_name = \"adtrail\"\n";
    let with_region = SAMCONFIG.replace(stack, &format!("{stack}region = \"eu-central-1\"\n"));
    assert_eq!(checkout.read("samconfig.toml"), format!("{with_region}{added}"));
    pool.close().await;
}

#[sqlx::test(migrations = false)]
async fn a_second_run_changes_nothing_and_says_so(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    assert_eq!(checkout.set_up().await.code, Some(0));
    let (state, secret) = (checkout.state(), checkout.aws.get("adtrail"));

    for arguments in [&["--answers", "answers.toml", "--yes"][..], &["--yes"], &[]] {
        let said = checkout.run(arguments).await;
        assert_eq!((said.code, said.error.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.out.contains("Everything is set up already. Nothing was changed."), "{said:?}");
        assert_eq!((checkout.state(), checkout.aws.get("adtrail")), (state.clone(), secret.clone()));
    }
    assert_eq!((checkout.aws.count("CreateSecret"), checkout.aws.count("PutSecretValue")), (1, 0));
}

#[sqlx::test(migrations = false)]
async fn only_what_is_answered_differently_changes(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    checkout.set_up().await;
    let before = checkout.aws.get("adtrail").unwrap();
    let file = checkout.read("samconfig.toml");
    checkout.write(
        "samconfig.toml",
        &file
            .replace("    \"ConsentUnknown=hold\",", "    # law\n    \"ConsentUnknown=hold\",\n    \"LogLevel=WARN\","),
    );

    let said = checkout.run(&["--origins", "https://shop.example.com/", "--phone-region", "de", "--yes"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("AllowedOrigins = https://shop.example.com, was https://www.example.com"), "{said:?}");
    assert!(said.out.contains("Functions that run already go by the changed secret within five minutes."), "{said:?}");
    assert!(said.out.contains("add     PHONE_DEFAULT_REGION") && !said.out.contains("HEALTH_KEY\n"), "{said:?}");
    let mut expected = before;
    expected["PHONE_DEFAULT_REGION"] = "DE".into();
    assert_eq!(checkout.aws.get("adtrail").unwrap(), expected);
    let now = checkout.read("samconfig.toml");
    let changed = now.replace("shop.example.com", "www.example.com").replace("version-2", "version-1");
    assert_eq!(changed.replace("    # law\n", "").replace("    \"LogLevel=WARN\",\n", ""), file);
    assert!(now.contains("# law\n") && now.contains("LogLevel=WARN"), "{now}");
}

#[sqlx::test(migrations = false)]
async fn a_secret_that_is_there_keeps_its_values(pool: PgPool) {
    let checkout = Checkout::new().await;
    let own =
        json!({"WEBHOOK_SECRET": "the CRM has this one", "ACME_SECRET": "of another source", "MATCH_BY": "lead_id"});
    checkout.aws.put("adtrail", &own.to_string());
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    checkout.set_up().await;
    let secret = checkout.aws.get("adtrail").unwrap();
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&secret[name], value);
    }
    assert_eq!(secret["IP_HASH_KEY"].as_str().unwrap().len(), 64);
}

#[sqlx::test(migrations = false)]
async fn google_ads_can_be_set_up_later(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    let said = checkout.set_up().await;
    assert!(said.out.contains("Google Ads is not set up yet"), "{said:?}");
    assert!(checkout.read("samconfig.toml").contains("'GoogleAdsCustomerId=\"\"'"));

    let account = ["--google-ads-account", "1234567890", "--google-ads-action-closed", "987654321", "--yes"];
    let said = checkout.run(&account).await;
    assert!(said.error.contains("Not answered: google_ads_credentials (--google-ads-credentials)"), "{said:?}");
    checkout.write("google-key.json", &google_key());
    let said = checkout.run(&[&account[..], &["--google-ads-credentials", "google-key.json"]].concat()).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("GoogleAdsCustomerId = 123-456-7890, was (empty: later)"), "{said:?}");
    assert_eq!(checkout.aws.get("adtrail").unwrap()["GOOGLE_SERVICE_ACCOUNT_KEY"]["private_key_id"], "1");
    // The answers file still says later, which leaves what is there.
    assert!(checkout.set_up().await.out.contains("Nothing was changed."));

    checkout.write("external-account.json", r#"{"type": "external_account"}"#);
    let said = checkout.run(&["--google-ads-credentials", "external-account.json", "--yes"]).await;
    assert!(said.error.contains("The secret has GOOGLE_SERVICE_ACCOUNT_KEY, and only one kind"), "{said:?}");
}

#[sqlx::test(migrations = false)]
async fn nothing_is_changed_before_somebody_agrees(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    for (arguments, code) in [(&["--answers", "answers.toml"][..], 1), (&["--answers", "answers.toml", "--dry-run"], 0)]
    {
        let said = checkout.run(arguments).await;
        assert_eq!(said.code, Some(code), "{said:?}");
        for line in ["  000_leads", "New secret adtrail", "  add     DATABASE_URL", "  ConsentUnknown = hold"] {
            assert!(said.out.contains(line), "{line} in {said:?}");
        }
        assert!(said.out.contains("Nothing was changed.") || said.error.contains("add --yes"), "{said:?}");
        assert_eq!((checkout.aws.get("adtrail"), checkout.read("samconfig.toml").as_str()), (None, SAMCONFIG));
        assert_eq!(migrations(&pool).await, [Value::Null; 0]);
    }
    let said = said(checkout.command(&["--answers", "answers.toml", "--dry-run"]).arg("--json")).await;
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&document["applied"], &document["migrations"][0]), (&json!(false), &json!("000_leads")));
}

#[sqlx::test(migrations = false)]
async fn the_secret_can_be_a_file_of_ones_own(pool: PgPool) {
    let checkout = Checkout::new().await;
    checkout.write("answers.toml", &answers(&database_url(&pool)));
    let arguments = ["--answers", "answers.toml", "--secret-file", "secret.json", "--yes"];
    let said = checkout.run(&arguments).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("create-secret --name adtrail --secret-string file://secret.json"), "{said:?}");
    assert_eq!(fs::metadata(checkout.folder.join("secret.json")).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = checkout.read("secret.json");

    let arn = arn("adtrail");
    let said = checkout.run(&[&arguments[..], &["--secret", &arn]].concat()).await;
    assert!(said.out.contains("Next: make deploy"), "{said:?}");
    assert!(checkout.read("samconfig.toml").contains(&format!("\"SecretArn={arn}\"")));
    assert_eq!(checkout.read("secret.json"), secret);
    assert_eq!(checkout.aws.count("GetSecretValue"), 0);
    // Fresh keys would replace those that are stored by now.
    fs::remove_file(checkout.folder.join("secret.json")).unwrap();
    let said = checkout.run(&arguments).await;
    assert!(said.error.contains(&format!("get-secret-value --secret-id {arn}")), "{said:?}");
    // Whoever may read the secret goes on from there.
    checkout.aws.put("adtrail", &secret);
    let said = checkout.run(&["--yes"]).await;
    assert!(said.out.contains("region = eu-central-1") && !said.out.contains("_KEY\n"), "{said:?}");
    assert_eq!(checkout.aws.get("adtrail").unwrap(), serde_json::from_str::<Value>(&secret).unwrap());
}
