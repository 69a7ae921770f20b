//! When the uploader runs, and who hears of it when something doesn't.

use serde_json::{Map, Value, json};

use crate::document::Template;
use crate::every_change_is_named;
use crate::functions::UPLOADER;

const TOPIC: &str = "Alarms";

pub fn faults(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let schedules = template.events("ScheduleV2");
    if schedules.len() != 1 {
        faults.push(format!("there must be one schedule, not {}", schedules.len()));
    }
    for (function, schedule) in schedules {
        if template.binary(function) != UPLOADER {
            faults.push(format!("the schedule starts {function}"));
        }
        if schedule["ScheduleExpression"] != json!({"Fn::Sub": "rate(${UploadEveryMinutes} minutes)"}) {
            faults.push(format!("the schedule is {}", schedule["ScheduleExpression"]));
        }
        let at_most = |name: &str, limit: u64| schedule["RetryPolicy"][name].as_u64().is_some_and(|it| it <= limit);
        if !at_most("MaximumRetryAttempts", 2) || !at_most("MaximumEventAgeInSeconds", 900) {
            faults.push("RetryPolicy: at most 2 attempts and 900 seconds, because the next run does the work".into());
        }
        let queue = schedule["DeadLetterConfig"]["Arn"]["Fn::GetAtt"].as_str().and_then(|it| it.strip_suffix(".Arn"));
        let queues = template.resources("AWS::SQS::Queue");
        if !queues.iter().any(|(name, _)| Some(*name) == queue) {
            faults.push("DeadLetterConfig: a run that couldn't be started must leave a trace".into());
        }
    }
    faults.extend(periods(template));

    for (function, properties) in template.functions() {
        if template.binary(function) == UPLOADER && properties["EventInvokeConfig"]["MaximumRetryAttempts"] != 0 {
            faults.push(format!("{function}: a failed run is repeated by Lambda"));
        }
    }
    faults.extend(alarms(template));
    faults
}

/// The parameter and the periods of the alarms.
fn periods(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let every = &template.value["Parameters"]["UploadEveryMinutes"];
    if every["Default"] != 15 {
        faults.push(format!("the uploader runs every 15 minutes by default, not every {}", every["Default"]));
    }
    for minutes in every["AllowedValues"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
        match template.value["Mappings"]["UploadPeriod"][minutes.to_string()]["Seconds"].as_u64() {
            None => faults.push(format!("UploadPeriod has no {minutes}")),
            Some(seconds) if seconds == minutes * 60 => {}
            Some(seconds) => faults.push(format!("UploadPeriod has {seconds} seconds for {minutes} minutes")),
        }
    }
    faults
}

fn alarms(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    let topic = template.value["Resources"][TOPIC]["Properties"]["Subscription"].as_array();
    if !topic.into_iter().flatten().any(|it| it["Endpoint"] == json!({"Ref": "AlarmEmail"})) {
        faults.push(format!("{TOPIC} has no subscription of AlarmEmail"));
    }
    let notified = template.events("SNS");
    if !notified.iter().any(|(name, it)| template.binary(name) == "notify-slack" && it["Topic"]["Ref"] == TOPIC) {
        faults.push(format!("notify-slack doesn't hear of {TOPIC}"));
    }
    for (name, _) in notified {
        let resource = &template.value["Resources"][name];
        if resource["Condition"] != "HasSlack" {
            faults.push(format!("{name} is there without Slack"));
        }
        if resource["Properties"]["EventInvokeConfig"]["MaximumRetryAttempts"].as_u64().is_none_or(|it| it > 2) {
            faults.push(format!("{name} repeats without end what Slack doesn't take"));
        }
    }
    let alarms = template.resources("AWS::CloudWatch::Alarm");
    for (name, alarm) in &alarms {
        if !alarm["AlarmActions"].as_array().into_iter().flatten().any(|it| *it == json!({"Ref": TOPIC})) {
            faults.push(format!("{name} tells nobody"));
        }
        if alarm["AlarmDescription"].as_str().unwrap_or_default().len() < 40 {
            faults.push(format!("{name} doesn't say what happened"));
        }
        let missing = if alarm["MetricName"] == "Invocations" { "breaching" } else { "notBreaching" };
        if alarm["TreatMissingData"] != missing {
            faults.push(format!("{name}: missing data must be {missing}"));
        }
        for metric in metrics(alarm) {
            let dimension = &metric["Dimensions"][0]["Value"];
            let of = dimension["Ref"].as_str().or_else(|| dimension["Fn::GetAtt"].as_str()?.split('.').next());
            let resources = template.value["Resources"].as_object().into_iter().flat_map(Map::keys);
            if !resources.into_iter().any(|name| Some(name.as_str()) == of) {
                faults.push(format!("{name} watches nothing of this template: {dimension}"));
            }
        }
    }

    let uploader_timeout = template.functions().iter().find_map(|(name, function)| {
        (template.binary(name) == UPLOADER).then(|| function["Timeout"].as_u64().unwrap_or_default())
    });
    let timeout = template.value["Globals"]["Function"]["Timeout"].as_u64();
    let wanted = [
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "ScheduleDeadLetters.QueueName", Some(1)),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "SpoolDeadLetters.QueueName", Some(1)),
        // Both, because in an outage all messages are hidden most of the time.
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "SpoolQueue.QueueName", Some(1)),
        ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "SpoolQueue.QueueName", Some(1)),
        ("AWS/Lambda", "Errors", "UploadConversions", Some(1)),
        ("AWS/Lambda", "Invocations", "UploadConversions", Some(1)),
        // Nine tenths of the timeout, in milliseconds.
        ("AWS/Lambda", "Duration", "UploadConversions", uploader_timeout.map(|it| it * 900)),
        ("Adtrail", "PausedLanes", "UploadConversions", Some(1)),
        // A day, in seconds.
        ("Adtrail", "NothingAcceptedFor", "UploadConversions", Some(86_400)),
        ("Adtrail", "DeadLettersLastDay", "UploadConversions", Some(1)),
        ("Adtrail", "RefusedSources", "UploadConversions", Some(1)),
        ("Adtrail", "EventsRejectedLastDay", "UploadConversions", Some(1)),
        ("Adtrail", "SilentSources", "UploadConversions", Some(1)),
        ("Adtrail", "Uncounted", "UploadConversions", Some(1)),
        ("AWS/ApiGateway", "5xx", "Api", None),
        ("AWS/ApiGateway", "IntegrationLatency", "Api", timeout.map(|it| it * 900)),
    ];
    for (namespace, metric, of, threshold) in wanted {
        let watched = |it: &Value| {
            let value = &it["Dimensions"][0]["Value"];
            it["Namespace"] == namespace
                && it["MetricName"] == metric
                && (value["Ref"] == of || value["Fn::GetAtt"] == of)
        };
        match alarms.iter().find(|(_, alarm)| metrics(alarm).into_iter().any(watched)) {
            None => faults.push(format!("there is no alarm on {namespace} {metric} of {of}")),
            Some((name, alarm)) if threshold.is_some_and(|it| alarm["Threshold"] != it) => {
                faults.push(format!("{name}: the threshold is {}, not {threshold:?}", alarm["Threshold"]));
            }
            Some((name, alarm)) if metric == "Invocations" && alarm["EvaluationPeriods"] != 3 => {
                faults.push(format!("{name}: three periods without a run"));
            }
            Some(_) => {}
        }
    }
    faults
}

