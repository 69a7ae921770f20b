//! CloudWatch, as far as these alarms go: the embedded metric format, statistics over periods, and the state of an
//! alarm ("Specification: Embedded metric format", "Configuring how CloudWatch alarms treat missing data").

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::deployment;
use crate::document::Template;

pub type Dimensions = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct Datapoint {
    pub namespace: String,
    pub metric: String,
    pub dimensions: Dimensions,
    pub at: DateTime<Utc>,
    pub value: f64,
}

/// What a line of the log says, if it is one with metrics. Anything that CloudWatch would drop in silence panics.
pub fn embedded(line: &str, now: DateTime<Utc>) -> Vec<Datapoint> {
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(line) else { return Vec::new() };
    let Some(header) = members.get("_aws") else { return Vec::new() };
    let at = header["Timestamp"].as_i64().and_then(DateTime::from_timestamp_millis).expect("milliseconds");
    let age = now - at;
    assert!(age < TimeDelta::days(14) && age > -TimeDelta::hours(2), "CloudWatch takes no such time: {at}");
    assert!(line.len() <= 256 * 1024, "a line of CloudWatch Logs is that long at most");
    let mut datapoints = Vec::new();
    for directive in header["CloudWatchMetrics"].as_array().expect("directives") {
        let namespace = directive["Namespace"].as_str().expect("a namespace");
        let metrics = directive["Metrics"].as_array().expect("metrics");
        assert!(!metrics.is_empty() && metrics.len() <= 100, "{} metrics in one directive", metrics.len());
        for set in directive["Dimensions"].as_array().expect("sets of dimensions") {
            let names = set.as_array().expect("a set");
            assert!(names.len() <= 30, "a metric has at most 30 dimensions");
            let dimensions: Dimensions = names.iter().map(|name| dimension(&members, name)).collect();
            for metric in metrics {
                let name = metric["Name"].as_str().expect("a name");
                let unit = metric["Unit"].as_str().expect("a unit");
                assert!(["Count", "Seconds"].contains(&unit), "{unit}");
                let value = members.get(name).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number in {name}"));
                let (namespace, metric) = (namespace.to_owned(), name.to_owned());
                datapoints.push(Datapoint { namespace, metric, dimensions: dimensions.clone(), at, value });
            }
        }
    }
    datapoints
}

