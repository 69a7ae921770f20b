use std::process::{Command, Output, Stdio};

use testing::sqs::{DEAD, SPOOL, Sqs};

use super::*;

/// The real process: AWS's SDK reads its environment.
fn command(sqs: &Sqs, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adtrail"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command.env("SPOOL_QUEUE_URL", sqs.url(SPOOL)).env("SPOOL_DEAD_LETTERS_URL", sqs.url(DEAD));
    command.env("AWS_ENDPOINT_URL", sqs.address()).env("AWS_REGION", "eu-central-1");
    command.env("AWS_ACCESS_KEY_ID", "operator").env("AWS_SECRET_ACCESS_KEY", "example");
    command
}

async fn adtrail(sqs: &Sqs, arguments: &[&str]) -> Output {
    output(command(sqs, arguments)).await
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[track_caller]
fn assert_one_sentence(output: &Output, said: &str) {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true), "{error}");
    assert!(error.contains(said) && error.trim_end().lines().count() == 1 && !error.contains("{ "), "{said}: {error}");
}

async fn said(sqs: &Sqs, arguments: &[&str]) -> String {
    let output = adtrail(sqs, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn document(sqs: &Sqs) -> Value {
    serde_json::from_str(&said(sqs, &["--json", "spool"]).await).unwrap()
}

/// A dead letter with this deal in its body.
fn dead(sqs: &Sqs, deal: &str) {
    let message = json!({
        "version": 1, "kind": "webhook", "received_at": "2026-11-20T12:00:00Z", "source": "acme", "headers": {},
        "verified": {"scheme": "hmac", "secret": "ACME_SECRET", "event_id": null},
        "body": base64(&format!(r#"{{"deal": "{deal}", "email": "jane@example.com"}}"#)),
    });
    sqs.bury(&message.to_string(), "Its source is not declared any more.");
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn an_operator_sees_what_is_dead_and_why_and_sends_it_again() {
    let sqs = Sqs::start().await;
    assert_eq!(document(&sqs).await, json!({"waiting": 0, "dead": 0, "dead_letters": []}));
    sqs.put(SPOOL, "waits");
    for deal in ["D-1", "D-2", "D-3"] {
        dead(&sqs, deal);
    }

    // Twice: who looks hides nothing from the next.
    for _ in 0..2 {
        let listed = said(&sqs, &["spool"]).await;
        for expected in
            ["Waiting        1", "Dead letters   3", "acme", "2026-11-20 12:00:00 UTC", "not declared any more"]
        {
            assert!(listed.contains(expected), "{expected} not in {listed}");
        }
        assert!(!listed.contains("jane") && !listed.contains("D-1"), "{listed}");
    }
    let letters = document(&sqs).await["dead_letters"].clone();
    let id = |n: usize| letters[n]["id"].as_str().unwrap();
    let shown = said(&sqs, &["spool", "show", id(0)]).await;
    assert!(shown.contains("jane@example.com") && shown.contains("D-1") && shown.contains("not declared"), "{shown}");

    said(&sqs, &["spool", "retry", id(0)]).await;
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (2, 2));
    said(&sqs, &["spool", "discard", id(1)]).await;
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (2, 1));
    let all = said(&sqs, &["spool", "retry", "--all"]).await;
    assert!(all.contains("1 dead letter waits in the spool again"), "{all}");
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (3, 0));
}

#[tokio::test]
async fn all_dead_letters_are_discarded_once_somebody_agrees() {
    let sqs = Sqs::start().await;
    let nothing = said(&sqs, &["spool", "discard", "--all"]).await;
    assert!(nothing.contains("There are no dead letters."), "{nothing}");
    for n in 0..1_023 {
        dead(&sqs, &format!("D-{n}"));
    }
    sqs.put(SPOOL, "waits");
    let asked = "1023 dead letters are to be deleted; what was received is then nowhere. To delete without a question, \
                 add --yes.";
    assert_one_sentence(&adtrail(&sqs, &["spool", "discard", "--all"]).await, asked);
    assert_eq!(sqs.count(DEAD), 1_023);
    let deleted = said(&sqs, &["spool", "discard", "--all", "--yes"]).await;
    assert!(deleted.contains("1023 dead letters were deleted."), "{deleted}");
    assert_eq!((sqs.count(SPOOL), sqs.count(DEAD)), (1, 0));
    assert_eq!(adtrail(&sqs, &["spool", "discard", "0b0f7a34", "--yes"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn what_goes_wrong_is_one_sentence_with_the_fix() {
    let sqs = Sqs::start().await;
    for command in ["show", "retry", "discard"] {
        let output = adtrail(&sqs, &["spool", command, "0b0f7a34"]).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("There is no dead letter 0b0f7a34"), "{error}");
    }
    assert_eq!(adtrail(&sqs, &["spool", "retry"]).await.status.code(), Some(2), "one of them or all");
    assert_eq!(adtrail(&sqs, &["spool", "discard"]).await.status.code(), Some(2), "one of them or all");
    let error = refused(&values(None, &[]), &["spool"]).await;
    assert!(error.contains("There is no spool in the settings: name the stack with --stack"), "{error}");
    let elsewhere = format!("{}/123456789012/elsewhere", sqs.address());
    for (name, value, said) in [
        ("AWS_REGION", None, "No AWS region is set: export the region"),
        ("AWS_REGION", Some(""), "No AWS region is set"),
        ("AWS_ACCESS_KEY_ID", None, "There are no AWS credentials that adtrail can use: set AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL", Some("http://127.0.0.1:9"), "AWS gives no answer in the region eu-central-1: check"),
        (
            "SPOOL_QUEUE_URL",
            Some(elsewhere.as_str()),
            "There is no queue elsewhere in the region eu-central-1: correct",
        ),
    ] {
        let mut command = command(&sqs, &["spool"]);
        command.env("AWS_EC2_METADATA_DISABLED", "true").env_remove(name).envs(value.map(|value| (name, value)));
        assert_one_sentence(&output(command).await, said);
    }
    sqs.be_away(true);
    let away = "AWS refuses sqs:GetQueueAttributes on the queue adtrail-spool in eu-central-1 (ServiceUnavailable: of \
                the stand-in): run this again in a minute";
    assert_one_sentence(&adtrail(&sqs, &["spool"]).await, away);
}
