//! The real track-event, which sends its events to Google Analytics when the response is out.

use std::process::Stdio;
use std::time::{Duration, Instant};

use dev::lambda_runtime::{LambdaRuntime, http_event};
use dev::settings;
use google_sandbox::{Endpoint, Fault, FaultKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Child;
use tokio::time::timeout;

use crate::stage::{Stage, binary, database_url};

const PATIENCE: Duration = Duration::from_mins(1);
const DATA_MANAGER: &str = r#"[ga4]
platform = "google-analytics"
measurement_id = "G-DEV1234567"
property_id = 123456789"#;
const MEASUREMENT_PROTOCOL: &str = r#"[ga4]
platform = "google-analytics"
measurement_id = "G-DEV1234567"
transport = "measurement-protocol"
api_secret = "GA4_API_SECRET""#;

/// A sandbox of Lambda with track-event in it.
struct TrackEvent {
    runtime: LambdaRuntime,
    process: Child,
}

impl TrackEvent {
    async fn start(stage: &Stage, destinations: &str) -> Self {
        let runtime = LambdaRuntime::start().await.unwrap();
        let mut values = settings::values(&database_url(&stage.pool), &stage.base);
        // The real binaries refuse the secrets of `make dev`.
        values.retain(|name, _| !["WEBHOOK_SECRET", "HEALTH_KEY"].contains(&name.as_str()));
        values.insert("IP_HASH_KEY".into(), SecretString::from("the-key-of-a-story"));
        values.insert("DESTINATIONS".into(), SecretString::from(destinations));
        let mut command = runtime.command(&binary("track-event"));
        command.envs(values.iter().map(|(name, value)| (name, value.expose_secret())));
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        timeout(PATIENCE, runtime.ready()).await.expect("it starts");
        Self { runtime, process }
    }

    /// Reports an event and waits for the response; how long that took.
    async fn report(&self, id: &str, more: &Value) -> Duration {
        let mut event = json!({"event_name": "sign_up", "event_id": id, "page_url": "https://www.example.com/"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let cookies = "_ga=GA1.1.123.456; _ga_DEV1234567=GS2.1.s1700000000$o1$g1";
        let headers = [("content-type", "text/plain"), ("cookie", cookies)];
        let started = Instant::now();
        self.runtime.invoke(http_event("POST", "/api/track/event", &headers, &event.to_string()));
        let answer = timeout(PATIENCE, self.runtime.result()).await.expect("an answer").unwrap().unwrap();
        assert_eq!(answer["statusCode"], 202, "{answer}");
        started.elapsed()
    }

    /// Waits until Lambda would freeze the sandbox; how long that took.
    async fn frozen(&self) -> Duration {
        let started = Instant::now();
        timeout(PATIENCE, self.runtime.frozen()).await.expect("the sandbox is given back");
        started.elapsed()
    }
}

async fn statuses(stage: &Stage) -> Value {
    stage
        .value(
            "select coalesce(jsonb_object_agg(event_id, status), '{}')
             from public.event_queue q join public.tracking_events e on e.id = q.event",
        )
        .await
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_is_at_google_before_the_sandbox_is_frozen(pool: PgPool) {
    let stage = Stage::new(pool).await;
    for (nth, destinations) in [DATA_MANAGER, MEASUREMENT_PROTOCOL].into_iter().enumerate() {
        let function = TrackEvent::start(&stage, destinations).await;
        assert!(function.runtime.has_extension());
        for repeated in [format!("{nth}-a"), format!("{nth}-b"), format!("{nth}-a")] {
            function.report(&repeated, &json!({})).await;
            function.frozen().await;
        }
        // Somebody else's, or not to be told.
        let refused = json!({"consent": {"analytics_storage": "denied"}});
        for (id, more) in [("tag", json!({"sent_by": "gtag"})), ("no", refused)] {
            function.report(&format!("{nth}-{id}"), &more).await;
            function.frozen().await;
        }
        let counted = stage.google.analytics().events;
        assert_eq!(counted.len(), 2 * (nth + 1), "{counted:?}");
        let last = counted.last().unwrap();
        assert_eq!((last.client_id.as_str(), last.param("session_id").as_deref()), ("123.456", Some("1700000000")));
    }
    let sent = json!({"0-a": "sent", "0-b": "sent", "1-a": "sent", "1-b": "sent"});
    assert_eq!(statuses(&stage).await, sent);
}

#[sqlx::test(migrations = "../migrations")]
async fn google_hanging_delays_no_response_and_holds_the_sandbox_for_seconds_once(pool: PgPool) {
    let stage = Stage::new(pool).await;
    for (destinations, endpoint) in [(DATA_MANAGER, Endpoint::Ingest), (MEASUREMENT_PROTOCOL, Endpoint::Collect)] {
        sqlx::query("delete from public.tracking_events").execute(&stage.pool).await.unwrap();
        sqlx::query("delete from public.platform_state").execute(&stage.pool).await.unwrap();
        stage.google.script(Fault::once(endpoint, FaultKind::NoReply {}).times(u32::MAX)).unwrap();
        let function = TrackEvent::start(&stage, destinations).await;
        let response = function.report("first", &json!({})).await;
        assert!(!function.runtime.is_frozen(), "it sends while Lambda waits for it");
        let held = function.frozen().await;
        assert!(response < Duration::from_secs(2) && held < Duration::from_secs(6), "{response:?}, then {held:?}");
        assert!(held > response, "the caller didn't wait for Google: {response:?}, then {held:?}");
        // Now the lane is paused, and nobody tries again.
        function.report("second", &json!({})).await;
        assert!(function.frozen().await < Duration::from_secs(2));
        assert_eq!(statuses(&stage).await, json!({"first": "unverifiable", "second": "pending"}));
        stage.google.clear_faults();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_function_that_is_killed_while_it_sends_sends_nothing_twice(pool: PgPool) {
    let stage = Stage::new(pool).await;
    stage.google.script(Fault::once(Endpoint::Collect, FaultKind::Held {}).times(u32::MAX)).unwrap();
    let mut function = TrackEvent::start(&stage, MEASUREMENT_PROTOCOL).await;
    function.report("in flight", &json!({"event_id": "in-flight"})).await;
    let held = "select count(*) from public.event_queue where lock_token is not null";
    while stage.google.analytics().events.is_empty() {
        tokio::task::yield_now().await;
    }
    function.process.kill().await.unwrap();
    stage.google.clear_faults();
    assert_eq!(stage.value::<i64>(held).await, 1, "the killed function held it");
    sqlx::query("update public.event_queue set locked_until = now()").execute(&stage.pool).await.unwrap();
    let function = TrackEvent::start(&stage, MEASUREMENT_PROTOCOL).await;
    function.report("next", &json!({})).await;
    function.frozen().await;
    // The schedule settles what is in doubt.
    stage.tick().await;
    assert_eq!(statuses(&stage).await, json!({"in-flight": "unverifiable", "next": "sent"}));
    assert_eq!(stage.google.analytics().events.len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn without_a_destination_nothing_runs_after_responses(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let function = TrackEvent::start(&stage, "").await;
    function.report("alone", &json!({})).await;
    function.frozen().await;
    assert!(!function.runtime.has_extension());
    assert_eq!(stage.value::<i64>("select count(*) from public.event_queue").await, 0);
}
