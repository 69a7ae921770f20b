//! Numbers for CloudWatch, as lines of the log in its embedded metric format: no agent, and no request that could fail
//! ("Specification: Embedded metric format").

use std::io::Write;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// Of every metric of Adtrail's.
pub const NAMESPACE: &str = "Adtrail";

/// What a number counts, as CloudWatch calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
        }
    }
}

/// A metric: its name, its unit and its value.
pub type Metric = (&'static str, Unit, i64);

/// A line with these metrics, all of these dimensions together, such as `("Lane", "google_ads")`.
#[must_use]
pub fn line(dimensions: &[(&'static str, &str)], metrics: &[Metric], at: DateTime<Utc>) -> Value {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| name).collect();
    let described = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit.as_str() }));
    let mut line = json!({
        "_aws": {
            "Timestamp": at.timestamp_millis(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [names],
                "Metrics": described.collect::<Vec<_>>(),
            }],
        },
    });
    for (name, value) in dimensions {
        line[*name] = (*value).into();
    }
    for (name, _, value) in metrics {
        line[*name] = json!(value);
    }
    line
}

/// Writes lines to standard output, from where Lambda takes them. What can't be written is lost: the log is gone, too.
pub fn write(lines: &[Value]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metrics = [("Open", Unit::Count, 3), ("OldestDue", Unit::Seconds, 60)];
        let line = line(&[("Function", "uploader"), ("Lane", "google_ads")], &metrics, DateTime::UNIX_EPOCH);
        let expected = json!({
            "_aws": {
                "Timestamp": 0,
                "CloudWatchMetrics": [{
                    "Namespace": "Adtrail",
                    "Dimensions": [["Function", "Lane"]],
                    "Metrics": [{"Name": "Open", "Unit": "Count"}, {"Name": "OldestDue", "Unit": "Seconds"}],
                }],
            },
            "Function": "uploader", "Lane": "google_ads", "Open": 3, "OldestDue": 60,
        });
        assert_eq!(line, expected);
    }
}
