//! `adtrail doctor` on a deployment that is as it should be, and on one with each of many faults.

mod faults;
pub mod front;

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::sync::atomic::Ordering;

use google_sandbox::GoogleAccount;
use secrecy::ExposeSecret;
use serde_json::Value;
use services::pgbouncer::PgBouncer;
use shared::settings::Values;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::RwLock;

use crate::database_authority::{self, Authority};
use crate::deployed::{Aws, CONFIRMED, Deployed, SECRET_ARN, TOPIC_ARN};
use crate::refused_login::supabases_pooler;
use crate::stage::{Stage, binary, database_url};
use faults::{Change, FAULTS};
use front::Front;

const SOURCES: &str = r#"
[hubspot-workflow]
preset = "hubspot-workflow"
[zoho]
preset = "zoho"
[close]
preset = "close"
[pipedrive]
preset = "pipedrive"
[standard-webhooks]
preset = "standard-webhooks"
"#;

/// What of the settings is a parameter of the stack.
const PARAMETERS: [(&str, &str); 5] = [
    ("ALLOWED_ORIGINS", "AllowedOrigins"),
    ("CONSENT_UNKNOWN", "ConsentUnknown"),
    ("GOOGLE_ADS_CUSTOMER_ID", "GoogleAdsCustomerId"),
    ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "GoogleAdsConversionActionClosed"),
    ("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED", "GoogleAdsConversionActionQualified"),
];

/// Roles are those of the whole server: who changes them is alone.
static ROLES: RwLock<()> = RwLock::const_new(());

/// A deployment, with everything that surrounds it.
pub struct Setup {
    pub stage: Stage,
    pub front: Front,
    pub aws: Aws,
    pub pooler: PgBouncer,
    healthy: Deployed,
}

/// How adtrail doctor is called.
#[derive(Clone)]
pub struct Call {
    pub deployed: Deployed,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

impl Setup {
    async fn new(pool: PgPool) -> Self {
        let mut front = Front::new().await;
        let pooler = PgBouncer::start(&database_url(&pool), 3).await.unwrap();
        let database = pool.connect_options().get_database().unwrap().to_owned();
        let url = pooler.url(&database).replace("postgres@", "postgres:hush-hush@");
        let mut settings = Values::new();
        let change = |values: &mut Values| {
            let own = [
                ("DATABASE_URL", url.as_str()),
                ("ALLOWED_ORIGINS", &front.base),
                ("IP_HASH_KEY", "hush-ip-hash-key"),
                ("WEBHOOK_SECRET", "hush-webhook-secret"),
                ("HEALTH_KEY", "hush-health-key-of-16"),
                ("CRM_SOURCES", SOURCES),
                ("HUBSPOT_CLIENT_SECRET", "hush-hubspot-client-secret"),
                ("ZOHO_TOKEN", "hush-zoho-token-of-16"),
                ("PIPEDRIVE_PASSWORD", "hush-pipedrive-password"),
            ];
            values.retain(|name, _| name != "HUBSPOT_WORKFLOW_SECRET");
            values.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned().into())));
            settings.clone_from(values);
        };
        let stage = Stage::with_account(pool, GoogleAccount::dev(), change).await;
        front.stand_before(&stage.base);
        let aws = Aws::start().await;
        let healthy = deployed(&settings, &front.base);
        stage.tick().await;
        Self { stage, front, aws, pooler, healthy }
    }

    fn call(&self) -> Call {
        let arguments = ["--json", "doctor", "--stack", "adtrail", "--site", &self.front.base];
        Call {
            deployed: self.healthy.clone(),
            arguments: arguments.map(str::to_owned).into(),
            environment: self.aws.environment().map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Runs the real binary.
    async fn examine(&self, call: &Call) -> Output {
        let _roles_stay = ROLES.read().await;
        self.examine_with_these_roles(call).await
    }

    async fn examine_with_these_roles(&self, call: &Call) -> Output {
        *self.aws.deployed.lock().unwrap() = call.deployed.clone();
        let mut command = Command::new(binary("adtrail"));
        command.env_clear().envs(&call.environment).args(&call.arguments);
        command.stdin(Stdio::null()).output().await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sql).execute(&self.stage.pool).await.unwrap();
    }
}

