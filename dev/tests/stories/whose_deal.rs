//! Whose deal it is when a stranger fills in the form with another person's e-mail address or phone number.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use google_sandbox::GoogleAccount;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::settings::Values;
use sqlx::PgPool;
use testing::{Chance, scaled};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::stage::Stage;

/// The schedule starts a run when the one before has ended.
static SCHEDULE: Mutex<()> = Mutex::const_new(());

/// What the CRM says besides the person's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// Our lead id.
    LeadId,
    /// A stage of the deal is already matched to the person.
    Stage,
    /// No more.
    Address,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Person,
    Stranger,
    Qualified,
    Deal,
}

use Step::{Deal, Person, Qualified, Stranger};

/// Every place that the stranger's form can have.
fn orders(known: Known) -> Vec<Vec<Step>> {
    match known {
        Known::LeadId => {
            vec![vec![Stranger, Person, Deal], vec![Person, Stranger, Deal], vec![Person, Deal, Stranger]]
        }
        Known::Stage => vec![
            vec![Stranger, Person, Qualified, Deal],
            vec![Person, Stranger, Qualified, Deal],
            vec![Person, Qualified, Stranger, Deal],
            vec![Person, Qualified, Deal, Stranger],
        ],
        Known::Address => testing::permutations(3)
            .into_iter()
            .map(|order| order.into_iter().map(|nth| [Person, Stranger, Deal][nth]).collect())
            .collect(),
    }
}

/// How a form comes.
#[derive(Clone, Copy, Debug)]
struct Form {
    has_cookie: bool,
    has_click: bool,
}

#[derive(Debug)]
struct Case {
    nth: u64,
    id: String,
    known: Known,
    order: Vec<Step>,
    by_phone: bool,
    person: Form,
    stranger: Form,
}

impl Case {
    fn new(nth: u64, known: Known, chance: &mut Chance) -> Self {
        let form = |chance: &mut Chance| Form { has_cookie: chance.happens(80), has_click: chance.happens(60) };
        Self {
            nth,
            id: format!("{known:?}-{nth}"),
            known,
            order: chance.pick(&orders(known)),
            by_phone: chance.happens(50),
            person: form(chance),
            stranger: form(chance),
        }
    }

    fn is_first(&self) -> bool {
        let at = |step| self.order.iter().position(|it| *it == step);
        at(Person) < at(Stranger)
    }

    fn email(&self) -> String {
        format!("{}@example.com", self.id)
    }

    fn phone(&self) -> String {
        format!("+49 30 2{:07}", self.nth)
    }

    /// Plays it, and answers the lead of the person.
    async fn play(&self, stage: &Stage) -> Uuid {
        let (mut lead_id, mut has_rival) = (None, false);
        for (nth, step) in self.order.iter().enumerate() {
            match step {
                Person => lead_id = Some(self.submit(stage, "person", self.person).await),
                Stranger => {
                    has_rival = true;
                    self.submit(stage, "stranger", self.stranger).await;
                }
                Qualified => self.report(stage, "qualified", lead_id.filter(|_| has_rival)).await,
                Deal => self.report(stage, "closed", lead_id.filter(|_| self.known == Known::LeadId)).await,
            }
            if matches!(step, Person | Stranger) && self.order[..nth].iter().any(|it| matches!(it, Qualified | Deal)) {
                // A deal waits for the form.
                let _run = SCHEDULE.lock().await;
                stage.tick().await;
            }
        }
        lead_id.unwrap()
    }

    async fn submit(&self, stage: &Stage, who: &str, form: Form) -> Uuid {
        let click = format!("{who}-{}", self.id);
        let mut body = json!({"email": self.email()});
        if self.by_phone {
            body = json!({"email": format!("{who}-of-{}", self.email()), "phone": self.phone()});
        }
        let mut cookies = String::new();
        if form.has_cookie {
            let query = if form.has_click { format!("?gclid={click}") } else { String::new() };
            let visit = json!({"url": format!("https://www.example.com/{query}")});
            let visit = stage.post("/api/track/visit", &[], &visit).await;
            assert_eq!(visit.status, StatusCode::OK, "{visit:?}");
            let pairs = visit.set_cookies.iter().map(|cookie| cookie.split(';').next().unwrap());
            cookies = pairs.collect::<Vec<_>>().join("; ");
        } else if form.has_click {
            body["gclid"] = json!(click);
        }
        let lead = stage.post("/api/leads", &[("cookie", &cookies)], &body).await;
        assert_eq!(lead.status, StatusCode::CREATED, "{lead:?}");
        lead.body["lead_id"].as_str().unwrap().parse().unwrap()
    }

    async fn report(&self, stage: &Stage, conversion_type: &str, lead_id: Option<Uuid>) {
        let mut report = json!({
            "crm_deal_id": self.id, "conversion_type": conversion_type, "lead_id": lead_id, "value": 9_000,
            "currency": "EUR", "occurred_at": stage.clock.now(),
        });
        if self.by_phone {
            report["phone"] = json!(self.phone());
        } else {
            report["email"] = json!(self.email());
        }
        let answer = stage.deal(&report).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

#[derive(Debug, Default)]
struct Tally {
    deals: u64,
    changed_hands: u64,
    visible: u64,
}

#[sqlx::test(migrations = "../migrations")]
async fn no_deal_changes_hands_unseen(pool: PgPool) {
    let of_each = scaled(1_000, 60);
    // Nobody is asked for consent, so the uploader matches and sends nothing.
    let silent = |values: &mut Values| {
        values.insert("CONSENT_UNKNOWN".into(), "hold".into());
    };
    let stage = Stage::with_account(pool, GoogleAccount::dev(), silent).await;
    let mut chance = Chance::new(1);
    let known = [Known::LeadId, Known::Stage].into_iter().cycle().take(of_each);
    let known = known.chain(std::iter::repeat_n(Known::Address, of_each));
    let cases: Vec<_> = (0..).zip(known).map(|(nth, known)| Case::new(nth, known, &mut chance)).collect();
    let played = stream::iter(&cases).map(|case| case.play(&stage)).buffered(8).collect::<Vec<_>>().await;

    let mut tallies: BTreeMap<(Known, bool), Tally> = BTreeMap::new();
    for (case, lead_id) in cases.iter().zip(played) {
        let found: Value = stage
            .value(&format!(
                "select jsonb_build_object('lead_id', c.lead_id, 'several_candidates', i.several_candidates)
                 from inbox i join conversions c on c.id = i.conversion_id
                 where i.crm_deal_id = '{}' and i.conversion_type = 'closed'",
                case.id
            ))
            .await;
        let (is_theirs, is_visible) = (found["lead_id"] == json!(lead_id), found["several_candidates"] == true);
        let tally = tallies.entry((case.known, case.is_first())).or_default();
        tally.deals += 1;
        tally.changed_hands += u64::from(!is_theirs);
        tally.visible += u64::from(is_visible);
        match case.known {
            Known::LeadId | Known::Stage => assert!(is_theirs, "{case:?}"),
            Known::Address => {
                assert!(is_visible, "{case:?}");
                let is_known = case.person.has_cookie || case.person.has_click;
                assert!(is_theirs || !case.is_first() || !is_known, "{case:?}");
            }
        }
    }
    for ((known, is_first), tally) in &tallies {
        let order = if *is_first { "person first" } else { "stranger first" };
        println!("{known:?}, {order}: {tally:?}");
    }
    let visible: i64 = stage.value("select count(*) from inbox where several_candidates").await;
    assert_eq!(stage.health().await["inbox"]["several_candidates"], json!(visible));
}
