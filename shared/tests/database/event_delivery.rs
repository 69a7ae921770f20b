use std::collections::BTreeMap;
use std::sync::Mutex;

use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use shared::App;
use shared::analytics::{EventLane, EventOutcome, EventRoute, EventToSend, EventVerdict};
use shared::event_delivery::{EventDelivery, EventSummary};
use shared::platforms::{Allowance, Exchange, Limits, Reason};
use sqlx::PgPool;
use testing::{app, execute, row, rows, start};

/// How this Google Analytics behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Accepts,
    Records,
    /// 503: nothing arrives.
    IsAway,
    /// It takes the event and gives no answer.
    LosesAnswers,
    Rejects,
    RefusesAll,
    /// The access token can't be had.
    NotReady,
}

/// Google Analytics, and what it was sent.
struct Google {
    mood: Mutex<Mood>,
    /// How often each event arrived.
    arrived: Mutex<BTreeMap<String, u32>>,
    requests: Mutex<u32>,
    verdict: Mutex<EventVerdict>,
    limits: Option<Limits>,
}

struct Lane(EventRoute, &'static Google);

fn reason(code: &str) -> Reason {
    Reason::new(code, "What to do.")
}

impl EventLane for Lane {
    fn route(&self) -> &EventRoute {
        &self.0
    }

    fn limits(&self) -> Option<Limits> {
        self.1.limits
    }

    fn claim_size(&self, _: usize) -> usize {
        25
    }

    fn can_verify(&self) -> bool {
        true
    }

    fn oldest(&self) -> TimeDelta {
        TimeDelta::hours(72)
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), EventOutcome>> {
        let is_ready = *self.1.mood.lock().unwrap() != Mood::NotReady;
        async move { if is_ready { Ok(()) } else { Err(EventOutcome::Paused(reason("invalid_grant"))) } }.boxed()
    }

    fn send<'a>(
        &'a self,
        events: &'a [EventToSend],
        _: &'a Allowance,
    ) -> BoxFuture<'a, (Vec<EventOutcome>, Vec<Exchange>)> {
        let (google, mood) = (self.1, *self.1.mood.lock().unwrap());
        *google.requests.lock().unwrap() += 1;
        if matches!(mood, Mood::Accepts | Mood::Records | Mood::LosesAnswers) {
            let mut arrived = google.arrived.lock().unwrap();
            for event in events {
                *arrived.entry(event.event_id.clone()).or_default() += 1;
            }
        }
        let nth = *google.requests.lock().unwrap();
        let outcome = move |_: &EventToSend| match mood {
            Mood::Accepts => EventOutcome::Accepted { request_id: format!("request-{nth}") },
            Mood::Records => EventOutcome::Recorded,
            Mood::IsAway => EventOutcome::Unavailable(reason("503"), None),
            Mood::LosesAnswers => EventOutcome::Unverifiable(reason("no_answer")),
            Mood::Rejects => EventOutcome::Rejected(reason("INVALID")),
            Mood::RefusesAll | Mood::NotReady => EventOutcome::Paused(reason("PERMISSION_DENIED")),
        };
        let outcomes = events.iter().map(outcome).collect();
        async move { (outcomes, Vec::new()) }.boxed()
    }

    fn verdict<'a>(
        &'a self,
        _: &'a str,
        events: usize,
        _: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<EventVerdict>, Exchange)>> {
        let verdict = self.1.verdict.lock().unwrap().clone();
        async move { Some((vec![verdict; events], Exchange::default())) }.boxed()
    }
}

/// The worker, with one lane to this Google Analytics.
struct Outbox {
    app: App<EventDelivery>,
    google: &'static Google,
    pool: PgPool,
}

impl Outbox {
    fn new(pool: PgPool, mood: Mood) -> Self {
        Self::with_limits(pool, mood, None)
    }

    fn with_limits(pool: PgPool, mood: Mood, limits: Option<Limits>) -> Self {
        let google = Box::leak(Box::new(Google {
            mood: Mutex::new(mood),
            arrived: Mutex::default(),
            requests: Mutex::default(),
            verdict: Mutex::new(EventVerdict::Confirmed),
            limits,
        }));
        let mut app: App<EventDelivery> = app(&pool);
        let route = EventRoute { destination: "ga4".into(), transport: "data_manager", quota: String::new() };
        app.config.lanes = vec![Box::new(Lane(route, google))];
        Self { app, google, pool }
    }