fn deployed(settings: &Values, base: &str) -> Deployed {
    let parameter =
        |name: &str| PARAMETERS.iter().find(|(setting, _)| *setting == name).map(|(_, parameter)| *parameter);
    let mut deployed = Deployed { status: "CREATE_COMPLETE".into(), ..Deployed::default() };
    for (name, value) in settings {
        let value = value.expose_secret().to_owned();
        match parameter(name) {
            Some(parameter) => deployed.parameters.insert(parameter.to_owned(), value),
            None => deployed.secret.insert(name.clone(), value),
        };
    }
    deployed.parameters.insert("SecretArn".into(), SECRET_ARN.into());
    deployed.parameters.insert("UploadEveryMinutes".into(), "15".into());
    deployed.outputs =
        [("BaseUrl", base), ("AlarmTopicArn", TOPIC_ARN)].map(|(key, value)| (key.into(), value.into())).into();
    deployed.subscriptions = vec![("lambda", CONFIRMED.into()), ("email", CONFIRMED.into())];
    deployed
}

/// The findings: level, check and problem.
pub fn findings(report: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for check in report["checks"].as_array().unwrap() {
        for finding in check["findings"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            assert!(text(&finding["fix"]).len() > 10, "{finding}");
            found.push((text(&finding["level"]), text(&check["check"]), text(&finding["problem"])));
        }
    }
    found
}

