//! The spool keeps what was accepted: encrypted, as long as SQS can, and no outage makes good messages dead letters.

use std::time::Duration;

use serde_json::{Value, json};
use shared::lambda::PATIENCE;
use shared::spool::{LONGEST, MESSAGE_LIMIT, QUEUE};

use crate::document::Template;
use crate::every_change_is_named;
use crate::functions::DRAIN;

/// The longest that SQS keeps anything, in seconds: 14 days.
const RETENTION: u64 = 14 * 24 * 3600;

pub fn faults(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let resources = &template.value["Resources"];
    for queue in ["SpoolQueue", "SpoolDeadLetters"] {
        let properties = &resources[queue]["Properties"];
        let expected = [
            ("SqsManagedSseEnabled", json!(true)),
            ("MaximumMessageSize", json!(MESSAGE_LIMIT)),
            ("MessageRetentionPeriod", json!(RETENTION)),
        ];
        let wrong = expected.into_iter().filter(|(name, right)| properties[*name] != *right);
        faults.extend(wrong.map(|(name, right)| format!("{queue}: {name} is {}, not {right}", properties[name])));
    }
    let redrive = &resources["SpoolQueue"]["Properties"]["RedrivePolicy"];
    // The most that SQS takes: see the longest delay in functions/drain-spool/src/queues.rs.
    let right = json!({"deadLetterTargetArn": {"Fn::GetAtt": "SpoolDeadLetters.Arn"}, "maxReceiveCount": 1000});
    if *redrive != right {
        faults.push(format!("SpoolQueue: RedrivePolicy is {redrive}, not {right}"));
    }
    for (function, properties) in template.functions() {
        let spools = !properties["Environment"]["Variables"][QUEUE].is_null();
        // Before that the secret may be read again.
        let needed = PATIENCE + LONGEST;
        if spools && properties["Timeout"].as_u64().is_none_or(|timeout| Duration::from_secs(timeout) <= needed) {
            faults.push(format!(
                "{function} may end before the spool has taken anything: after {}",
                properties["Timeout"]
            ));
        }
    }
    let events = template.events("SQS");
    let [(function, event)] = events.as_slice() else {
        faults.push(format!("one function must get the messages of the spool, not {}", events.len()));
        return faults;
    };
    if template.binary(function) != DRAIN {
        faults.push(format!("{function} gets the messages of the spool"));
    }
    let expected = [
        ("Queue", json!({"Fn::GetAtt": "SpoolQueue.Arn"})),
        ("BatchSize", json!(10)),
        // Else one message that isn't stored would bring back all of its batch.
        ("FunctionResponseTypes", json!(["ReportBatchItemFailures"])),
        ("ScalingConfig", json!({"MaximumConcurrency": 2})),
    ];
    let wrong = expected.into_iter().filter(|(name, right)| event[*name] != *right);
    faults.extend(wrong.map(|(name, right)| format!("{function}: {name} is {}, not {right}", event[name])));
    faults
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        faults,
        &[
            ("/Resources/SpoolQueue/Properties/SqsManagedSseEnabled", Value::Null, "SqsManagedSseEnabled is null"),
            (
                "/Resources/SpoolDeadLetters/Properties/MessageRetentionPeriod",
                json!(345_600),
                "SpoolDeadLetters: MessageRetentionPeriod is 345600",
            ),
            ("/Resources/SpoolQueue/Properties/RedrivePolicy/maxReceiveCount", json!(5), "SpoolQueue: RedrivePolicy"),
            ("/Globals/Function/Timeout", json!(25), "CreateLead may end before the spool has taken anything"),
            ("/Resources/DrainSpool/Properties/Events/Messages", Value::Null, "one function must get the messages"),
            (
                "/Resources/DrainSpool/Properties/Events/Messages/Properties/FunctionResponseTypes",
                Value::Null,
                "DrainSpool: FunctionResponseTypes is null",
            ),
        ],
    );
}
