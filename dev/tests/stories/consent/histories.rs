//! Random histories of people: each has three leads, two browsers, a CRM and an operator who say yes and no about them,
//! while the uploader runs, is killed, and Google is unavailable. A model of a few lines says who may be uploaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use google_sandbox::{Endpoint, Fault, FaultKind, GoogleAccount};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::consent::{Consent, ConsentSource, ConsentStatus};
use shared::deals::transaction_id;
use shared::leads;
use sqlx::PgPool;
use testing::{Chance, scaled, start};
use upload_conversions::Summary;
use uuid::Uuid;

use super::model::{BROWSER, Person, Step};
use crate::stage::{Stage, all};

/// People whose histories take place at once.
const AT_ONCE: usize = 200;
const ROUNDS: usize = 12;
/// A person as the endpoints know them.
#[derive(Clone)]
struct Caller {
    stage: Arc<Stage>,
    name: String,
    browsers: [String; 2],
}

impl Caller {
    fn new(stage: &Arc<Stage>, name: String) -> Self {
        let cookie = || format!("adtrail_visitor={}", Uuid::new_v4());
        Self { stage: Arc::clone(stage), name, browsers: [cookie(), cookie()] }
    }

    async fn post(&self, path: &str, browser: Option<usize>, gpc: bool, body: &Value) -> Value {
        let mut headers: Vec<_> = browser.map(|it| ("cookie", self.browsers[it].as_str())).into_iter().collect();
        if gpc {
            headers.push(("sec-gpc", "1"));
        }
        let answer = self.stage.post(path, &headers, body).await;
        assert!(answer.status.is_success(), "{path} with {body}: {answer:?}");
        answer.body
    }

    /// Carries out a step, and answers the id of a new lead.
    async fn takes(&self, step: Step, round: usize, leads: [Option<Uuid>; 3]) -> Option<Uuid> {
        let page = json!({"url": "https://www.example.com/"});
        match step {
            Step::Visit(it, consent) => {
                let visit = json!({"url": page["url"], "consent": consent});
                self.post("/api/track/visit", Some(it), false, &visit).await;
            }
            Step::PrivateVisit(it) => drop(self.post("/api/track/visit", Some(it), true, &page).await),
            Step::Banner(it, consent) if consent.is_known() => {
                drop(self.post("/api/consent", Some(it), false, &json!(consent)).await);
            }
            Step::Banner(..) => {}
            Step::Form(lead, consent) => match leads[lead] {
                None => return Some(self.submits(lead, consent).await),
                Some(id) => self.changes(id, consent).await,
            },
            Step::Deal(consent) => {
                let report = json!({
                    "crm_deal_id": self.name, "conversion_type": "closed", "email": self.email(0),
                    "phone": self.phone(), "value": 100, "currency": "EUR", "occurred_at": start(),
                    "ad_user_data": consent.ad_user_data, "ad_personalization": consent.ad_personalization,
                    "round": round,
                });
                let answer = self.stage.deal(&report).await;
                assert!(answer.status.is_success(), "{answer:?}");
            }
            Step::Operator(lead, consent) => {
                if let Some(id) = leads[lead] {
                    self.records(id, consent).await;
                }
            }
        }
        None
    }

    async fn submits(&self, lead: usize, consent: Consent) -> Uuid {
        let mut form = json!({"email": self.email(lead), "gclid": format!("Click-{lead}"), "consent": consent});
        if lead == 2 {
            form["phone"] = json!(self.phone());
        }
        let stored = self.post("/api/leads", BROWSER[lead], false, &form).await;
        stored["lead_id"].as_str().unwrap().parse().unwrap()
    }

    /// The site's own code changes the lead's row.
    async fn changes(&self, id: Uuid, consent: Consent) {
        let update = "update leads set ad_user_data = $2, ad_personalization = $3, consent_recorded_at = $4
                      where id = $1";
        let update = sqlx::query(update).bind(id).bind(consent.ad_user_data).bind(consent.ad_personalization);
        update.bind(self.stage.clock.now()).execute(&self.stage.pool).await.unwrap();
    }

    async fn records(&self, id: Uuid, consent: Consent) {
        let (app, now) = (&self.stage.functions.create_lead, self.stage.clock.now());
        let stated: Result<_, shared::db::DbError> =
            app.db.tx(async |tx| leads::state_consent(tx, id, consent, ConsentSource::Operator, now).await).await;
        assert_eq!(stated.unwrap(), consent.is_known());
    }

    /// Two leads have the deal's address.
    fn email(&self, lead: usize) -> String {
        format!("{}{}@example.com", self.name.to_lowercase(), if lead == 2 { "-other" } else { "" })
    }