pub fn document(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[track_caller]
fn assert_no_secret(output: &Output, case: &str) {
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("hush"), "{case}: {said}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_healthy_deployment_has_no_finding_and_stays_as_it_is(pool: PgPool) {
    let setup = Setup::new(pool.clone()).await;
    let before = testing::row_counts(&pool).await;
    let output = setup.examine(&setup.call()).await;
    let report = document(&output);
    assert_eq!(findings(&report), []);
    assert_eq!(output.status.code(), Some(0));
    let not_checked = report["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "not_checked");
    let not_checked: Vec<_> = not_checked.map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(not_checked, ["database.tls"], "the database is on this machine");
    assert_no_secret(&output, "healthy");
    assert_eq!(testing::row_counts(&pool).await, before);
    assert!(setup.stage.google.events().is_empty() && setup.stage.google.conversions().is_empty());

    let call = Call { arguments: ["doctor", "--stack", "adtrail"].map(str::to_owned).into(), ..setup.call() };
    let text = String::from_utf8(setup.examine(&call).await.stdout).unwrap();
    assert!(text.contains("0 errors and 0 warnings"), "{text}");
}

/// As docs/deploy.md recommends: the API is at an address of AWS, and the site's own host passes on what pages call.
#[sqlx::test(migrations = "../migrations")]
async fn a_site_that_passes_its_calls_on_keeps_the_cookie(pool: PgPool) {
    let setup = Setup::new(pool).await;
    let mut call = setup.call();
    call.deployed.outputs.insert("BaseUrl".into(), setup.stage.base.replace("127.0.0.1", "localhost"));
    let output = setup.examine(&call).await;
    assert_eq!(findings(&document(&output)), []);

    *setup.front.disturbance.lock().unwrap() = Some(|request| {
        let is_page = !request.uri().path().starts_with("/api/");
        let not_found = axum::response::Response::builder().status(404);
        (!is_page).then(|| not_found.body(axum::body::Body::empty()).unwrap())
    });
    let found = findings(&document(&setup.examine(&call).await));
    assert_only(&found, "cookies", "Browsers drop the cookies of localhost on pages of 127.0.0.1");
}

/// The findings where the functions have this database.
async fn found_of_database(setup: &Setup, settings: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let mut call = setup.call();
    call.deployed.secret.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let output = setup.examine(&call).await;
    assert_no_secret(&output, "database");
    findings(&document(&output))
}

#[track_caller]
fn assert_only(found: &[(String, String, String)], check: &str, said: &str) {
    let [(level, name, problem)] = found else { panic!("{found:#?}") };
    assert!(level == "error" && name == check && problem.contains(said), "{found:#?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_certificate_is_verified(pool: PgPool) {
    let setup = Setup::new(pool.clone()).await;
    let authority = Authority::certifies("localhost");
    let (_pooler, url) = database_authority::pooler(&pool, &authority).await;
    let healthy = found_of_database(&setup, &[("DATABASE_URL", &url), ("DATABASE_CA_PEM", &authority.root)]).await;
    assert_eq!(healthy, []);
    let unknown = found_of_database(&setup, &[("DATABASE_URL", &url)]).await;
    assert_only(&unknown, "database.tls", "The database is not available: the authority of the database's certificate");

    let other = Authority::certifies("db.example.com");
    let (_pooler, url) = database_authority::pooler(&pool, &other).await;
    let wrong = found_of_database(&setup, &[("DATABASE_URL", &url), ("DATABASE_CA_PEM", &other.root)]).await;
    assert_only(&wrong, "database.tls", "the database's certificate is not for localhost");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refused_password_is_tried_once(pool: PgPool) {
    let setup = Setup::new(pool).await;
    for (message, said) in [
        ("(ECIRCUITBREAKER) Too many authentication errors", "ECIRCUITBREAKER"),
        ("password authentication failed for user postgres", "the login was refused"),
    ] {
        let (options, logins) = supabases_pooler(message).await;
        let url = format!("postgresql://postgres.abc:hush@127.0.0.1:{}/postgres?sslmode=disable", options.get_port());
        assert_only(&found_of_database(&setup, &[("DATABASE_URL", &url)]).await, "database.login", said);
        assert_eq!(logins.load(Ordering::SeqCst), 1, "{message}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_pooler_that_tears_transactions_apart_is_found(pool: PgPool) {
    let setup = Setup::new(pool.clone()).await;
    let pooler = PgBouncer::start_with(&database_url(&pool), 3, &[("pool_mode", "statement")], &[]).await.unwrap();
    let url = pooler.url(pool.connect_options().get_database().unwrap());
    let found = found_of_database(&setup, &[("DATABASE_URL", &url)]).await;
    assert_only(&found, "database.login", "The database is not available");
}

/// Whatever accepts a call and never answers.
#[sqlx::test(migrations = "../migrations")]
async fn what_never_answers_is_given_up(pool: PgPool) {
    let setup = Setup::new(pool).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let mut call = setup.call();
    call.deployed.secret.insert("DATABASE_URL".into(), format!("postgresql://app@{address}/postgres"));
    call.deployed.secret.insert("GOOGLE_TOKEN_URL".into(), format!("http://{address}/token"));
    call.deployed.outputs.insert("BaseUrl".into(), format!("http://{address}"));
    *call.arguments.last_mut().unwrap() = format!("http://{address}");
    let report = document(&setup.examine(&call).await);
    let found = findings(&report);
    let checks: Vec<_> = found.iter().map(|(_, check, _)| check.as_str()).collect();
    let site = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "site.redirects").unwrap();
    let fix = site["findings"][0]["fix"].as_str().unwrap();
    assert!(fix.contains("the website") && !fix.contains("API"), "{fix}");
    assert_eq!(checks, ["database.login", "destination.google_ads", "api", "site.redirects"], "{found:#?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn each_fault_is_named_and_nothing_else(pool: PgPool) {
    let setup = Setup::new(pool.clone()).await;
    let mut wrong = Vec::new();
    for fault in FAULTS {
        let mut call = setup.call();
        let mut undo = None;
        let mut alone = None;
        for change in fault.changes {
            match change {
                Change::Call(change) => change(&mut call, &setup),
                Change::Front(disturbance) => *setup.front.disturbance.lock().unwrap() = Some(*disturbance),
                Change::Google(change) => change(&setup.stage.google),
                Change::Sql { made, undone } => {
                    setup.execute(made).await;
                    undo = Some(undone);
                }
                Change::Roles { made, undone } => {
                    alone = Some(ROLES.write().await);
                    setup.execute(made).await;
                    undo = Some(undone);
                }
            }
        }
        let before = testing::row_counts(&pool).await;
        let output = match alone {
            Some(_) => setup.examine_with_these_roles(&call).await,
            None => setup.examine(&call).await,
        };
        *setup.front.disturbance.lock().unwrap() = None;
        setup.stage.google.clear_faults();
        setup.stage.google.add_account((&GoogleAccount::dev()).into());
        if testing::row_counts(&pool).await != before {
            wrong.push(format!("{}: wrote something", fault.name));
        }
        if let Some(sql) = undo {
            setup.execute(sql).await;
        }
        drop(alone);
        assert_no_secret(&output, fault.name);
        let found = findings(&document(&output));
        let is_expected = |(level, check, problem): &(String, String, String)| {
            fault
                .found
                .iter()
                .any(|(as_level, of, said)| level == as_level && check.starts_with(of) && problem.contains(said))
        };
        let is_found = |(level, check, said): &(&str, &str, &str)| {
            found
                .iter()
                .any(|(as_level, of, problem)| level == as_level && of.starts_with(check) && problem.contains(said))
        };
        let is_error = found.iter().any(|(level, ..)| level == "error");
        if !found.iter().all(is_expected)
            || !fault.found.iter().all(is_found)
            || output.status.code() != Some(i32::from(is_error))
        {
            wrong.push(format!("{} ({:?}): {found:#?}", fault.name, output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FAULTS.len(), wrong.join("\n"));
    assert!(FAULTS.len() >= 25);
}
