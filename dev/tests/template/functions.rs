//! One function for each folder of `functions/`, and how Lambda runs it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use shared::queue::LEASE_SECONDS;

use crate::document::Template;
use crate::every_change_is_named;

/// The one that a schedule starts.
pub const UPLOADER: &str = "upload-conversions";

/// The one that gets the messages of the spool.
pub const DRAIN: &str = "drain-spool";

/// API Gateway gives up after so many seconds.
const GATEWAY_SECONDS: i64 = 30;

/// The folders of `functions/`.
pub fn folders() -> BTreeSet<String> {
    let folders = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions")).expect("the folder functions");
    folders.map(|folder| folder.expect("a folder").file_name().to_string_lossy().into_owned()).collect()
}

pub fn faults(template: &Template, folders: &BTreeSet<String>) -> Vec<String> {
    let functions = template.functions();
    let deployed: BTreeSet<_> = functions.iter().map(|(name, _)| template.binary(name).to_owned()).collect();
    let undeployed = folders.difference(&deployed).map(|folder| format!("functions/{folder} isn't deployed"));
    let unknown = deployed.difference(folders).map(|folder| format!("there is no functions/{folder}"));
    let mut faults: Vec<_> = undeployed.chain(unknown).collect();

    for (name, function) in &functions {
        let binary = template.binary(name);
        if *name != in_camel_case(binary) {
            faults.push(format!("{name} is built from {binary}: name it {}", in_camel_case(binary)));
        }
        let metadata = &template.value["Resources"][*name]["Metadata"];
        let expected = [
            ("BuildMethod", &metadata["BuildMethod"], json!("rust-cargolambda")),
            ("Runtime", &function["Runtime"], json!("provided.al2023")),
            ("Handler", &function["Handler"], json!("bootstrap")),
            ("CodeUri", &function["CodeUri"], json!(".")),
            ("Architectures", &function["Architectures"], json!([{"Ref": "Architecture"}])),
            ("LoggingConfig's format", &function["LoggingConfig"]["LogFormat"], json!("JSON")),
            ("LoggingConfig's group", &function["LoggingConfig"]["LogGroup"], json!({"Ref": "FunctionLogs"})),
        ];
        let wrong = expected.into_iter().filter(|(_, value, right)| *value != right);
        faults.extend(wrong.map(|(what, value, right)| format!("{name}: {what} is {value} instead of {right}")));

        let timeout = function["Timeout"].as_i64().unwrap_or_default();
        let hidden = &template.value["Resources"]["SpoolQueue"]["Properties"]["VisibilityTimeout"];
        let (limit, whose) = match binary {
            UPLOADER => (i64::from(LEASE_SECONDS), "what it has claimed is anybody's"),
            // As AWS recommends, because Lambda itself may try a batch again.
            DRAIN => (hidden.as_i64().unwrap_or_default() / 6 + 1, "its messages are received again"),
            _ => (GATEWAY_SECONDS, "API Gateway has given up"),
        };
        if !(1..limit).contains(&timeout) {
            faults.push(format!("{name} may run for {timeout} s, and after {limit} s {whose}"));
        }
    }

    for group in ["FunctionLogs", "AccessLogs"] {
        if template.value["Resources"][group]["Properties"]["RetentionInDays"] != json!({"Ref": "LogRetentionDays"}) {
            faults.push(format!("{group} are kept for ever"));
        }
    }
    let architecture = &template.value["Parameters"]["Architecture"];
    if architecture["Default"] != "arm64" || architecture["AllowedValues"] != json!(["arm64", "x86_64"]) {
        faults.push(format!("Architecture is arm64 by default, or x86_64, not {architecture}"));
    }
    faults
}

fn in_camel_case(folder: &str) -> String {
    let words = folder.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}

#[test]
fn a_folder_more_or_less_is_named() {
    let folder = || String::from("track-call");
    let more = folders().into_iter().chain([folder()]).collect();
    assert_eq!(faults(&Template::read(), &more), ["functions/track-call isn't deployed"]);

    let mut less = folders();
    less.remove("create-lead");
    assert_eq!(faults(&Template::read(), &less), ["there is no functions/create-lead"]);
}

#[test]
fn a_function_has_what_globals_say_unless_it_says_otherwise() {
    let template = Template::read();
    let functions = template.functions();
    let timeout =
        |wanted: &str| functions.iter().find(|(name, _)| *name == wanted).map(|(_, it)| it["Timeout"].clone());

    assert_eq!(timeout("TrackVisit"), Some(template.value["Globals"]["Function"]["Timeout"].clone()));
    assert_eq!(timeout("UploadConversions"), Some(Value::from(120)));
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        |it| faults(it, &folders()),
        &[
            ("/Resources/CreateLead", Value::Null, "functions/create-lead isn't deployed"),
            ("/Resources/TrackVisit/Metadata/BuildProperties/Binary", json!("visit"), "there is no functions/visit"),
            ("/Resources/TrackVisit/Metadata/BuildMethod", Value::Null, "TrackVisit: BuildMethod is null"),
            ("/Globals/Function/Runtime", json!("provided.al2"), "TrackVisit: Runtime is \"provided.al2\""),
            ("/Globals/Function/Architectures", json!(["x86_64"]), "TrackVisit: Architectures"),
            ("/Globals/Function/LoggingConfig/LogFormat", json!("Text"), "TrackVisit: LoggingConfig's format"),
            ("/Globals/Function/Timeout", json!(30), "TrackVisit may run for 30 s"),
            ("/Resources/UploadConversions/Properties/Timeout", json!(300), "UploadConversions may run for 300 s"),
            ("/Resources/SpoolQueue/Properties/VisibilityTimeout", json!(180), "DrainSpool may run for 60 s"),
            ("/Resources/AccessLogs/Properties/RetentionInDays", Value::Null, "AccessLogs are kept for ever"),
            ("/Parameters/Architecture/Default", json!("x86_64"), "arm64 by default"),
        ],
    );
}
