mod bad_answers;
mod duplicates;
mod other_account;
mod several;

use google_sandbox::{Endpoint, EventPoison, Fault, FaultKind, GoogleAccount, GoogleSandbox};
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{app_with, due_at, execute, lead, row, start, store_due, waiting_deal};
use tokio::net::TcpListener;

use super::*;

/// The timeout of a run.
const RUN: TimeDelta = TimeDelta::seconds(120);

/// The uploader, and a sandbox Google with the same clock.
struct Uploader {
    app: App<Config>,
    google: GoogleSandbox,
    pool: PgPool,
}

impl Uploader {
    async fn new(pool: PgPool) -> Self {
        Self::with(pool, GoogleAccount::dev(), |_| Vec::new()).await
    }

    /// With another Google account and changed settings, given Google's address.
    async fn with(
        pool: PgPool,
        account: GoogleAccount,
        changed: impl FnOnce(&str) -> Vec<(&'static str, String)>,
    ) -> Self {
        let account = GoogleAccount { conversion_actions: ["11", "12"].map(str::to_owned).into(), ..account };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = vec![
            ("GOOGLE_DATA_MANAGER_URL", url.clone()),
            ("GOOGLE_ADS_API_URL", url.clone()),
            ("GOOGLE_TOKEN_URL", format!("{url}/token")),
            ("GOOGLE_CLIENT_ID", account.refresh_token.client_id.clone()),
            ("GOOGLE_CLIENT_SECRET", account.refresh_token.client_secret.clone()),
            ("GOOGLE_REFRESH_TOKEN", account.refresh_token.refresh_token.clone()),
        ];
        settings.extend(changed(&url));
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = app_with(&pool, &settings);
        let google = GoogleSandbox::with_clock(account, app.clock.clone());
        let router = google.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { app, google, pool }
    }

    /// The same with this number of due conversions: the nth is `adtrail-n`.
    async fn with_due(pool: PgPool, count: u32) -> Self {
        let uploader = Self::new(pool).await;
        uploader.add_due(0..count).await;
        uploader
    }

    async fn add_due(&self, numbers: std::ops::Range<u32>) {
        let due = numbers.map(|n| {
            due_at(self.app.clock.now()).conversion(&json!({
                "transaction_id": format!("adtrail-{n}"), "gclid": format!("Click-{n}"),
                "click_at": start() - TimeDelta::days(2),
            }))
        });
        store_due(&self.pool, due).await;
    }

    async fn run(&self) -> Summary {
        handle(&self.app, self.app.clock.now() + RUN).await.unwrap()
    }

    async fn run_after(&self, time: TimeDelta) -> Summary {
        self.app.clock.advance(time);
        self.run().await
    }

    /// Answers these requests with this status until the faults are cleared.
    fn refuse(&self, on: Endpoint, status: u16, retry_after: Option<u32>) {
        let kind = FaultKind::Http { status, retry_after, reason: None, body: None };
        self.google.script(Fault::once(on, kind).times(u32::MAX)).unwrap();
    }

    /// Lets Google's processing reject them, because the account's consent is missing.
    fn refuse_later(&self, numbers: std::ops::Range<u32>) {
        numbers.for_each(|n| self.google.decide(format!("adtrail-{n}"), "PROCESSING_ERROR_REASON_NO_CONSENT"));
    }

    fn ingest_calls(&self) -> usize {
        self.google.requests().ingest_calls
    }

    async fn value(&self, expression: &str) -> Value {
        row(&self.pool, &format!("select {expression} as value from public.conversion_queue")).await["value"].clone()
    }
}

fn paused() -> Summary {
    Summary { paused: vec!["google_ads".into()], ..Summary::default() }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_run_reports_what_it_did(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    uploader.google.poison("adtrail-1", EventPoison::new("INVALID_EVENT"));
    uploader.google.poison("adtrail-2", EventPoison::new("CONVERSION_ACTION_TOO_RECENTLY_CREATED"));
    lead("jane@example.com").store(&uploader.pool).await;
    waiting_deal("D-1", "jane@example.com").store(&uploader.pool).await;
    let old = json!({"received_at": start() - TimeDelta::days(91)});
    waiting_deal("D-2", "joe@example.com").with(&old).store(&uploader.pool).await;

    // Jane's click is too young to be sent. Both deals were read by an earlier version.
    let read = Summary { reread: 2, matched: 1, expired: 1, ..Summary::default() };
    let expected = Summary { claimed: 3, accepted: 1, rejected: 1, postponed: 1, ..read };
    assert_eq!(uploader.run().await, expected);

    uploader.google.unpoison("adtrail-2");
    let expected = Summary { claimed: 2, accepted: 2, verdicts: 1, ..Summary::default() };
    assert_eq!(uploader.run_after(TimeDelta::hours(6)).await, expected);
    assert_eq!(uploader.google.conversions().len(), 3);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_run_with_nothing_to_do_asks_google_nothing(pool: PgPool) {
    let uploader = Uploader::new(pool).await;
    assert_eq!(uploader.run().await, Summary::default());
    let requests = uploader.google.requests();
    assert_eq!((requests.token, requests.ingest_calls, requests.status), (0, 0, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_inbox_that_fails_does_not_keep_conversions_from_being_uploaded(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 1).await;
    execute(&uploader.pool, "alter table public.inbox_events rename to gone").await;
    assert!(handle(&uploader.app, uploader.app.clock.now() + RUN).await.is_err());
    assert_eq!(uploader.google.conversions().len(), 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_that_waited_is_matched_and_sent_in_one_run_even_if_matching_failed_before(pool: PgPool) {
    let uploader = Uploader::new(pool).await;
    let click = json!({"gclid": "Click", "click_at": start() - TimeDelta::days(2), "ad_user_data": "granted"});
    lead("jane@example.com").with(&click).store(&uploader.pool).await;
    waiting_deal("D-1", "jane@example.com").store(&uploader.pool).await;
    execute(&uploader.pool, "alter table public.lead_emails rename to gone").await;
    assert!(handle(&uploader.app, uploader.app.clock.now() + RUN).await.is_err());
    assert!(uploader.google.conversions().is_empty());

    execute(&uploader.pool, "alter table public.gone rename to lead_emails").await;
    let expected = Summary { matched: 1, claimed: 1, accepted: 1, ..Summary::default() };
    assert_eq!(uploader.run().await, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_refused_request_pauses_the_platform_until_a_probe_is_accepted(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 30).await;
    uploader.refuse(Endpoint::Ingest, 403, None);
    let first = uploader.run().await;
    assert_eq!((first.accepted, first.rejected, &first.paused), (0, 0, &vec!["google_ads".to_owned()]));
    let calls = uploader.ingest_calls();
    assert!(calls <= 10, "as many as are on their way at once, not one for each: {calls}");

    assert_eq!(uploader.run_after(TimeDelta::minutes(9)).await, paused());
    assert_eq!(uploader.ingest_calls(), calls, "nothing is sent before the time of the probe");
    let probe = Summary { claimed: 1, postponed: 1, ..paused() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(1)).await, probe);
    assert_eq!(uploader.ingest_calls(), calls + 1);

    uploader.google.clear_faults();
    let all = Summary { claimed: 30, accepted: 30, ..Summary::default() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(10)).await, all);
    assert_eq!(uploader.value("sum(retry_count)").await, 0, "none of them was to blame");
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_an_access_token_nothing_is_claimed(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    let kind = FaultKind::OAuth { error: "invalid_grant".into(), description: String::new() };
    uploader.google.script(Fault::once(Endpoint::Token, kind)).unwrap();
    assert_eq!(uploader.run().await, paused());
    assert_eq!(uploader.value("sum(claims)").await, 0);
    let all = Summary { claimed: 3, accepted: 3, ..Summary::default() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(10)).await, all);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_failed_request_among_others_is_no_outage(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 5).await;
    uploader.google.script(Fault::once(Endpoint::Ingest, FaultKind::Drop {})).unwrap();
    let expected = Summary { claimed: 5, accepted: 4, postponed: 1, ..Summary::default() };
    assert_eq!(uploader.run().await, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn google_is_left_alone_for_as_long_as_it_asks(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 5).await;
    uploader.refuse(Endpoint::Ingest, 503, Some(3_600));
    assert_eq!(uploader.run().await.paused, ["google_ads"]);
    let calls = uploader.ingest_calls();
    uploader.google.clear_faults();
    assert_eq!(uploader.run_after(TimeDelta::minutes(59)).await, paused());
    assert_eq!(uploader.ingest_calls(), calls);
    let all = Summary { claimed: 5, accepted: 5, ..Summary::default() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(1)).await, all);
}

/// What Google says when a quota is used up, with this delay in the body.
fn used_up(delay: &str) -> FaultKind {
    let details = [
        json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}),
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}),
    ];
    let error = json!({"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details});
    FaultKind::Http { status: 429, retry_after: Some(60), reason: None, body: Some(json!({ "error": error })) }
}

#[sqlx::test(migrations = "../../migrations")]
async fn google_is_left_alone_for_as_long_as_it_asks_in_the_body(pool: PgPool) {
    for (delay, seconds) in [("40591s", 40_591), ("7200s", 7_200), ("86400s", 86_400), ("90.5s", 91), ("30s", 60)] {
        execute(&pool, "delete from public.leads; delete from public.platform_state").await;
        let uploader = Uploader::with_due(pool.clone(), 3).await;
        uploader.google.script(Fault::once(Endpoint::Ingest, used_up(delay)).times(u32::MAX)).unwrap();
        assert_eq!(uploader.run().await.paused, ["google_ads"]);
        let calls = uploader.ingest_calls();
        uploader.google.clear_faults();
        assert_eq!(uploader.run_after(TimeDelta::seconds(seconds - 1)).await, paused(), "{delay}");
        assert_eq!(uploader.ingest_calls(), calls, "{delay}");
        let all = uploader.run_after(TimeDelta::seconds(1)).await;
        assert_eq!((all.claimed, all.accepted, all.paused.len()), (3, 3, 0), "{delay}");
        assert_eq!(uploader.value("sum(retry_count)").await, 0, "{delay}: none of them was to blame");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receipt_that_google_no_longer_knows_pauses_nothing_and_is_unconfirmed_after_seven_days(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    assert_eq!(uploader.run().await.accepted, 3);
    let error = json!({"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"});
    let kind = FaultKind::Http { status: 404, retry_after: None, reason: None, body: Some(json!({ "error": error })) };
    // The first receipt of each run.
    uploader.google.script(Fault::once(Endpoint::Status, kind.clone())).unwrap();
    let run = uploader.run_after(TimeDelta::minutes(30)).await;
    assert_eq!((run.verdicts, run.paused.len()), (3, 0), "the others are asked about all the same");
    assert_eq!(uploader.value("count(confirmed_at)").await, 2);
    uploader.google.script(Fault::once(Endpoint::Status, kind).times(u32::MAX)).unwrap();
    for _ in 0..16 {
        assert_eq!(uploader.run_after(TimeDelta::hours(12)).await.paused, [""; 0]);
    }
    let left = "jsonb_agg(jsonb_build_array(status, last_error_code, retry_count, next_status_check_at))
        filter (where confirmed_at is null)";
    assert_eq!(uploader.value(left).await, json!([["uploaded", "NOT_FOUND", 0, null]]));
    assert_eq!(uploader.ingest_calls(), 3, "it is not sent again");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_accepted_is_confirmed_by_a_later_run_and_then_left_alone(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    assert_eq!(uploader.run().await.accepted, 3);
    assert_eq!(uploader.run_after(TimeDelta::minutes(29)).await, Summary::default());
    assert_eq!(uploader.google.requests().status, 0, "Google needs half an hour");

    let confirmation = Summary { verdicts: 3, ..Summary::default() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(1)).await, confirmation);
    assert_eq!(uploader.value("count(confirmed_at)").await, 3);
    assert_eq!(uploader.run_after(TimeDelta::days(1)).await, Summary::default());
    assert_eq!((uploader.google.requests().status, uploader.ingest_calls()), (3, 3));
}

#[sqlx::test(migrations = "../../migrations")]
async fn invalid_credentials_are_found_by_one_status_request(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 5).await;
    assert_eq!(uploader.run().await.accepted, 5);
    uploader.refuse(Endpoint::Status, 403, None);
    let expected = Summary { verdicts: 1, ..paused() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(30)).await, expected);
    assert_eq!(uploader.google.requests().status, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn after_a_late_refusal_the_rest_waits_for_the_verdict_on_the_probe(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    uploader.refuse_later(0..3);
    assert_eq!(uploader.run().await.accepted, 3);
    let refused = uploader.run_after(TimeDelta::minutes(30)).await;
    assert_eq!((refused.verdicts, &refused.paused), (3, &vec!["google_ads".to_owned()]));
    uploader.add_due(3..6).await;
    (0..3).for_each(|n| uploader.google.undecide(&format!("adtrail-{n}")));

    let probe = Summary { claimed: 1, accepted: 1, ..Summary::default() };
    assert_eq!(uploader.run_after(TimeDelta::minutes(10)).await, probe);
    assert_eq!(uploader.run_after(TimeDelta::minutes(15)).await, paused());
    assert_eq!(uploader.ingest_calls(), 4, "the three of the first run, and the probe");
    let rest = uploader.run_after(TimeDelta::minutes(15)).await;
    assert_eq!((rest.verdicts, rest.accepted, rest.paused.len()), (1, 5, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_run_without_time_starts_nothing(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    assert_eq!(handle(&uploader.app, uploader.app.clock.now()).await.unwrap(), Summary::default());
    assert_eq!((uploader.ingest_calls(), uploader.value("sum(claims)").await), (0, json!(0)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_is_started_in_the_last_45_seconds_of_a_run(pool: PgPool) {
    for (passed, is_over) in [(74, false), (75, true)] {
        execute(&pool, "delete from public.leads; delete from public.upload_attempts").await;
        let uploader = Uploader::with_due(pool.clone(), 30).await;
        let time_passes = async {
            uploader.google.wait_until(|events| !events.is_empty()).await;
            uploader.app.clock.advance(TimeDelta::seconds(passed));
        };
        let (summary, ()) = tokio::join!(uploader.run(), time_passes);
        // Requests that were in flight when the time was over are settled.
        assert_eq!(summary.accepted < 30, is_over, "after {passed} seconds: {summary:?}");
        assert_eq!(summary.accepted, uploader.google.conversions().len() as u64);
        assert_eq!(uploader.value("count(*) filter (where locked_until is not null)").await, 0);

        let rest = uploader.run().await;
        assert_eq!((rest.claimed, rest.accepted), (30 - summary.accepted, 30 - summary.accepted));
        assert!(uploader.google.events().iter().all(|event| event.received == 1), "none was sent twice");
        assert_eq!(uploader.value("sum(retry_count)").await, 0);
    }
}
