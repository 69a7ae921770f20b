//! What `adtrail --stack` reads of a stack is there, and parameters are called as the settings that they are.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::document::Template;
use crate::every_change_is_named;

const READER: &str = include_str!("../../../cli/src/stack.rs");

pub fn faults(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let read = Regex::new(r#"(parameters|outputs)\s*\.get\("(\w+)"\)"#).expect("a pattern");
    let read: Vec<_> = read.captures_iter(READER).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    assert!(read.len() >= 6, "{read:?}");
    for (section, name) in read {
        let section = if section == "outputs" { "Outputs" } else { "Parameters" };
        if template.value[section][&name].is_null() {
            faults.push(format!("adtrail reads {name} of {section}, and it isn't there"));
        }
    }
    // Each parameter in the place of its value.
    let parameters = template.value["Parameters"].as_object().into_iter().flat_map(Map::keys);
    let parameters: BTreeMap<_, _> = parameters.map(|name| (name.as_str(), name.as_str())).collect();
    for (function, properties) in template.functions() {
        for (setting, value) in properties["Environment"]["Variables"].as_object().into_iter().flatten() {
            let parameter = template.resolved(value, &parameters).filter(|it| parameters.contains_key(it.as_str()));
            // Which secret it is has a setting of its own.
            if let Some(parameter) = parameter.filter(|it| *it != "SecretArn" && *it != in_camel_case(setting)) {
                faults.push(format!("{function} has {setting} from {parameter}, where adtrail doesn't find it"));
            }
        }
    }
    faults
}

fn in_camel_case(setting: &str) -> String {
    setting.split('_').map(|word| word[..1].to_owned() + &word[1..].to_lowercase()).collect()
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        faults,
        &[
            ("/Outputs/BaseUrl", Value::Null, "adtrail reads BaseUrl of Outputs"),
            ("/Outputs/SpoolDeadLettersUrl", Value::Null, "adtrail reads SpoolDeadLettersUrl of Outputs"),
            ("/Outputs/AlarmTopicArn", Value::Null, "adtrail reads AlarmTopicArn of Outputs"),
            ("/Parameters/UploadEveryMinutes", Value::Null, "adtrail reads UploadEveryMinutes of Parameters"),
            (
                "/Resources/TrackVisit/Properties/Environment/Variables/ALLOWED_ORIGINS",
                json!({"Ref": "ConsentUnknown"}),
                "TrackVisit has ALLOWED_ORIGINS from ConsentUnknown",
            ),
        ],
    );
}
