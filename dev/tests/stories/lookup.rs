//! HubSpot, Pipedrive and Close leave out whose deal it is: they are asked, later, and may be away for long.

use chrono::{DateTime, TimeDelta, Utc};
use dev::crm::{Crm, Failure, Kind};
use google_sandbox::GoogleAccount;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::crm::presets;
use shared::db::{Db, DbError};
use shared::inbox::listing::{self, Filter, ListedEntry, ListedState};
use shared::inbox::matching;
use sqlx::PgPool;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::stage::{Answer, Stage};

/// A day or two after what the samples tell.
const START: &str = "2026-11-22T12:00:00Z";
/// The longest pause between two questions about the same event.
const PAUSE: TimeDelta = TimeDelta::hours(6);

/// A CRM that is asked, and the deal in the sample of its source.
struct Asked {
    crm: Crm,
    name: &'static str,
    source: &'static str,
    deal: &'static str,
    /// How many events its sample has.
    events: usize,
    token: &'static str,
    /// When the deal was won, as its sample says.
    won_at: &'static str,
}

const ASKED: [Asked; 3] = [
    Asked {
        crm: Crm::Close,
        name: "Close",
        source: "close",
        deal: "oppo_7H4example00000000000000000000000000000000001",
        events: 1,
        token: "CLOSE_API_KEY",
        won_at: "2026-11-20T11:03:11.395Z",
    },
    Asked {
        crm: Crm::Hubspot,
        name: "HubSpot",
        source: "hubspot-app",
        deal: "17812345678",
        events: 2,
        token: "HUBSPOT_ACCESS_TOKEN",
        won_at: "2026-11-20T11:03:11Z",
    },
    Asked {
        crm: Crm::Pipedrive,
        name: "Pipedrive",
        source: "pipedrive",
        deal: "178",
        events: 1,
        token: "PIPEDRIVE_API_TOKEN",
        won_at: "2026-11-20T11:03:11Z",
    },
];
const EVENTS: usize = 4;

async fn begin(pool: &PgPool) -> Stage {
    let clock = Clock::fixed(START.parse().unwrap());
    Stage::with_clock(pool.clone(), GoogleAccount::dev(), clock, |_| {}).await
}

/// The same with CRMs at an address where nobody listens.
async fn without_crms(stage: &Stage) -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    Stage::with_clock(stage.pool.clone(), GoogleAccount::dev(), stage.clock.clone(), |values| {
        let sources = values["CRM_SOURCES"].expose_secret().to_owned();
        let here = values["GOOGLE_ADS_API_URL"].expose_secret();
        let moved = sources.replace(here, &nobody);
        assert_eq!(moved.matches(&nobody).count(), 3);
        values.insert("CRM_SOURCES".into(), SecretString::from(moved));
    })
    .await
}

impl Asked {
    async fn send_sample(&self, stage: &Stage) -> Answer {
        stage.webhook(self.source, presets::sample(self.source).unwrap().body.to_owned()).await
    }

    /// The nth address of its deal's person.
    fn email(&self, n: usize) -> String {
        format!("{}{n}@example.com", self.source)
    }

    /// Puts the deal's person into the CRM, with two addresses.
    fn add_person(&self, stage: &Stage) {
        let (one, two) = (self.email(1), self.email(2));
        let records = match self.crm {
            Crm::Close => {
                let id = "lead_zwqexample00000000000000000000000000000000001";
                vec![(
                    Kind::Lead,
                    json!({"id": id, "contacts": [
                        {"id": "cont_1", "emails": [{"type": "office", "email": one}]},
                        {"id": "cont_2", "emails": [{"type": "office", "email": two}]},
                    ]}),
                )]
            }
            Crm::Hubspot => vec![
                (
                    Kind::Deal,
                    json!({
                        "id": self.deal,
                        "properties": {"amount": "6000.50", "deal_currency_code": "EUR", "dealstage": "closedwon"},
                        "associations": {"contacts": {"results": [{"id": "201", "type": "deal_to_contact"}]}},
                    }),
                ),
                (Kind::Contact, json!({"id": "201", "properties": {"email": one, "hs_additional_emails": two}})),
            ],
            Crm::Pipedrive => vec![(
                Kind::Person,
                json!({"id": 179, "emails": [
                    {"label": "home", "value": two, "primary": false},
                    {"label": "work", "value": one, "primary": true},
                ]}),
            )],
        };
        for (kind, record) in records {
            stage.crm.put(kind, [record]).unwrap();
        }
    }