    fn phone(&self) -> String {
        format!("+49301{}", &self.name[1..])
    }
}

/// What happens to a run of the uploader.
#[derive(Clone, Copy)]
enum Run {
    Well,
    /// Google answers with 503.
    Outage,
    /// Google accepts, and its answer is lost.
    RepliesLost,
    /// The uploader is killed while Google has a request.
    Killed,
}

/// What Google received of each deal.
fn received(stage: &Stage) -> BTreeMap<String, (u32, Value)> {
    let events = stage.google.events();
    let of = |event: google_sandbox::ReceivedEvent| {
        let id = event.event["transactionId"].as_str().unwrap().to_owned();
        (id, (event.received, event.event["consent"].clone()))
    };
    events.into_iter().map(of).collect()
}

async fn run(stage: &Arc<Stage>) -> Summary {
    let deadline = stage.clock.now() + TimeDelta::seconds(120);
    upload_conversions::handle(&stage.functions.upload_conversions, deadline).await.unwrap()
}

async fn run_as(stage: &Arc<Stage>, kind: Run, chance: &mut Chance) {
    let unavailable = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
    let fault = match kind {
        Run::Well => None,
        Run::Outage => Some(Fault::once(Endpoint::Ingest, unavailable).times(u32::MAX)),
        Run::RepliesLost => Some(Fault::once(Endpoint::Ingest, FaultKind::ReplyLost {}).times(3)),
        Run::Killed => Some(Fault::once(Endpoint::Ingest, FaultKind::NoReply {}).times(u32::MAX)),
    };
    let after = u32::try_from(chance.below(3)).unwrap();
    if let Some(fault) = fault {
        stage.google.script(fault.after(after)).unwrap();
    }
    let count = |events: &[google_sandbox::ReceivedEvent]| events.iter().map(|it| it.received).sum::<u32>();
    let before = count(&stage.google.events());
    let of_run = Arc::clone(stage);
    let mut running = tokio::spawn(async move { run(&of_run).await });
    if let Run::Killed = kind {
        tokio::select! {
            ended = &mut running => drop(ended.unwrap()),
            () = stage.google.wait_until(|events| count(events) > before + after) => {
                running.abort();
                assert!(running.await.is_err_and(|error| error.is_cancelled()));
            }
        }
    } else {
        running.await.unwrap();
    }
    stage.google.clear_faults();
    // Ten minutes later: leases and delays have ended, and statements are old enough to be done with.
    stage.clock.advance(TimeDelta::minutes(10));
    for sql in [
        "update conversion_queue set locked_until = now() where locked_until > now()",
        "update conversion_queue set next_retry_at = null where next_retry_at is not null",
        "update consent_statements set recorded_at = recorded_at - interval '10 minutes' where applied_at is null",
    ] {
        sqlx::query(sql).execute(&stage.pool).await.unwrap();
    }
}

#[derive(Default)]
struct Counts {
    uploads: usize,
    held: usize,
    withdrawn: usize,
    kills: usize,
}

/// No more at once than the server has connections: a busy machine must not make it refuse any.
async fn in_turns<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let (mut tasks, mut done) = (tasks.into_iter().peekable(), Vec::new());
    while tasks.peek().is_some() {
        done.extend(all(tasks.by_ref().take(8)).await);
    }
    done
}

