//! A deployment of the template: the real uploader and what CloudWatch gets to know of its runs.
//!
//! Its runs follow one another within seconds here, and the schedule would make them a period apart. So the time of
//! each datapoint is moved to when its run would have been.

use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use dev::lambda_runtime::LambdaRuntime;
use dev::settings;
use google_sandbox::GoogleAccount;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::settings::Values;
use sqlx::PgPool;
use tokio::process::Child;
use tokio::time::timeout;

use crate::cloudwatch::{Alarm, Datapoint, State, embedded};
use crate::document::Template;
use crate::stage::{Stage, binary, database_url};

pub const UPLOADER: &str = "adtrail-UploadConversions-1A2B3C";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Nobody listens there.
pub const NO_DATABASE: &str = "postgresql://postgres@127.0.0.1:9/postgres";
/// How often the schedule runs by default.
const PERIOD: TimeDelta = TimeDelta::minutes(15);
const PATIENCE: Duration = Duration::from_mins(1);
/// Whoever doesn't answer within this is stopped.
const HANGS: Duration = Duration::from_millis(300);

/// What a resource of the template is called in the account.
pub fn name_of(value: &Value) -> String {
    let resource = value["Ref"].as_str().or_else(|| value["Fn::GetAtt"].as_str()?.strip_suffix(".QueueName"));
    match resource {
        Some("UploadConversions") => UPLOADER.into(),
        Some(resource) => format!("adtrail-{resource}"),
        None => panic!("this test doesn't know the name of {value}"),
    }
}

pub struct Deployment {
    pub stage: Stage,
    /// The uploader's settings.
    pub values: Values,
    pub metrics: Vec<Datapoint>,
    /// When the first run would have been: the beginning of a period.
    start: DateTime<Utc>,
    /// How many periods have passed.
    periods: i32,
}

/// What became of an invocation.
#[derive(Debug, PartialEq)]
pub enum Ended {
    With(Value),
    Failed,
    /// Lambda ended it.
    ByTimeout,
}

impl Deployment {
    pub async fn new(pool: PgPool) -> Self {
        let stage = Stage::with_account(pool.clone(), GoogleAccount::dev(), |_| {}).await;
        let mut values = settings::values(&database_url(&pool), &stage.base);
        values.retain(|name, _| !["IP_HASH_KEY", "HEALTH_KEY"].contains(&name.as_str()));
        let start = stage.clock.now().duration_trunc(TimeDelta::hours(1)).unwrap();
        let mut this = Self { stage, values, metrics: Vec::new(), start, periods: 0 };
        this.set("WEBHOOK_SECRET", SECRET);
        this
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.into(), SecretString::from(value));
    }

    /// The beginning of this period, and a bit.
    pub fn now(&self) -> DateTime<Utc> {
        self.start + PERIOD * self.periods + TimeDelta::minutes(1)
    }

    /// Nothing happens for so many periods of the schedule.
    pub fn pass(&mut self, periods: i32) {
        self.periods += periods;
    }

    pub fn measure(&mut self, namespace: &str, metric: &str, dimension: &str, resource: &str, value: f64) {
        let dimensions = [(dimension.to_owned(), name_of(&json!({"Ref": resource})))].into();
        let (namespace, metric) = (namespace.to_owned(), metric.to_owned());
        self.metrics.push(Datapoint { namespace, metric, dimensions, at: self.now(), value });
    }

    /// As many runs, a period each.
    pub async fn runs(&mut self, count: i32) {
        for _ in 0..count {
            self.run().await;
        }
    }

    /// A run of the real uploader, as the schedule starts it.
    pub async fn run(&mut self) -> Ended {
        self.run_as(false).await
    }

    /// The same with a process that hangs.
    pub async fn run_stopped(&mut self) -> Ended {
        self.run_as(true).await
    }

    async fn run_as(&mut self, is_stopped: bool) -> Ended {
        let began = self.stage.clock.now();
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut function = start(&runtime, "upload-conversions", UPLOADER, &self.values);
        let (ended, took) = invoke(&runtime, &function, json!({"source": "aws.scheduler"}), is_stopped).await;
        function.start_kill().unwrap();
        let said = String::from_utf8(function.wait_with_output().await.unwrap().stdout).unwrap();
        let later = self.now() - began;
        self.metrics.extend(
            said.lines().flat_map(|line| embedded(line, began)).map(|it| Datapoint { at: it.at + later, ..it }),
        );

        let timeout = Template::read().value["Resources"]["UploadConversions"]["Properties"]["Timeout"].as_f64();
        let ms = if ended == Ended::ByTimeout { timeout.unwrap() * 1e3 } else { took.as_secs_f64() * 1e3 };
        let failed = !matches!(ended, Ended::With(_));
        for (metric, value) in [("Invocations", 1.0), ("Errors", f64::from(u8::from(failed))), ("Duration", ms)] {
            self.measure("AWS/Lambda", metric, "FunctionName", "UploadConversions", value);
        }
        self.periods += 1;
        ended
    }

    /// The states of an alarm at the end of each period that is evaluated with data of this deployment only; at least
    /// the last one.
    pub fn states(&self, alarm: &Alarm) -> Vec<State> {
        let end = self.start + PERIOD * self.periods;
        let first = (self.start + alarm.period * alarm.range()).min(end);
        let ends = (0..).map(|n| first + alarm.period * n).take_while(|at| *at <= end);
        ends.map(|end| alarm.state(&self.metrics, end)).collect()
    }
}

/// Starts a function's real binary.
pub fn start(runtime: &LambdaRuntime, folder: &str, name: &str, values: &Values) -> Child {
    let mut function = runtime.command(&binary(folder));
    function.envs(values.iter().map(|(name, value)| (name, value.expose_secret())));
    function.env("AWS_LAMBDA_FUNCTION_NAME", name).stdout(Stdio::piped()).spawn().unwrap()
}

/// Invokes it. Where it is stopped, it hangs: nothing comes, and Lambda would end it at its timeout.
pub async fn invoke(runtime: &LambdaRuntime, function: &Child, event: Value, is_stopped: bool) -> (Ended, Duration) {
    runtime.ready().await;
    if is_stopped {
        let process = function.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-STOP", &process]).status().unwrap().success());
    }
    let began = Instant::now();
    runtime.invoke(event);
    let patience = if is_stopped { HANGS } else { PATIENCE };
    let ended = match timeout(patience, runtime.result()).await {
        Ok(ended) => ended.unwrap().map_or(Ended::Failed, Ended::With),
        Err(_) if is_stopped => Ended::ByTimeout,
        Err(elapsed) => panic!("the function doesn't end: {elapsed}"),
    };
    (ended, began.elapsed())
}