    /// What the answer to the sample says of each event.
    fn statuses<'a>(&self, answer: &'a Answer) -> Vec<&'a str> {
        let said = match answer.body.get("results") {
            Some(results) => results.as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect(),
            None => vec![answer.body["status"].as_str().unwrap()],
        };
        assert_eq!(said.len(), self.events, "{answer:?}");
        said
    }
}

/// Sends every sample; each is answered as received before any CRM was asked.
async fn receive_all(stage: &Stage) {
    for it in &ASKED {
        let before = stage.crm.requests(it.crm);
        let answer = it.send_sample(stage).await;
        // A body of several events has an answer for each.
        let expected = if it.events == 1 { StatusCode::ACCEPTED } else { StatusCode::OK };
        assert_eq!(answer.status, expected, "{answer:?}");
        assert_eq!(it.statuses(&answer), vec!["received"; it.events]);
        assert_eq!(stage.crm.requests(it.crm), before, "{} was asked before the answer", it.name);
    }
}

async fn add_lead(stage: &Stage, email: &str) -> Uuid {
    let answer = stage.post("/api/leads", &[], &json!({"email": email, "gclid": "One"})).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer.body["lead_id"].as_str().unwrap().parse().unwrap()
}

async fn tick_after(stage: &Stage, time: TimeDelta) -> Value {
    stage.clock.advance(time);
    stage.tick().await
}

fn fail(stage: &Stage, status: u16, retry_after: Option<u32>) {
    for it in &ASKED {
        stage.crm.fail(it.crm, Failure { status, times: u32::MAX, retry_after });
    }
}

fn recover(stage: &Stage) {
    for it in &ASKED {
        stage.crm.fail(it.crm, Failure { status: 500, times: 0, retry_after: None });
        it.add_person(stage);
    }
}

fn requests(stage: &Stage) -> [usize; 3] {
    ASKED.map(|it| stage.crm.requests(it.crm))
}

async fn json_rows(stage: &Stage, sql: &str) -> Vec<Value> {
    sqlx::query_scalar(sql).fetch_all(&stage.pool).await.unwrap()
}

/// All that is known of the three CRMs' webhooks, but what a try leaves behind.
async fn all_that_stays(stage: &Stage) -> Vec<Value> {
    json_rows(
        stage,
        "select to_jsonb(e) - '{fetch_failures,fetch_due_at,reason}'::text[]
            || jsonb_build_object('receipt', to_jsonb(r))
         from inbox_events e join inbox_receipts r on r.id = e.receipt_id
         where e.source <> 'crm-conversion' order by e.id",
    )
    .await
}