/// Plays the histories of as many people, and compares every upload with the model.
async fn play(pool: &PgPool, chance: &mut Chance, counts: &mut Counts) {
    let hold = |values: &mut shared::settings::Values| drop(values.insert("CONSENT_UNKNOWN".into(), "hold".into()));
    let stage = Stage::with_clock(pool.clone(), GoogleAccount::dev(), Clock::fixed(start()), hold).await;
    let stage = Arc::new(stage);
    sqlx::query("truncate leads, visitors, consent_statements, inbox, platform_state cascade")
        .execute(pool)
        .await
        .unwrap();
    let callers: Vec<_> = (0..AT_ONCE).map(|nth| Caller::new(&stage, format!("D{nth:06}"))).collect();
    // Only ids that a visit has minted are accepted.
    let browsers = callers.iter().flat_map(|it| &it.browsers);
    let ids: Vec<_> = browsers.map(|cookie| cookie.trim_start_matches("adtrail_visitor=").to_owned()).collect();
    let known = sqlx::query("insert into visitors (visitor_id) select unnest($1::text[])").bind(&ids);
    known.execute(pool).await.unwrap();
    let mut people = vec![Person::default(); AT_ONCE];
    // Browsers have visited, so that their forms and banners belong to a visitor.
    for browser in [0, 1] {
        let nothing = Step::Visit(browser, Consent::default());
        let callers = callers.clone();
        in_turns(callers.into_iter().map(|it| async move { it.takes(nothing, 0, [None; 3]).await })).await;
    }
    for round in 0..ROUNDS {
        // What happens during a run may have its end's time; nothing else has the same.
        stage.clock.advance(TimeDelta::seconds(1));
        let kind = chance.pick(&[Run::Well, Run::Well, Run::Outage, Run::RepliesLost, Run::Killed]);
        counts.kills += usize::from(matches!(kind, Run::Killed));
        // Sometimes people say something while the uploader runs.
        let is_meanwhile = chance.happens(30);
        let steps: Vec<_> = people.iter().map(|_| chance.happens(70).then(|| Step::random(chance))).collect();
        let before = (people.clone(), received(&stage));
        let taken = callers.iter().cloned().zip(&steps).zip(&people).map(|((caller, step), person)| {
            let (step, leads) = (*step, person.leads);
            async move { caller.takes(step?, round, leads).await }
        });
        let taken = in_turns(taken.collect::<Vec<_>>());
        let new_leads = if is_meanwhile {
            tokio::join!(taken, run_as(&stage, kind, chance)).0
        } else {
            let new_leads = taken.await;
            run_as(&stage, kind, chance).await;
            new_leads
        };
        for ((person, step), lead_id) in people.iter_mut().zip(&steps).zip(new_leads) {
            if let Some(step) = step {
                step.apply(person, lead_id);
            }
        }
        let after = received(&stage);
        for (nth, person) in people.iter().enumerate() {
            let id = transaction_id(&format!("{}:closed", callers[nth].name));
            let (Some((times, said)), times_before) = (after.get(&id), before.1.get(&id).map_or(0, |it| it.0)) else {
                continue;
            };
            if *times == times_before {
                continue;
            }
            counts.uploads += 1;
            let was = before.0[nth].consent();
            let may_be = |it: Consent| it.ad_user_data == ConsentStatus::Granted;
            let allowed = may_be(person.consent()) || (is_meanwhile && may_be(was));
            assert!(allowed, "round {round}: {} was uploaded: {person:?}", callers[nth].name);
            // Google keeps what was said first.
            if times_before == 0 && !is_meanwhile {
                assert_eq!(*said, as_google_says(person.consent()), "round {round}: {person:?}");
            }
        }
    }
    // In the end Google is available.
    for _ in 0..3 {
        run_as(&stage, Run::Well, chance).await;
    }
    let told = received(&stage);
    // The functions of a stage keep their connections, and the server has only so many.
    let others = "select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(others).execute(pool).await.unwrap();
    for (caller, person) in callers.iter().zip(&people) {
        let was_told = told.contains_key(&transaction_id(&format!("{}:closed", caller.name)));
        let has_lead = person.leads.iter().any(Option::is_some);
        if person.has_deal && has_lead && person.consent().ad_user_data == ConsentStatus::Granted {
            assert!(was_told, "{} is held: {person:?}", caller.name);
        } else {
            counts.held += usize::from(!was_told && person.has_deal && has_lead);
            counts.withdrawn += usize::from(was_told);
        }
    }
}

fn as_google_says(consent: Consent) -> Value {
    let word = |status: ConsentStatus| match status {
        ConsentStatus::Granted => Some("CONSENT_GRANTED"),
        ConsentStatus::Denied => Some("CONSENT_DENIED"),
        ConsentStatus::Unknown => None,
    };
    let purposes =
        [("adUserData", word(consent.ad_user_data)), ("adPersonalization", word(consent.ad_personalization))];
    purposes.into_iter().filter_map(|(name, word)| Some((name.to_owned(), json!(word?)))).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_is_uploaded_against_their_word_and_no_yes_is_held(pool: PgPool) {
    // Of all statements only the time is changed, so that one test plays many days.
    sqlx::query("alter table consent_statements disable trigger consent_statements_stay").execute(&pool).await.unwrap();
    let (mut chance, mut counts) = (Chance::new(10), Counts::default());
    let histories = scaled(10_000, AT_ONCE);
    for _ in 0..histories / AT_ONCE {
        play(&pool, &mut chance, &mut counts).await;
    }
    let Counts { uploads, held, withdrawn, kills } = counts;
    println!("{histories} histories: {uploads} uploads, {held} held, {withdrawn} withdrawn after it, {kills} kills");
    assert!(uploads.min(held).min(withdrawn) >= histories / 20 && kills > 0, "the histories prove too little");
}
