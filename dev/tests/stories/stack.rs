//! `adtrail --stack`: every command goes by the settings of a deployed stack, over which the environment wins.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;
use sqlx::PgPool;
use testing::sqs::{DEAD, SPOOL, Sqs};
use tokio::process::Command;

use crate::deployed::{Aws, Deployed, SECRET_ARN};
use crate::stage::{binary, database_url};

const BASE: &str = "https://api.example.com";

/// An operator's machine, where nothing but AWS is set up.
struct Operator {
    aws: Aws,
    environment: BTreeMap<&'static str, String>,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Operator {
    /// Of a stack that has these settings in its secret.
    async fn of_stack_with(secret: &[(&str, &str)]) -> Self {
        let aws = Aws::start().await;
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, it)| ((*name).into(), (*it).into())).collect();
        *aws.deployed.lock().unwrap() = Deployed {
            secret: map(secret),
            status: "CREATE_COMPLETE".into(),
            parameters: map(&[
                ("SecretArn", SECRET_ARN),
                ("ConsentUnknown", "hold"),
                ("GoogleAdsCustomerId", "123-456-7890"),
                ("GoogleAdsConversionActionClosed", "987654321"),
                ("GoogleAdsConversionActionQualified", ""),
            ]),
            outputs: map(&[("BaseUrl", BASE)]),
            ..Deployed::default()
        };
        let environment = aws.environment().into();
        Self { aws, environment }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(binary("adtrail"));
        command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").envs(&self.environment);
        let output = command.args(arguments).stdin(Stdio::null()).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }

    async fn document(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[&["--json"], arguments].concat()).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// Why this fails: one line that says this.
    async fn refused(&self, arguments: &[&str], said: &str) {
        let answer = self.run(arguments).await;
        assert_eq!((answer.code, answer.out.as_str()), (Some(1), ""), "{answer:?}");
        assert!(answer.error.contains(said) && answer.error.trim_end().lines().count() == 1, "{said}: {answer:?}");
        for dump in ["DispatchFailure", "SdkError", "ServiceError", "{ "] {
            assert!(!answer.error.contains(dump), "{answer:?}");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_command_has_the_settings_of_the_stack(pool: PgPool) {
    let url = database_url(&pool);
    let secret = [("DATABASE_URL", url.as_str()), ("ZAPIER_SECRET", "0123456789abcdef-zapier")];
    let mut operator = Operator::of_stack_with(&secret).await;

    let listed = operator.run(&["destinations", "--stack", "adtrail"]).await.out;
    for expected in ["customer_id  1234567890", "closed: customers/1234567890/conversionActions/987654321"] {
        assert!(listed.contains(expected), "{listed}");
    }
    let deals = operator.document(&["--stack", "adtrail", "inbox", "list"]).await;
    assert_eq!(deals["entries"], serde_json::json!([]), "{deals}");
    let sources = operator.document(&["crm", "sources", "--stack", "adtrail"]).await;
    assert_eq!(sources["sources"][0]["url"], format!("{BASE}/api/webhooks/crm-conversion"));
    let signed = operator.document(&["crm", "sign", "zapier", "--stack", "adtrail"]).await;
    assert_eq!(signed["url"], format!("{BASE}/api/webhooks/zapier"));

    operator.environment.insert("GOOGLE_ADS_CUSTOMER_ID", "222-333-4444".into());
    let listed = operator.run(&["destinations", "--stack", "adtrail"]).await.out;
    assert!(listed.contains("customer_id  2223334444"), "{listed}");
    // Without it they are those of the environment alone.
    let listed = operator.run(&["destinations"]).await.out;
    assert!(listed.contains("customer_id  2223334444") && listed.contains("NONE HAS"), "{listed}");
}

#[tokio::test]
async fn the_spool_of_the_stack_is_found() {
    let sqs = Sqs::start().await;
    sqs.put(SPOOL, "waits");
    let mut operator = Operator::of_stack_with(&[]).await;
    operator.environment.insert("AWS_ENDPOINT_URL_SQS", sqs.address().to_owned());
    operator.refused(&["spool", "--stack", "adtrail"], "a stack with the parameter Spool=no has none").await;
    let queues = [("SpoolQueueUrl", SPOOL), ("SpoolDeadLettersUrl", DEAD)];
    operator.aws.deployed.lock().unwrap().outputs.extend(queues.map(|(name, queue)| (name.into(), sqs.url(queue))));
    assert_eq!(operator.document(&["spool", "--stack", "adtrail"]).await["waiting"], 1);
}

#[tokio::test]
async fn a_stack_that_can_not_be_read_is_one_sentence_with_the_fix() {
    const LIST: [&str; 3] = ["destinations", "--stack", "adtrail"];
    let mut operator = Operator::of_stack_with(&[]).await;
    let missing = "There is no stack elsewhere in the region eu-central-1: correct --stack, or set AWS_REGION";
    operator.refused(&["destinations", "--stack", "elsewhere"], missing).await;
    for (call, code, said) in [
        ("DescribeStacks", "AccessDenied", "may not call cloudformation:DescribeStacks on the stack adtrail"),
        ("DescribeStacks", "ExpiredToken", "The AWS credentials have expired: log in again"),
        ("DescribeStacks", "Novel", "(Novel: refused): run this again in a minute"),
        ("GetSecretValue", "AccessDeniedException", "can't be read (AccessDeniedException): check its name and region"),
    ] {
        operator.aws.deployed.lock().unwrap().refused = Some((call, code));
        operator.refused(&LIST, said).await;
    }
    operator.aws.deployed.lock().unwrap().refused = None;
    let arn = operator.aws.deployed.lock().unwrap().parameters.remove("SecretArn").unwrap();
    operator.refused(&LIST, "The stack adtrail has no parameter SecretArn: give --stack").await;
    operator.aws.deployed.lock().unwrap().parameters.insert("SecretArn".into(), arn);

    for (name, value, said) in [
        ("AWS_REGION", Some(""), "No AWS region is set: export the region of the stack"),
        ("AWS_REGION", None, "No AWS region is set"),
        ("AWS_ACCESS_KEY_ID", None, "There are no AWS credentials that adtrail can use: set AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL", Some("http://127.0.0.1:9"), "AWS gives no answer in the region eu-central-1: check"),
    ] {
        let before = match value {
            Some(value) => operator.environment.insert(name, value.into()),
            None => operator.environment.remove(name),
        };
        operator.refused(&LIST, said).await;
        operator.environment.insert(name, before.unwrap());
    }

    let said = operator.run(&["setup", "--stack", "adtrail"]).await;
    assert_eq!(said.code, Some(2));
    assert!(said.error.contains("--stack isn't for setup"), "{said:?}");
}