/// (source, failures, reason, seconds until the next try) of the events that wait.
async fn waiting(stage: &Stage) -> Vec<(String, i32, String, i64)> {
    let rows: Vec<(String, i32, String, DateTime<Utc>)> = sqlx::query_as(
        "select source, fetch_failures, coalesce(reason, ''), fetch_due_at from inbox_events
         where state = 'received' order by source",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    let now = stage.clock.now();
    rows.into_iter()
        .map(|(source, failures, reason, due)| (source, failures, reason, (due - now).num_seconds()))
        .collect()
}

/// What the operator's commands go through.
fn db(stage: &Stage) -> Db {
    Db::new((*stage.pool.connect_options()).clone(), 1)
}

async fn list(stage: &Stage, wanted: ListedState) -> Vec<ListedEntry> {
    let filter = Filter { states: vec![wanted], site: None, limit: 100 };
    db(stage).tx(async |tx| listing::newest(tx, &filter).await).await.unwrap()
}

/// Every deal of the three CRMs is matched, by this rule, and is a conversion with what its sample and its CRM say.
async fn assert_all_matched(stage: &Stage, matched_by: &str) {
    let sql = "select to_jsonb(c) || jsonb_build_object('source', i.source)
               from inbox i join conversions c on c.id = i.conversion_id
               where i.state = 'matched' and i.source <> 'crm-conversion' order by i.source";
    let conversions = json_rows(stage, sql).await;
    assert_eq!(conversions.len(), ASKED.len(), "{conversions:?}");
    for (it, conversion) in ASKED.iter().zip(conversions) {
        assert_eq!(conversion["source"], it.source);
        assert_eq!(conversion["crm_deal_id"], it.deal);
        assert_eq!(conversion["conversion_type"], "closed");
        assert_eq!((&conversion["value"], &conversion["currency"]), (&json!(6000.5), &json!("EUR")), "{conversion}");
        let at: DateTime<Utc> = conversion["occurred_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(at, it.won_at.parse::<DateTime<Utc>>().unwrap(), "{conversion}");
        assert_eq!(conversion["matched_by"], matched_by, "{conversion}");
    }
}

/// How the reason of a failure begins.
type Reason = fn(&Asked) -> String;

#[sqlx::test(migrations = "../migrations")]
async fn an_unavailable_crm_delays_a_match_and_loses_nothing(pool: PgPool) {
    let stage = begin(&pool).await;
    let nowhere = without_crms(&stage).await;
    for it in &ASKED {
        add_lead(&stage, &it.email(1)).await;
    }
    add_lead(&stage, "jane@example.com").await;
    receive_all(&stage).await;
    assert_eq!(requests(&stage), [0; 3]);
    assert_eq!(waiting(&stage).await.len(), EVENTS);
    assert_eq!(stage.health().await["inbox"]["received"], EVENTS);
    let before = all_that_stays(&stage).await;

    let failures: [(&Stage, u16, Option<u32>, Reason); 4] = [
        (&stage, 503, None, |it| format!("{} answered with 503", it.name)),
        (&stage, 429, Some(2_400), |it| format!("{} limits the rate of requests", it.name)),
        (&nowhere, 0, None, |it| format!("{} can't be reached", it.name)),
        (&stage, 401, None, |it| format!("{} rejects the token in {}", it.name, it.token)),
    ];
    for (n, (uploader, status, retry_after, reason)) in (1_i32..).zip(failures) {
        fail(&stage, status, retry_after);
        let asked = requests(&stage);
        // What is none of the CRM's business goes on.
        let report = json!({"crm_deal_id": format!("D-{n}"), "conversion_type": "closed", "email": "jane@example.com"});
        assert_eq!(stage.deal(&report).await.body["status"], "queued");
        let summary = tick_after(uploader, PAUSE).await;
        assert_eq!((&summary["accepted"], &summary["fetched"]), (&json!(1), &json!(0)), "{status}: {summary}");

        assert_eq!(all_that_stays(&stage).await, before, "{status}");
        let expected = ASKED.iter().flat_map(|it| std::iter::repeat_n(it, it.events));
        let waiting = waiting(&stage).await;
        assert_eq!(waiting.len(), EVENTS);
        for (it, (source, failures, said, seconds)) in expected.zip(waiting) {
            assert_eq!((source.as_str(), failures), (it.source, n));
            assert!(said.starts_with(&reason(it)), "{said}");
            let pause = if retry_after.is_some() { 2_400 } else { 900 << (n - 1) };
            assert_eq!(seconds, pause, "{source} after {status}");
        }
        assert_eq!(requests(&stage) == asked, status == 0, "{status}");
        let health = stage.health().await;
        assert_eq!(health["inbox"]["received"], EVENTS);
        assert_eq!(health["status"], if n > 2 { "degraded" } else { "healthy" }, "after {n} failures: {health}");

        // Nobody is asked before the pause is over.
        let asked = requests(&stage);
        tick_after(&stage, TimeDelta::minutes(14)).await;
        assert_eq!(requests(&stage), asked, "{status}");
    }

    recover(&stage);
    let summary = tick_after(&stage, PAUSE).await;
    assert_eq!((&summary["fetched"], &summary["accepted"]), (&json!(EVENTS), &json!(ASKED.len())), "{summary}");
    assert_all_matched(&stage, "email").await;
    assert_eq!(waiting(&stage).await, []);
    let health = stage.health().await;
    assert_eq!((&health["status"], &health["inbox"]["received"]), (&json!("healthy"), &json!(0)), "{health}");
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue where status = 'uploaded'").await, 4 + 3);
}

#[sqlx::test(migrations = "../migrations")]
async fn any_address_of_the_person_finds_the_lead(pool: PgPool) {
    let stage = begin(&pool).await;
    recover(&stage);
    for it in &ASKED {
        add_lead(&stage, &it.email(2)).await;
    }
    receive_all(&stage).await;
    tick_after(&stage, TimeDelta::zero()).await;
    assert_all_matched(&stage, "email").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_whose_person_is_gone_waits_for_the_operator(pool: PgPool) {
    let stage = begin(&pool).await;
    let lead = add_lead(&stage, "jane@example.com").await;
    receive_all(&stage).await;
    // The CRMs answer with 404: nothing was put into them.
    assert_eq!(tick_after(&stage, TimeDelta::zero()).await["fetched"], EVENTS);

    assert_eq!(waiting(&stage).await, []);
    let awaiting = list(&stage, ListedState::AwaitingLead).await;
    let deals: Vec<_> = awaiting.iter().map(|entry| entry.crm_deal_id.as_deref().unwrap()).collect();
    assert!(awaiting.len() == 3 && ASKED.iter().all(|it| deals.contains(&it.deal)), "{awaiting:?}");
    assert!(awaiting.iter().all(|entry| entry.reason.as_deref() == Some("it names no person")), "{awaiting:?}");
    // Whether the deal was won at that amount can't be known any more, and says so.
    let ignored = list(&stage, ListedState::Ignored).await;
    assert!(ignored.len() == 1 && ignored[0].source == "hubspot-app", "{ignored:?}");

    let db = db(&stage);
    for entry in &awaiting {
        let attached =
            db.tx(async |tx| Ok::<_, DbError>(matching::attach(tx, entry.id, lead, stage.clock.now()).await?));
        assert!(attached.await.unwrap());
    }
    let summary = tick_after(&stage, TimeDelta::zero()).await;
    assert_eq!((&summary["matched"], &summary["accepted"]), (&json!(3), &json!(3)), "{summary}");
    let found = "select count(*) from conversions where lead_id is not null and matched_by = 'manual'";
    assert_eq!(stage.value::<i64>(found).await, 3);
    // What the webhook itself said of its worth is kept; HubSpot's said nothing.
    let worth = json_rows(&stage, "select jsonb_build_array(crm_deal_id, value) from conversions").await;
    for it in &ASKED {
        let value = if it.crm == Crm::Hubspot { None } else { Some(6000.5) };
        assert!(worth.contains(&json!([it.deal, value])), "{worth:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_that_is_sent_again_is_not_asked_about_again(pool: PgPool) {
    let stage = begin(&pool).await;
    for it in &ASKED {
        add_lead(&stage, &it.email(1)).await;
    }
    recover(&stage);
    // Once more before the CRM was asked, and once more after.
    receive_all(&stage).await;
    receive_all(&stage).await;
    assert_eq!(tick_after(&stage, TimeDelta::zero()).await["fetched"], EVENTS);
    let asked = requests(&stage);
    // HubSpot is asked for the deal and for its contacts.
    assert_eq!(asked, [1, 4, 1]);
    stage.clock.advance(TimeDelta::hours(1));
    for it in &ASKED {
        let answer = it.send_sample(&stage).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(it.statuses(&answer), vec!["duplicate"; it.events]);
    }
    let summary = tick_after(&stage, PAUSE).await;
    assert_eq!((&summary["fetched"], &summary["accepted"]), (&json!(0), &json!(0)), "{summary}");
    assert_eq!(requests(&stage), asked);
    assert_all_matched(&stage, "email").await;
    assert_eq!(stage.value::<i64>("select count(*) from inbox_events where deliveries = 3").await, 4);
    assert_eq!(stage.value::<i64>("select count(*) from inbox_receipts where deliveries = 3").await, 3);
    assert_eq!(stage.value::<i64>("select count(*) from conversion_queue").await, 3);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_expires_visibly_if_its_crm_is_unavailable_for_ninety_days(pool: PgPool) {
    let stage = begin(&pool).await;
    receive_all(&stage).await;
    fail(&stage, 503, None);
    let mut summary = tick_after(&stage, TimeDelta::zero()).await;
    for _ in 0..9 {
        assert_eq!((&summary["expired"], &stage.health().await["inbox"]["received"]), (&json!(0), &json!(EVENTS)));
        summary = tick_after(&stage, TimeDelta::days(10)).await;
    }
    assert_eq!(summary["expired"], 0, "not before ninety days are over");
    summary = tick_after(&stage, TimeDelta::minutes(1)).await;
    assert_eq!(summary["expired"], EVENTS);

    let health = stage.health().await;
    assert_eq!((&health["inbox"]["expired"], &health["inbox"]["received"]), (&json!(EVENTS), &json!(0)));
    let expired = list(&stage, ListedState::Expired).await;
    assert_eq!(expired.len(), EVENTS);
    assert!(expired.iter().all(|it| it.reason.as_ref().unwrap().contains("answered with 503")), "{expired:?}");
    let asked = requests(&stage);
    tick_after(&stage, PAUSE).await;
    assert_eq!(requests(&stage), asked, "nobody asks any more");
    assert_eq!(stage.value::<i64>("select count(*) from inbox_receipts where body is not null").await, 3);

    // Nothing is lost: the CRM is back, sends again, and everything is found.
    for it in &ASKED {
        add_lead(&stage, &it.email(1)).await;
    }
    recover(&stage);
    receive_all(&stage).await;
    assert_eq!(tick_after(&stage, TimeDelta::zero()).await["fetched"], EVENTS);
    assert_all_matched(&stage, "email").await;
    assert_eq!(stage.health().await["inbox"]["expired"], 0);
}

/// A CRM that has enough is not asked again, however many events wait for it; the others' don't wait with them.
#[sqlx::test(migrations = "../migrations")]
async fn one_unavailable_crm_delays_neither_itself_nor_the_others(pool: PgPool) {
    let stage = begin(&pool).await;
    for nth in 0..60 {
        let event = json!({
            "meta": {"action": "change", "entity": "deal", "id": format!("e-{nth}"), "timestamp": "2026-11-20T11:03:12Z"},
            "data": {"id": nth, "status": "won", "won_time": "2026-11-20T11:03:11Z", "person_id": 179},
        });
        assert_eq!(stage.webhook("pipedrive", event.to_string()).await.status, StatusCode::ACCEPTED);
    }
    let [close, _, pipedrive] = &ASKED;
    close.send_sample(&stage).await;
    close.add_person(&stage);
    pipedrive.add_person(&stage);
    stage.crm.fail(Crm::Pipedrive, Failure { status: 429, times: 1_000, retry_after: Some(2_400) });

    let first = stage.tick().await;
    assert_eq!(first["fetched"], 1, "Close's, which came last");
    let asked = stage.crm.requests(Crm::Pipedrive);
    assert!((1..=5).contains(&asked), "{asked} requests");
    stage.clock.advance(TimeDelta::seconds(2_399));
    stage.tick().await;
    assert_eq!(stage.crm.requests(Crm::Pipedrive), asked, "it asked for 2,400 seconds");

    stage.crm.fail(Crm::Pipedrive, Failure { status: 429, times: 0, retry_after: None });
    stage.clock.advance(TimeDelta::seconds(1));
    assert_eq!(stage.tick().await["fetched"], 60);
    assert_eq!(stage.value::<i64>("select count(*) from inbox where source = 'pipedrive'").await, 60);
}
