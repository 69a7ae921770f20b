//! What functions may do in the account: read the secret, write their log, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use crate::document::Template;
use crate::every_change_is_named;

/// What Lambda does in the name of every function.
const LOGGING: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];

/// The actions that the code calls, such as `secretsmanager:GetSecretValue`.
pub fn calls() -> BTreeSet<String> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let call = Regex::new(r"aws_sdk_(\w+)::Client::new\(&\w+\)\s*\.(\w+)\(").expect("a pattern");
    let mut calls = BTreeSet::new();
    for folder in ["shared/src", "functions"] {
        for source in sources(&root.join(folder)) {
            calls
                .extend(call.captures_iter(&source).map(|found| format!("{}:{}", &found[1], in_camel_case(&found[2]))));
        }
    }
    // A call that is written in another way must not go unseen.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("Cargo.toml");
    let client = Regex::new(r"(?m)^aws-sdk-(\w+)").expect("a pattern");
    let services: BTreeSet<_> = client.captures_iter(&manifest).map(|found| found[1].to_owned()).collect();
    let called: BTreeSet<_> = calls.iter().filter_map(|call| Some(call.split_once(':')?.0.to_owned())).collect();
    assert_eq!(services, called, "this test finds a call of every client of AWS");
    calls
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let sources = entries.flat_map(|path| {
        if path.is_dir() {
            return sources(&path);
        }
        let is_source = path.extension().is_some_and(|ending| ending == "rs");
        is_source.then(|| fs::read_to_string(&path).expect("a source")).into_iter().collect()
    });
    sources.collect()
}

fn in_camel_case(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

pub fn faults(template: &Template, calls: &BTreeSet<String>) -> Vec<String> {
    let needed: BTreeSet<_> = calls.iter().cloned().chain(LOGGING.map(String::from)).collect();
    let mut faults = without_reason(&template.text);
    let policies: BTreeMap<_, _> = template.resources("AWS::IAM::ManagedPolicy").into_iter().collect();
    let mut rights: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (role, properties) in template.resources("AWS::IAM::Role") {
        let own = list(&properties["Policies"]).map(|policy| &policy["PolicyDocument"]);
        let mut documents: Vec<_> = own.collect();
        for managed in list(&properties["ManagedPolicyArns"]) {
            match managed["Ref"].as_str().and_then(|name| policies.get(name)) {
                Some(policy) => documents.push(&policy["PolicyDocument"]),
                None => faults.push(format!("{role} has a policy of AWS, which grants more than is needed: {managed}")),
            }
        }
        let allowed = rights.entry(role).or_default();
        for statement in documents.into_iter().flat_map(|document| list(&document["Statement"])) {
            let resource = &statement["Resource"];
            for action in list(&statement["Action"]).filter_map(Value::as_str) {
                allowed.insert(action.to_owned());
                if list(resource).count() != 1 || *resource != only_resource(action) {
                    faults.push(format!("{role} may {action} on {resource}, not only on {}", only_resource(action)));
                }
            }
        }
        let trusted = &properties["AssumeRolePolicyDocument"]["Statement"];
        let lambda = json!({"Service": "lambda.amazonaws.com"});
        if *trusted != json!([{"Effect": "Allow", "Principal": lambda, "Action": "sts:AssumeRole"}]) {
            faults.push(format!("others than Lambda may be {role}: {trusted}"));
        }
    }

    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let functions = template.functions();
    for (function, properties) in &functions {
        if !properties["Policies"].is_null() {
            faults.push(format!("{function} has rights beside its role"));
        }
        let role = properties["Role"]["Fn::GetAtt"].as_str().and_then(|arn| arn.strip_suffix(".Arn"));
        let Some((role, allowed)) = role.and_then(|role| rights.get_key_value(role)) else {
            faults.push(format!("{function} has no role of this template"));
            continue;
        };
        users.entry(role).or_default().push(template.binary(function));
        faults.extend(allowed.difference(&needed).map(|it| format!("{function} may {it}, which no function does")));
        faults.extend(needed.difference(allowed).map(|it| format!("{function} may not {it}, and does it")));
    }
    if users.values().any(|users| users.len() > 1 && users.contains(&crate::functions::UPLOADER)) {
        faults.push("UploadConversions shares its role, which Google may be told to trust".into());
    }
    faults
}

fn only_resource(action: &str) -> Value {
    if action.starts_with("logs:") { json!({"Fn::GetAtt": "FunctionLogs.Arn"}) } else { json!({"Ref": "SecretArn"}) }
}

/// A list, or a single value as one.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let single = (!value.is_array() && !value.is_null()).then_some(value);
    value.as_array().into_iter().flatten().chain(single)
}

/// Grants on everything need a reason beside them.
fn without_reason(text: &str) -> Vec<String> {
    let everything = Regex::new(r#"Resource:\s*\[?\s*["']?\*"#).expect("a pattern");
    let lines = text.lines().filter(|line| everything.is_match(line) && !line.contains("# because "));
    lines.map(|line| format!("says no \"# because …\" beside: {}", line.trim())).collect()
}

#[test]
fn an_action_that_the_code_begins_to_call_is_missed() {
    let more = calls().into_iter().chain(["secretsmanager:PutSecretValue".to_owned()]).collect();
    let found = faults(&Template::read(), &more);
    assert!(found.contains(&"CreateLead may not secretsmanager:PutSecretValue, and does it".to_owned()), "{found:#?}");
    assert_eq!(found.len(), 7);
}

#[test]
fn everything_needs_a_reason() {
    for line in ["Resource: \"*\"", "Resource: ['*']", "  - {Effect: Allow, Resource: *}"] {
        assert_eq!(without_reason(line).len(), 1, "{line}");
    }
    for line in ["Resource: \"*\"  # because there is no other", "Resource: !Ref SecretArn", "Action: \"*\""] {
        assert_eq!(without_reason(line), [""; 0], "{line}");
    }
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        |it| faults(it, &calls()),
        &[
            (
                "/Resources/FunctionPolicy/Properties/PolicyDocument/Statement/0",
                Value::Null,
                "TrackVisit may not secretsmanager:GetSecretValue",
            ),
            (
                "/Resources/FunctionPolicy/Properties/PolicyDocument/Statement/0/Resource",
                json!("*"),
                "secretsmanager:GetSecretValue on \"*\"",
            ),
            (
                "/Resources/FunctionPolicy/Properties/PolicyDocument/Statement/1/Action/-",
                json!("logs:CreateLogGroup"),
                "TrackVisit may logs:CreateLogGroup, which no function does",
            ),
            (
                "/Resources/TrackVisit/Properties/Role",
                json!({"Fn::GetAtt": "UploaderRole.Arn"}),
                "UploadConversions shares its role",
            ),
            ("/Resources/TrackVisit/Properties/Role", Value::Null, "TrackVisit has no role of this template"),
            (
                "/Resources/TrackVisit/Properties/Policies",
                json!(["AdministratorAccess"]),
                "TrackVisit has rights beside its role",
            ),
            (
                "/Resources/UploaderRole/Properties/ManagedPolicyArns/-",
                json!("arn:aws:iam::aws:policy/AdministratorAccess"),
                "UploaderRole has a policy of AWS",
            ),
            (
                "/Resources/UploaderRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal",
                json!("*"),
                "others than Lambda",
            ),
        ],
    );
}