fn dimension(members: &Map<String, Value>, name: &Value) -> (String, String) {
    let name = name.as_str().expect("the name of a dimension");
    let value = members.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no text in {name}"));
    assert!((1..=1024).contains(&value.len()) && value.is_ascii(), "no value of a dimension: {value:?}");
    (name.to_owned(), value.to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Alarm,
}

/// A metric's values over periods.
#[derive(Debug)]
struct Series {
    namespace: String,
    metric: String,
    dimensions: Dimensions,
    statistic: fn(&[f64]) -> f64,
}

#[derive(Debug)]
pub struct Alarm {
    pub name: String,
    pub period: TimeDelta,
    /// It watches their sum.
    series: Vec<Series>,
    evaluation_periods: usize,
    needed: usize,
    is_breaching: fn(f64, f64) -> bool,
    threshold: f64,
    missing_is_breaching: bool,
}

/// The properties that decide about the state. An alarm with others is computed otherwise.
const COMPUTED: [&str; 14] = [
    "AlarmActions",
    "AlarmDescription",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluationPeriods",
    "MetricName",
    "Metrics",
    "Namespace",
    "OKActions",
    "Period",
    "Statistic",
    "Threshold",
    "TreatMissingData",
];

impl Alarm {
    pub fn read(template: &Template, name: &str) -> Self {
        let properties = &template.value["Resources"][name]["Properties"];
        let others = properties.as_object().expect("an alarm").keys().filter(|it| !COMPUTED.contains(&it.as_str()));
        assert_eq!(others.collect::<Vec<_>>(), [""; 0], "{name} has properties that this test doesn't compute");
        let text = |name: &str| properties[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
        let number = |name: &str| properties[name].as_u64().map(|it| usize::try_from(it).unwrap());
        let evaluation_periods = number("EvaluationPeriods").expect("EvaluationPeriods");
        let (series, seconds) = match properties["Metrics"].as_array() {
            None => (vec![Series::read(properties, &properties["Statistic"])], &properties["Period"]),
            Some(metrics) => summed(metrics),
        };
        Self {
            name: name.to_owned(),
            period: period(template, seconds),
            series,
            evaluation_periods,
            needed: number("DatapointsToAlarm").unwrap_or(evaluation_periods),
            is_breaching: match text("ComparisonOperator").as_str() {
                "GreaterThanOrEqualToThreshold" => |value, threshold| value >= threshold,
                "GreaterThanThreshold" => |value, threshold| value > threshold,
                "LessThanThreshold" => |value, threshold| value < threshold,
                other => panic!("{name}: this test doesn't compute {other}"),
            },
            threshold: properties["Threshold"].as_f64().expect("Threshold"),
            missing_is_breaching: match text("TreatMissingData").as_str() {
                "breaching" => true,
                "notBreaching" => false,
                other => panic!("{name}: this test doesn't compute {other}"),
            },
        }
    }

    /// CloudWatch looks at a few periods more than it evaluates, because data may be late or missing. AWS's examples
    /// have two more.
    pub fn range(&self) -> i32 {
        i32::try_from(self.evaluation_periods).unwrap() + 2
    }

    /// The state at the end of a period.
    pub fn state(&self, metrics: &[Datapoint], end: DateTime<Utc>) -> State {
        let periods = (0..self.range()).map(|n| end - self.period * n);
        let mut considered: Vec<bool> = periods
            .filter_map(|end| self.value(metrics, end))
            .map(|it| (self.is_breaching)(it, self.threshold))
            .collect();
        // The newest that there are; what is missing counts only where they are too few.
        considered.resize(self.evaluation_periods, self.missing_is_breaching);
        let breaching = considered.iter().filter(|it| **it).count();
        if breaching >= self.needed { State::Alarm } else { State::Ok }
    }

    /// The value for the period that ends then. None if there is no data.
    fn value(&self, metrics: &[Datapoint], end: DateTime<Utc>) -> Option<f64> {
        self.series.iter().map(|series| series.value(metrics, end - self.period, end)).sum()
    }
}

impl Series {
    fn read(metric: &Value, statistic: &Value) -> Self {
        let text = |name: &str| metric[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
        let dimensions = metric["Dimensions"].as_array().expect("Dimensions").iter();
        Self {
            namespace: text("Namespace"),
            metric: text("MetricName"),
            dimensions: dimensions
                .map(|it| (it["Name"].as_str().unwrap().to_owned(), deployment::name_of(&it["Value"])))
                .collect(),
            statistic: match statistic.as_str() {
                Some("Sum") => |values| values.iter().sum(),
                Some("Maximum") => |values| values.iter().copied().fold(f64::MIN, f64::max),
                _ => panic!("this test doesn't compute {statistic}"),
            },
        }
    }

    fn value(&self, metrics: &[Datapoint], start: DateTime<Utc>, end: DateTime<Utc>) -> Option<f64> {
        let is_of_it = |it: &&Datapoint| {
            (&it.namespace, &it.metric, &it.dimensions) == (&self.namespace, &self.metric, &self.dimensions)
                && (start..end).contains(&it.at)
        };
        let values: Vec<_> = metrics.iter().filter(is_of_it).map(|it| it.value).collect();
        (!values.is_empty()).then(|| (self.statistic)(&values))
    }
}

/// Metric math, as far as it is a sum: its parts, and their period.
fn summed(metrics: &[Value]) -> (Vec<Series>, &Value) {
    let expression = metrics.iter().find_map(|it| it["Expression"].as_str()).expect("an expression");
    let parts: Vec<_> = expression
        .split(" + ")
        .map(|id| {
            let part = metrics.iter().find(|it| it["Id"] == id).unwrap_or_else(|| panic!("{expression} has no {id}"));
            assert_eq!(part["ReturnData"], false, "an alarm watches one value");
            &part["MetricStat"]
        })
        .collect();
    assert!(parts.iter().all(|it| it["Period"] == parts[0]["Period"]), "one period");
    (parts.iter().map(|it| Series::read(&it["Metric"], &it["Stat"])).collect(), &parts[0]["Period"])
}

/// With the parameters' defaults.
fn period(template: &Template, period: &Value) -> TimeDelta {
    let seconds = period.as_i64().or_else(|| {
        let [map, key, name] = period["Fn::FindInMap"].as_array()?.as_slice() else { return None };
        let default = &template.value["Parameters"][key["Ref"].as_str()?]["Default"];
        template.value["Mappings"][map.as_str()?][default.to_string()][name.as_str()?].as_i64()
    });
    TimeDelta::seconds(seconds.expect("a period"))
}

#[test]
fn missing_data_counts_as_in_the_examples_of_the_manual() {
    // The newest at the right; X breaches, 0 doesn't. Three of three, and whether missing data is breaching.
    let examples = [
        ("0-X-X", [State::Ok, State::Ok]),
        ("----0", [State::Ok, State::Ok]),
        ("-----", [State::Ok, State::Alarm]),
        ("0XX-X", [State::Alarm, State::Alarm]),
        ("--X--", [State::Ok, State::Alarm]),
    ];
    let end = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
    for (example, states) in examples {
        let values = example.chars().rev().zip(0..).filter(|(it, _)| *it != '-');
        let metrics: Vec<_> = values
            .map(|(it, n)| Datapoint {
                namespace: "N".into(),
                metric: "M".into(),
                dimensions: Dimensions::new(),
                at: end - TimeDelta::minutes(n) - TimeDelta::seconds(1),
                value: f64::from(u8::from(it == 'X')),
            })
            .collect();
        for (missing_is_breaching, state) in [false, true].into_iter().zip(states) {
            let alarm = Alarm {
                name: "A".into(),
                period: TimeDelta::minutes(1),
                series: vec![Series {
                    namespace: "N".into(),
                    metric: "M".into(),
                    dimensions: Dimensions::new(),
                    statistic: |values| values.iter().sum(),
                }],
                evaluation_periods: 3,
                needed: 3,
                is_breaching: |value, threshold| value >= threshold,
                threshold: 1.0,
                missing_is_breaching,
            };
            assert_eq!(alarm.state(&metrics, end), state, "{example}, missing is breaching: {missing_is_breaching}");
        }
    }
}

#[test]
fn a_line_without_metrics_is_only_a_line() {
    for line in ["START", "{\"level\":\"INFO\"}"] {
        assert!(embedded(line, DateTime::UNIX_EPOCH).is_empty(), "{line}");
    }
}
