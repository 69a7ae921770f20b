//! The dashboard shows what there is: metrics that something writes, resources that the template has, and every alarm.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::document::Template;
use crate::every_change_is_named;
use crate::runbook::written;

/// What has to be among the pictures.
const SHOWN: [&str; 22] = [
    "4xx",
    "5xx",
    "AcceptedLastDay",
    "AwaitingLead",
    "ConfirmedLastDay",
    "DeadLettersLastDay",
    "DealsLastDay",
    "Duration",
    "Errors",
    "EventsIgnoredLastDay",
    "EventsRejectedLastDay",
    "Held",
    "Latency",
    "LeadsLastDay",
    "NothingAcceptedFor",
    "OldestDue",
    "Open",
    "Retrying",
    "Unconfirmed",
    "VisitorsWithClickLastDay",
    "VisitorsWithGpcLastDay",
    "WebhooksRefusedLastDay",
];
/// Of AWS's own metrics, by their namespace.
const OF_AWS: [(&str, &[&str]); 2] = [
    ("AWS/ApiGateway", &["4xx", "5xx", "Count", "IntegrationLatency", "Latency"]),
    ("AWS/Lambda", &["Duration", "Errors", "Invocations"]),
];
/// Which dimensions a metric has, as CloudWatch's search names them.
const SCHEMAS: [&str; 3] = ["Lane", "Reason", "Source,Reason"];
/// Widgets are placed on a grid of so many columns.
const COLUMNS: u64 = 24;

pub fn faults(template: &Template) -> Vec<String> {
    let dashboards = template.resources("AWS::CloudWatch::Dashboard");
    let [(name, dashboard)] = dashboards[..] else { return vec!["there must be one dashboard".into()] };
    let mut faults = Vec::new();
    if template.value["Resources"][name]["Condition"] != "HasDashboard" {
        faults.push(format!("{name} can't be left out"));
    }
    let (resources, body) = substituted(&full(&dashboard["DashboardBody"]["Fn::Sub"]));
    let known = |it: &str| it.starts_with("AWS::") || !template.value["Resources"][it].is_null();
    faults.extend(resources.iter().filter(|it| !known(it)).map(|it| format!("{name} shows {it}, which isn't there")));
    let widgets = match serde_json::from_str::<Value>(&body) {
        Ok(body) => body["widgets"].as_array().cloned().unwrap_or_default(),
        Err(error) => return vec![format!("{name} is not JSON: {error}")],
    };
    faults.extend(layout(&widgets));

    let mut shown = BTreeSet::new();
    for widget in &widgets {
        let mut last = [String::new(), String::new()];
        for metric in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            match of_metric(metric, &mut last) {
                Ok(metrics) => shown.extend(metrics),
                Err(fault) => faults.push(fault),
            }
        }
    }
    let missing = SHOWN.into_iter().filter(|metric| !shown.contains(*metric));
    faults.extend(missing.map(|metric| format!("{name} doesn't show {metric}")));
    let listed: Vec<_> =
        widgets.iter().flat_map(|it| it["properties"]["alarms"].as_array().into_iter().flatten()).collect();
    let alarms = template.resources("AWS::CloudWatch::Alarm").into_iter().map(|(name, _)| name);
    let unlisted = alarms.filter(|alarm| !listed.contains(&&json!(format!("{alarm}.Arn"))));
    faults.extend(unlisted.map(|alarm| format!("{name} doesn't show {alarm}")));
    faults
}

/// The text with all that depends on a condition.
fn full(substitution: &Value) -> String {
    let text = substitution[0].as_str().unwrap_or_default().to_owned();
    let variables = substitution[1].as_object().into_iter().flatten();
    variables.fold(text, |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value["Fn::If"][1]["Fn::Sub"].as_str().unwrap_or_default())
    })
}

/// The resources that are named, and the text with their names.
fn substituted(text: &str) -> (BTreeSet<String>, String) {
    let name = Regex::new(r"\$\{([A-Za-z:]+)(\.Arn)?\}").expect("a pattern");
    let resources = name.captures_iter(text).map(|found| found[1].to_owned()).collect();
    (resources, name.replace_all(text, "$1$2").into_owned())
}