    fn is(&self, mood: Mood) {
        *self.google.mood.lock().unwrap() = mood;
    }

    /// So many events that wait to be sent, which happened just now.
    async fn add(&self, ids: std::ops::Range<u32>, name: &str, params: &Value) {
        for id in ids {
            let at = self.app.clock.now();
            let event = format!(
                "with event as (
                    insert into public.tracking_events (event_id, event_name, params, created_at, ga_client_id)
                    values ('event-{id}', '{name}', '{params}', '{at}', '1.{id}')
                    returning id, created_at
                )
                insert into public.event_queue (event, destination, created_at)
                select id, 'ga4', created_at from event"
            );
            execute(&self.pool, &event).await;
        }
    }

    /// What every run of the schedule does.
    async fn run(&self) -> EventSummary {
        let App { config, db, clock } = &self.app;
        let mut summary = EventSummary::default();
        config.tidy(db, clock, &mut summary).await.unwrap();
        let end = clock.now() + TimeDelta::minutes(1);
        let allowance = Allowance::new(clock.clone(), end, None, (0, 0));
        for work in config.work(db, clock).await.unwrap().values() {
            let lane = config.lanes[0].as_ref();
            config.drain((db, clock), lane, work, (&allowance, end), &mut summary).await.unwrap();
        }
        summary
    }

    async fn after_response(&self) {
        self.app.config.after_response(&self.app.db, &self.app.clock).await;
    }

    /// How many rows have each status.
    async fn statuses(&self) -> Value {
        let counted = "select coalesce(jsonb_object_agg(status, count), '{}') as all
                       from (select status, count(*) from public.event_queue group by status) s";
        row(&self.pool, counted).await["all"].clone()
    }

    fn arrived(&self) -> (usize, u32) {
        let arrived = self.google.arrived.lock().unwrap();
        (arrived.len(), arrived.values().copied().max().unwrap_or_default())
    }

    fn requests(&self) -> u32 {
        *self.google.requests.lock().unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn after_a_response_its_event_is_sent_at_once(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::Accepts);
    outbox.add(0..3, "sign_up", &json!({})).await;
    outbox.after_response().await;
    assert_eq!((outbox.arrived(), outbox.requests()), ((3, 1), 1));
    assert_eq!(outbox.statuses().await, json!({"sent": 3}));
    outbox.after_response().await;
    assert_eq!(outbox.requests(), 1, "nothing is left to send");
}

#[sqlx::test(migrations = "../migrations")]
async fn three_days_without_google_lose_no_event_and_send_none_twice(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::IsAway);
    // Until just before the oldest of them couldn't be told any more.
    let (hours, mut events, mut attempts) = (71, 0, Vec::new());
    for hour in 0..hours {
        for _ in 0..4 {
            outbox.add(events..events + 2, "sign_up", &json!({"hour": hour})).await;
            events += 2;
            let before = outbox.requests();
            outbox.after_response().await;
            attempts.push(outbox.requests() - before);
            outbox.run().await;
            outbox.app.clock.advance(TimeDelta::minutes(15));
        }
    }
    assert_eq!(outbox.statuses().await, json!({"pending": events}));
    let paused = row(&outbox.pool, "select reason from public.platform_state where platform = 'events:ga4'").await;
    assert_eq!(paused["reason"], "503: What to do.");
    assert!(attempts.iter().all(|requests| *requests <= 1), "one event at a time finds out: {attempts:?}");

    outbox.is(Mood::Records);
    outbox.app.clock.advance(TimeDelta::minutes(15));
    let summary = outbox.run().await;
    assert_eq!((summary.sent, summary.paused), (u64::from(events), Vec::<String>::new()));
    assert_eq!(outbox.arrived(), (events as usize, 1));
    assert_eq!(outbox.statuses().await, json!({"sent": events}));
}

