//! What functions may do in the account: read the secret, write their log, use the spool, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::document::Template;
use crate::every_change_is_named;
use crate::functions::{DRAIN, folders};

/// What Lambda does in the name of every function.
const LOGGING: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];
/// What Lambda does in the name of a function that it hands the messages of a queue.
const POLLING: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];

/// The actions that each function's code calls, such as `secretsmanager:GetSecretValue`, by its folder.
type Calls = BTreeMap<String, BTreeSet<String>>;

/// Those of `shared` are everybody's, but for the spool's: of the functions that name it.
pub fn calls() -> Calls {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let spooling = calls_in(&root.join("shared/src/spool"));
    let mut shared = calls_in(&root.join("shared/src"));
    shared.retain(|call| !spooling.contains(call));
    let spool = Regex::new(r"\bSpool\b").expect("a pattern");
    let mut all = Calls::new();
    for folder in folders() {
        let own = root.join("functions").join(&folder).join("src");
        let mut calls = calls_in(&own);
        let has_settings = !sources(&own).iter().any(|source| source.contains("lambda::serve_without_settings("));
        calls.extend(shared.iter().filter(|_| has_settings).cloned());
        if sources(&own).iter().any(|source| spool.is_match(source)) {
            calls.extend(spooling.iter().cloned());
        }
        all.insert(folder, calls);
    }
    // A call that is written in another way must not go unseen. The command line has clients of its own.
    let functions =
        fs::read_dir(root.join("functions")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let manifests = functions.chain([root.join("shared")]).map(|folder| folder.join("Cargo.toml"));
    let manifests: String = manifests.map(|file| fs::read_to_string(file).expect("a manifest")).collect();
    let client = Regex::new(r"(?m)^aws-sdk-(\w+)").expect("a pattern");
    let services: BTreeSet<_> = client.captures_iter(&manifests).map(|found| found[1].to_owned()).collect();
    let called = all.values().flatten().filter_map(|call| Some(call.split_once(':')?.0.to_owned()));
    assert_eq!(services, called.collect(), "this test finds a call of every client of AWS");
    let all_sources = ["shared/src", "functions"].map(|folder| sources(&root.join(folder)).concat()).concat();
    let found = CALL.find_iter(&all_sources).count();
    assert_eq!(all_sources.matches("::Client::new(").count(), found, "this test understands each client of AWS");
    all
}

static CALL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"aws_sdk_(\w+)::Client::new\(&?\w+\)\s*\.(\w+)\(").expect("a pattern"));

fn calls_in(folder: &Path) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for source in sources(folder) {
        // An action in a batch is the same right.
        let named = CALL.captures_iter(&source).map(|found| (found[1].to_owned(), in_camel_case(&found[2])));
        calls.extend(named.map(|(service, action)| format!("{service}:{}", action.trim_end_matches("Batch"))));
    }
    calls
}

/// The sources in a folder, or those of a module's folder; without tests.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let sources = entries.flat_map(|path| {
        if path.is_dir() {
            return sources(&path);
        }
        let is_source = path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs");
        is_source.then(|| fs::read_to_string(&path).expect("a source")).into_iter().collect()
    });
    sources.collect()
}