/// No widget covers another one, or leaves the page.
fn layout(widgets: &[Value]) -> Vec<String> {
    let mut taken: BTreeMap<(u64, u64), &Value> = BTreeMap::new();
    let mut faults = Vec::new();
    for widget in widgets {
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| widget[name].as_u64().unwrap_or_default());
        let title = &widget["properties"]["title"];
        if width == 0 || height == 0 || x + width > COLUMNS {
            faults.push(format!("{title} doesn't fit on the page"));
        }
        let cells = (y..y + height).flat_map(|row| (x..x + width).map(move |column| (row, column)));
        if let Some(other) = cells.filter_map(|cell| taken.insert(cell, title)).last() {
            faults.push(format!("{title} covers {other}"));
        }
    }
    faults
}

/// The metrics of a line of a widget. A dot stands for what the line before has there.
fn of_metric(line: &Value, last: &mut [String; 2]) -> Result<Vec<String>, String> {
    let parts = line.as_array().ok_or("a metric is a list")?;
    let options = parts.last().and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(expression) = options.get("expression").and_then(Value::as_str) {
        return of_expression(expression, &options);
    }
    for (place, last) in last.iter_mut().enumerate() {
        match parts.get(place).and_then(Value::as_str) {
            Some(".") => {}
            Some(text) => text.clone_into(last),
            None => return Err(format!("no metric in {line}")),
        }
    }
    let [namespace, metric] = last;
    let of_aws = OF_AWS.into_iter().find(|(name, _)| name == namespace).map(|(_, metrics)| metrics);
    let is_known = of_aws.map_or_else(
        || namespace == shared::metrics::NAMESPACE && written().contains(metric.as_str()),
        |metrics| metrics.contains(&metric.as_str()),
    );
    if is_known { Ok(vec![metric.clone()]) } else { Err(format!("nothing writes {metric} of {namespace}")) }
}

fn of_expression(expression: &str, options: &Map<String, Value>) -> Result<Vec<String>, String> {
    let id = options.get("id").and_then(Value::as_str).unwrap_or_default();
    if !id.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(format!("{expression} has no id that begins with a small letter"));
    }
    if !expression.starts_with("SEARCH") {
        return Ok(Vec::new());
    }
    let search = Regex::new(
        r#"^SEARCH\('\{Adtrail,Function,([A-Z][A-Za-z,]+)\} MetricName="(\w+)" Function="UploadConversions"', 'Maximum'\)$"#,
    )
    .expect("a pattern");
    let found = search.captures(expression).ok_or_else(|| format!("this test doesn't understand {expression}"))?;
    if !SCHEMAS.contains(&&found[1]) || !written().contains(&found[2]) {
        return Err(format!("nothing writes {} of {}", &found[2], &found[1]));
    }
    Ok(vec![found[2].to_owned()])
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    let body = "/Resources/Pictures/Properties/DashboardBody/Fn::Sub/0";
    let template = Template::read();
    let text = template.value.pointer(body).and_then(Value::as_str).expect("a body").to_owned();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        json!(text.replace(from, to))
    };
    every_change_is_named(
        faults,
        &[
            ("/Resources/Pictures", Value::Null, "one dashboard"),
            ("/Resources/Pictures/Condition", Value::Null, "can't be left out"),
            (body, changed("{\"widgets\": [", "{"), "is not JSON"),
            (body, changed("${Api}", "${Gateway}"), "shows Gateway, which isn't there"),
            (body, changed("\"AwaitingLead\"", "\"Waiting\""), "nothing writes Waiting of Adtrail"),
            (body, changed(r#"MetricName=\"Held\""#, r#"MetricName=\"Open\""#), "doesn't show Held"),
            (body, changed("{Adtrail,Function,Reason}", "{Adtrail,Function,Cause}"), "nothing writes DeadLetters"),
            (body, changed("\"${AlarmDeadLetters.Arn}\",", ""), "doesn't show AlarmDeadLetters"),
            (body, changed("${SpoolAlarms}", ""), "doesn't show AlarmSpoolIsNotEmptied"),
            (body, changed("\"x\": 12, \"y\": 9", "\"x\": 11, \"y\": 9"), "covers"),
        ],
    );
}