#[sqlx::test(migrations = "../migrations")]
async fn events_that_wait_for_too_long_expire_and_say_why(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::IsAway);
    outbox.add(0..2, "sign_up", &json!({})).await;
    outbox.run().await;
    outbox.app.clock.advance(TimeDelta::hours(72) + TimeDelta::minutes(1));
    outbox.is(Mood::Accepts);
    outbox.add(2..3, "sign_up", &json!({})).await;
    assert_eq!(outbox.run().await.expired, 2);
    assert_eq!((outbox.statuses().await, outbox.arrived()), (json!({"expired": 2, "sent": 1}), (1, 1)));
    let reasons = rows(&outbox.pool, "select distinct last_error_code from public.event_queue order by 1").await;
    assert_eq!(reasons[0]["last_error_code"], "503");
}

/// What a killed function leaves: the lease, and nothing else.
async fn end_lease(outbox: &Outbox) {
    let ended = "update public.event_queue set locked_until = now() - interval '1 s' where lock_token is not null";
    execute(&outbox.pool, ended).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_whose_sender_was_killed_is_never_sent_again_and_a_purchase_is(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::Records);
    outbox.add(0..3, "sign_up", &json!({"transaction_id": "t1"})).await;
    outbox.add(3..4, "purchase", &json!({"transaction_id": "t1"})).await;
    let App { db, clock, .. } = &outbox.app;
    let of = shared::event_queue::Claiming {
        lane: "ga4",
        stream: "G-ABC",
        since: start(),
        unknown_consent: shared::consent::UnknownConsent::Send,
        limit: 10,
    };
    // Killed between its claim and the outcome.
    let now = clock.now();
    let claim: Result<_, shared::db::DbError> = db.tx(async |tx| shared::event_queue::claim(tx, of, now).await).await;
    let claim = claim.unwrap();
    assert_eq!(claim.events.len(), 4);

    outbox.run().await;
    assert_eq!(outbox.arrived(), (0, 0), "while the lease holds nobody else sends them");
    end_lease(&outbox).await;
    let summary = outbox.run().await;
    assert_eq!((summary.unverifiable, summary.sent), (3, 1));
    assert_eq!(outbox.statuses().await, json!({"unverifiable": 3, "sent": 1}));
    assert_eq!(*outbox.google.arrived.lock().unwrap(), [("event-3".to_owned(), 1)].into());

    // It wasn't dead but frozen: what it has to say comes too late.
    let outcomes = vec![EventOutcome::Rejected(reason("late")); 4];
    let now = clock.now();
    let written: Result<_, shared::db::DbError> =
        db.tx(async |tx| shared::event_queue::settle(tx, &claim, &outcomes, now).await).await;
    assert_eq!(written.unwrap(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_answer_makes_an_event_unverifiable_once_and_pauses_the_lane(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::LosesAnswers);
    outbox.add(0..1, "sign_up", &json!({})).await;
    outbox.after_response().await;
    outbox.add(1..3, "sign_up", &json!({})).await;
    outbox.after_response().await;
    outbox.run().await;
    assert_eq!((outbox.statuses().await, outbox.requests()), (json!({"unverifiable": 1, "pending": 2}), 1));

    // Each try costs an event, so tries get rare: in three days there are fewer than a hundred.
    outbox.add(3..300, "sign_up", &json!({})).await;
    for _ in 0..70 * 4 {
        outbox.app.clock.advance(TimeDelta::minutes(15));
        outbox.after_response().await;
        outbox.run().await;
    }
    assert!(outbox.requests() < 100, "{} tries", outbox.requests());
    assert_eq!(outbox.arrived().1, 1);
    outbox.is(Mood::Records);
    outbox.app.clock.advance(TimeDelta::hours(1));
    outbox.run().await;
    assert_eq!(outbox.arrived(), (300, 1));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_setting_pauses_the_lane_until_a_probe_is_accepted(pool: PgPool) {
    for mood in [Mood::RefusesAll, Mood::NotReady] {
        execute(&pool, "delete from public.tracking_events; delete from public.platform_state").await;
        let outbox = Outbox::new(pool.clone(), mood);
        outbox.add(0..30, "sign_up", &json!({})).await;
        assert_eq!(outbox.run().await.paused, ["ga4"], "{mood:?}");
        let requests = outbox.requests();
        outbox.after_response().await;
        outbox.run().await;
        assert_eq!(outbox.requests(), requests, "{mood:?}: nothing is tried while it is paused");
        assert_eq!(outbox.statuses().await, json!({"pending": 30}), "{mood:?}");

        outbox.is(Mood::Accepts);
        outbox.app.clock.advance(TimeDelta::minutes(10));
        assert_eq!(outbox.run().await.sent, 30, "{mood:?}");
        assert_eq!(outbox.requests(), requests + 3, "{mood:?}: one alone, then 25 and 4");
        let state = row(&outbox.pool, "select state from public.platform_state").await;
        assert_eq!(state["state"], "active", "{mood:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn of_many_workers_one_probes(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::IsAway);
    outbox.add(0..9, "sign_up", &json!({})).await;
    outbox.run().await;
    outbox.app.clock.advance(TimeDelta::minutes(10));
    let before = outbox.requests();
    let after = || outbox.after_response();
    tokio::join!(after(), after(), after(), after());
    assert_eq!(outbox.requests(), before + 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refused_event_is_not_sent_again_and_stops_no_other(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::Rejects);
    outbox.add(0..1, "sign_up", &json!({})).await;
    outbox.run().await;
    outbox.is(Mood::Accepts);
    outbox.add(1..2, "sign_up", &json!({})).await;
    outbox.run().await;
    assert_eq!(outbox.statuses().await, json!({"rejected": 1, "sent": 1}));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_accepted_is_confirmed_or_refused_later(pool: PgPool) {
    for (verdict, status, code) in [
        (EventVerdict::Confirmed, "confirmed", Value::Null),
        (EventVerdict::Refused(reason("INVALID_CLIENT_ID")), "rejected", json!("INVALID_CLIENT_ID")),
        (EventVerdict::Unknowable(reason("SOME")), "unverifiable", json!("SOME")),
    ] {
        execute(&pool, "delete from public.tracking_events").await;
        let outbox = Outbox::new(pool.clone(), Mood::Accepts);
        outbox.add(0..30, "sign_up", &json!({})).await;
        *outbox.google.verdict.lock().unwrap() = EventVerdict::Processing;
        assert_eq!((outbox.run().await.verdicts, outbox.statuses().await), (0, json!({"sent": 30})));
        outbox.app.clock.advance(TimeDelta::minutes(31));
        assert_eq!((outbox.run().await.verdicts, outbox.statuses().await), (2, json!({"sent": 30})));
        *outbox.google.verdict.lock().unwrap() = verdict;
        outbox.app.clock.advance(TimeDelta::minutes(61));
        assert_eq!((outbox.run().await.verdicts, outbox.statuses().await), (2, json!({status: 30})));
        let one = row(&pool, "select last_error_code from public.event_queue limit 1").await;
        assert_eq!(one["last_error_code"], code);
        outbox.app.clock.advance(TimeDelta::days(1));
        assert_eq!(outbox.run().await.verdicts, 0);
        assert_eq!(outbox.arrived(), (30, 1));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn responses_leave_most_of_a_quota_to_conversions(pool: PgPool) {
    let limits = Some(Limits { per_minute: 280, per_day: 99_000 });
    let outbox = Outbox::with_limits(pool, Mood::Accepts, limits);
    for id in 0..40 {
        outbox.add(id..id + 1, "sign_up", &json!({})).await;
        outbox.after_response().await;
    }
    assert_eq!(outbox.requests(), 17, "a quarter of a day's requests, evenly");
    outbox.app.clock.advance(TimeDelta::seconds(61));
    outbox.after_response().await;
    assert_eq!((outbox.requests(), outbox.arrived()), (18, (40, 1)), "the rest goes together");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_names_a_browser_is_forgotten_with_the_sent_event(pool: PgPool) {
    let outbox = Outbox::new(pool, Mood::Records);
    outbox.add(0..2, "sign_up", &json!({})).await;
    outbox.run().await;
    assert_eq!(start(), outbox.app.clock.now());
    outbox.app.clock.advance(TimeDelta::days(14) + TimeDelta::minutes(1));
    outbox.run().await;
    assert_eq!(outbox.statuses().await, json!({}));
    let kept = rows(&outbox.pool, "select ga_client_id from public.tracking_events").await;
    assert_eq!(kept, [json!({"ga_client_id": null}), json!({"ga_client_id": null})]);
}