fn in_camel_case(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

pub fn faults(template: &Template, calls: &Calls) -> Vec<String> {
    let mut faults = without_reason(&template.text);
    let policies: BTreeMap<_, _> = template.resources("AWS::IAM::ManagedPolicy").into_iter().collect();
    let mut rights: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (role, properties) in template.resources("AWS::IAM::Role") {
        let own = list(&properties["Policies"]).map(|policy| &policy["PolicyDocument"]);
        let mut documents: Vec<_> = own.collect();
        for managed in list(&properties["ManagedPolicyArns"]) {
            // What a condition may leave out is granted at most.
            let managed = if managed["Fn::If"][2]["Ref"] == "AWS::NoValue" { &managed["Fn::If"][1] } else { managed };
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
                let only = only_resource(role, action);
                if list(resource).count() != 1 || *resource != only {
                    faults.push(format!("{role} may {action} on {resource}, not only on {only}"));
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
        let binary = template.binary(function);
        users.entry(role).or_default().push(binary);
        let polling = if binary == DRAIN { &POLLING[..] } else { &[] };
        let lambdas = LOGGING.iter().chain(polling).map(|action| (*action).to_owned());
        let needed: BTreeSet<_> = calls.get(binary).into_iter().flatten().cloned().chain(lambdas).collect();
        faults.extend(allowed.difference(&needed).map(|it| format!("{function} may {it}, which it doesn't do")));
        faults.extend(needed.difference(allowed).map(|it| format!("{function} may not {it}, and does it")));
    }
    if users.values().any(|users| users.len() > 1 && users.contains(&crate::functions::UPLOADER)) {
        faults.push("UploadConversions shares its role, which Google may be told to trust".into());
    }
    faults
}

fn only_resource(role: &str, action: &str) -> Value {
    let of = |resource: &str| json!({"Fn::GetAtt": format!("{resource}.Arn")});
    match (action.split(':').next().unwrap_or_default(), action) {
        ("logs", _) => of("FunctionLogs"),
        // What can't be stored is sent to no endpoint's queue.
        ("sqs", "sqs:SendMessage") if role == "DrainRole" => of("SpoolDeadLetters"),
        ("sqs", _) => of("SpoolQueue"),
        _ => json!({"Ref": "SecretArn"}),
    }
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
    let mut more = calls();
    more.get_mut("create-lead").unwrap().insert("secretsmanager:PutSecretValue".into());
    let found = faults(&Template::read(), &more);
    assert_eq!(found, ["CreateLead may not secretsmanager:PutSecretValue, and does it"]);
}

#[test]
fn only_those_that_send_to_the_spool_may() {
    let calls = calls();
    let who = |action: &str| -> Vec<&str> {
        calls.iter().filter(|(_, calls)| calls.contains(action)).map(|(function, _)| function.as_str()).collect()
    };
    assert_eq!(who("sqs:SendMessage"), ["create-lead", "crm-conversion", DRAIN]);
    assert_eq!(who("sqs:ChangeMessageVisibility"), [DRAIN]);
    let readers = who("secretsmanager:GetSecretValue");
    let without: Vec<_> = calls.keys().filter(|function| !readers.contains(&function.as_str())).collect();
    assert_eq!(without, ["serve-tag"]);
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
                "TrackVisit may logs:CreateLogGroup, which it doesn't do",
            ),
            (
                "/Resources/TrackVisit/Properties/Role",
                json!({"Fn::GetAtt": "UploaderRole.Arn"}),
                "UploadConversions shares its role",
            ),
            (
                "/Resources/SpoolPolicy/Properties/PolicyDocument/Statement/0",
                Value::Null,
                "CrmConversion may not sqs:SendMessage",
            ),
            (
                "/Resources/SpoolPolicy/Properties/PolicyDocument/Statement/0/Resource",
                json!({"Fn::GetAtt": "SpoolDeadLetters.Arn"}),
                "SpoolingRole may sqs:SendMessage on",
            ),
            (
                "/Resources/TrackVisit/Properties/Role",
                json!({"Fn::GetAtt": "SpoolingRole.Arn"}),
                "TrackVisit may sqs:SendMessage, which it doesn't do",
            ),
            (
                "/Resources/DrainPolicy/Properties/PolicyDocument/Statement/0/Action/-",
                json!("sqs:PurgeQueue"),
                "DrainSpool may sqs:PurgeQueue, which it doesn't do",
            ),
            (
                "/Resources/DrainPolicy/Properties/PolicyDocument/Statement/1/Resource",
                json!({"Fn::GetAtt": "SpoolQueue.Arn"}),
                "DrainRole may sqs:SendMessage on",
            ),
            (
                "/Resources/ServeTag/Properties/Role",
                json!({"Fn::GetAtt": "EndpointRole.Arn"}),
                "ServeTag may secretsmanager:GetSecretValue, which it doesn't do",
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
