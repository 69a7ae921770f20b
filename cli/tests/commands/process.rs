use std::process::{Command, Output};

use shared::inbox::listing::ListedState;

use super::*;

fn adtrail(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adtrail"));
    command.env_clear().envs(settings.iter().copied()).args(arguments).output().unwrap()
}

#[test]
fn a_process_ends_as_its_command_does() {
    let body = file("body", r#"{"deal": {"stage": "won"}}"#);
    let settings = [("CRM_SOURCES", ACME), ("ACME_SECRET", ACME_SECRET)];
    for (arguments, code, has_answer) in [
        (&["--json", "crm", "sources"][..], 0, true),
        (&["crm", "sources", "--presets", "--json"], 0, true),
        (&["crm", "sources", "--ready", "--json"], 0, true),
        (&["--json", "crm", "test", "acme", &body], 1, true),
        (&["--json", "crm", "sign", "nobody"], 1, false),
        (&["--json", "doctor"], 1, true),
        (&["--json", "doctor", "--url", "no address"], 1, true),
        (&["--json", "doctor", "--upload-every", "0"], 2, false),
        (&["--json", "inbox", "list"], 1, false),
        (&["--json", "inbox", "list", "--limit", "0"], 2, false),
        (&["--json", "inbox", "attach", "D-7", "no-id"], 2, false),
        (&["--json"], 2, false),
    ] {
        let output = adtrail(arguments, &settings);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(output.stderr.is_empty(), code == 0, "{arguments:?}");
        // A second document would be trailing characters.
        let is_one_document = serde_json::from_slice::<Value>(&output.stdout).is_ok();
        assert_eq!((is_one_document, output.stdout.is_empty()), (has_answer, !has_answer), "{arguments:?}");
    }
}

#[test]
fn an_error_is_one_sentence_without_secrets() {
    let settings = [("CRM_SOURCES", ACME), ("DATABASE_URL", "postgresql://app:hush@127.0.0.1:9/nothing")];
    for (arguments, said) in [
        (&["inbox", "retry", "D-1"][..], "ACME_SECRET"),
        (&["crm", "sign", "acme", file("body", DEAL).as_str()], "ACME_SECRET"),
        (&["crm", "sources"], "check DATABASE_URL"),
    ] {
        let error = String::from_utf8(adtrail(arguments, &settings).stderr).unwrap();
        assert!(error.contains(said) && !error.contains("hush"), "{error}");
    }
    let settings = [("DATABASE_URL", "postgresql://app:hush@127.0.0.1:9/nothing")];
    let error = String::from_utf8(adtrail(&["inbox", "list"], &settings).stderr).unwrap();
    assert!(error.contains("check DATABASE_URL") && !error.contains("hush"), "{error}");
}

#[test]
fn an_unknown_state_is_answered_with_those_there_are() {
    let output = adtrail(&["inbox", "list", "--state", "unmatched"], &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    for state in ListedState::ALL {
        assert!(error.contains(state.as_str()), "{error}");
    }
}

#[test]
fn attach_asks_for_the_id_of_a_lead() {
    for no_id in ["b", "jane@example.com", ""] {
        let output = adtrail(&["inbox", "attach", "D-7", no_id], &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("must be the id of a lead, a UUID such as") && !error.contains("length"), "{error}");
    }
}

#[test]
fn help_has_an_example_for_every_command() {
    for command in [
        &["crm", "sources"][..],
        &["crm", "test"],
        &["crm", "sign"],
        &["inbox", "list"],
        &["inbox", "show"],
        &["inbox", "attach"],
        &["inbox", "retry"],
        &["import", "deals"],
        &["migrate"],
        &["setup"],
    ] {
        // Nobody is there to ask for the secret.
        let nowhere = [("ADTRAIL_SECRET_ID", "adtrail"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
        let output = adtrail(&[command, &["--help"]].concat(), &nowhere);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains(&format!("  adtrail {}", command.join(" "))), "{help}");
    }
}
