//! `docs/operations.md` has an entry for each alarm, and each alarm says so.

use std::collections::BTreeSet;

use crate::document::Template;
use crate::every_change_is_named;

const PAGE: &str = include_str!("../../../docs/operations.md");
/// What writes the metrics.
const METRICS: &str = include_str!("../../../functions/upload-conversions/src/metrics.rs");
/// Of an alarm's description (CloudWatch, "PutMetricAlarm").
const LONGEST: usize = 1024;

pub fn faults(template: &Template) -> Vec<String> {
    faults_of(template, PAGE)
}

fn faults_of(template: &Template, page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let alarms = template.resources("AWS::CloudWatch::Alarm");
    let entries: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    for (name, alarm) in &alarms {
        if !entries.contains(name) {
            faults.push(format!("docs/operations.md has no entry {name}"));
        }
        let description = alarm["AlarmDescription"].as_str().unwrap_or_default();
        let link = format!(" Runbook: docs/operations.md#{}", name.to_lowercase());
        if !description.ends_with(&link) {
            faults.push(format!("{name} doesn't end with \"{}\"", link.trim()));
        }
        let sentences = description.matches(". ").count() + description.matches("? ").count();
        if !(1..=3).contains(&sentences) || description.len() > LONGEST {
            faults.push(format!("{name} should say in one or two sentences what it means and what to do"));
        }
        let metric = alarm["MetricName"].as_str().unwrap_or_default();
        if alarm["Namespace"] == shared::metrics::NAMESPACE && !METRICS.contains(&format!("(\"{metric}\", ")) {
            faults.push(format!("{name} watches {metric}, which nothing writes"));
        }
    }
    let known: BTreeSet<_> = alarms.iter().map(|(name, _)| *name).collect();
    let unknown = entries.iter().filter(|entry| entry.starts_with("Alarm") && !known.contains(*entry));
    faults.extend(unknown.map(|entry| format!("docs/operations.md has an entry {entry}, which is no alarm")));
    let (_, rotation) = page.split_once("\n## Rotation\n").unwrap_or_default();
    let (rotation, _) = rotation.split_once("\n## ").unwrap_or_default();
    let secrets = crate::settings::secret().into_keys().chain(["SLACK_WEBHOOK_URL".to_owned()]);
    let never = secrets.filter(|name| !rotation.contains(name.as_str()));
    faults.extend(never.map(|name| format!("docs/operations.md doesn't say how {name} is rotated")));
    let undocumented = written().into_iter().filter(|metric| !page.contains(&format!("`{metric}`")));
    faults.extend(undocumented.map(|metric| format!("docs/operations.md doesn't say what {metric} counts")));
    faults
}

/// The names of the metrics that are written.
pub fn written() -> BTreeSet<&'static str> {
    let name = regex::Regex::new(r#"(?:\(|=> )"([A-Z][A-Za-z]+)"(?:, |,\n)"#).expect("a pattern");
    let names = name.captures_iter(METRICS).filter_map(|found| Some(found.get(1)?.as_str()));
    names.filter(|name| !["Function", "Lane", "Reason", "Source"].contains(name)).collect()
}

#[test]
fn the_names_of_metrics_are_found() {
    let written = written();
    for metric in ["Runs", "Uncounted", "NothingAcceptedFor", "OldestDue", "WebhooksRefusedLastDay"] {
        assert!(written.contains(metric), "{metric} isn't in {written:?}");
    }
}

#[test]
fn an_entry_more_or_less_is_named() {
    let page = PAGE.replace("### AlarmDeadLetters", "### AlarmOfYesterday").replace("`Held`", "");
    let page = page.replace("HEALTH_KEY", "its key");
    assert_eq!(
        faults_of(&Template::read(), &page),
        [
            "docs/operations.md has no entry AlarmDeadLetters",
            "docs/operations.md has an entry AlarmOfYesterday, which is no alarm",
            "docs/operations.md doesn't say how HEALTH_KEY is rotated",
            "docs/operations.md doesn't say what Held counts",
        ]
    );
}

#[test]
fn whatever_is_taken_away_or_changed_is_named() {
    let properties = "/Resources/AlarmDeadLetters/Properties";
    every_change_is_named(
        faults,
        &[
            ("/Resources/AlarmDeadLetters", serde_json::Value::Null, "an entry AlarmDeadLetters, which is no alarm"),
            (&format!("{properties}/AlarmDescription"), "Something is wrong.".into(), "doesn't end with \"Runbook:"),
            (&format!("{properties}/AlarmDescription"), "Wrong".into(), "in one or two sentences"),
            (&format!("{properties}/MetricName"), "Dead".into(), "watches Dead, which nothing writes"),
        ],
    );
}