/// The metrics that an alarm watches: its own, or those that it calculates with.
fn metrics(alarm: &Value) -> Vec<&Value> {
    match alarm["Metrics"].as_array() {
        Some(several) => several.iter().map(|it| &it["MetricStat"]["Metric"]).filter(|it| !it.is_null()).collect(),
        None => vec![alarm],
    }
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    every_change_is_named(
        faults,
        &[
            ("/Resources/UploadConversions/Properties/Events/Schedule", Value::Null, "one schedule, not 0"),
            (
                "/Resources/UploadConversions/Properties/Events/Schedule/Properties/RetryPolicy",
                Value::Null,
                "RetryPolicy: at most 2",
            ),
            (
                "/Resources/UploadConversions/Properties/Events/Schedule/Properties/DeadLetterConfig",
                Value::Null,
                "DeadLetterConfig",
            ),
            (
                "/Resources/UploadConversions/Properties/EventInvokeConfig",
                Value::Null,
                "a failed run is repeated by Lambda",
            ),
            ("/Parameters/UploadEveryMinutes/Default", json!(60), "every 15 minutes by default, not every 60"),
            ("/Mappings/UploadPeriod/30", Value::Null, "UploadPeriod has no 30"),
            ("/Mappings/UploadPeriod/30/Seconds", json!(900), "UploadPeriod has 900 seconds for 30 minutes"),
            ("/Resources/AlarmScheduleFails", Value::Null, "no alarm on AWS/SQS ApproximateNumberOfMessagesVisible"),
            (
                "/Resources/AlarmUploaderDoesNotRun/Properties/TreatMissingData",
                json!("notBreaching"),
                "must be breaching",
            ),
            (
                "/Resources/AlarmUploaderDoesNotRun/Properties/EvaluationPeriods",
                json!(30),
                "three periods without a run",
            ),
            (
                "/Resources/AlarmSpoolHasDeadLetters",
                Value::Null,
                "no alarm on AWS/SQS ApproximateNumberOfMessagesVisible of SpoolDeadLetters",
            ),
            (
                "/Resources/AlarmSpoolIsNotEmptied/Properties/Metrics/2",
                Value::Null,
                "no alarm on AWS/SQS ApproximateNumberOfMessagesNotVisible of SpoolQueue",
            ),
            ("/Resources/AlarmApiFails/Properties/AlarmActions", Value::Null, "AlarmApiFails tells nobody"),
            (
                "/Resources/AlarmUploaderIsSlow/Properties/Threshold",
                json!(200_000),
                "AlarmUploaderIsSlow: the threshold is 200000",
            ),
            ("/Resources/Alarms/Properties/Subscription", Value::Null, "no subscription of AlarmEmail"),
            ("/Resources/NotifySlack/Properties/Events/Alarm", Value::Null, "notify-slack doesn't hear of Alarms"),
            ("/Resources/NotifySlack/Condition", Value::Null, "NotifySlack is there without Slack"),
            ("/Resources/NotifySlack/Properties/EventInvokeConfig", Value::Null, "repeats without end"),
        ],
    );
}
