//! What follows from all that a person said about consent.

use std::iter::once;

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::App;
use shared::consent::statements::{Subject, decide};
use shared::consent::{Consent, ConsentStatus};
use shared::db::DbError;
use shared::identity::Hash;
use sqlx::PgPool;
use testing::{Row, app, start, store};
use uuid::Uuid;

/// Who states something: a form of a lead on its browser, a browser, the CRM on the deal, the operator on a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Form(usize),
    Visit(usize),
    Crm,
    Operator(usize),
}

const SPEAKERS: [Speaker; 7] = [
    Speaker::Form(0),
    Speaker::Form(1),
    Speaker::Visit(0),
    Speaker::Visit(1),
    Speaker::Crm,
    Speaker::Operator(0),
    Speaker::Operator(1),
];

type Statement = (Speaker, ConsentStatus);

impl Speaker {
    fn lead(self) -> Option<usize> {
        match self {
            Self::Form(nth) | Self::Operator(nth) => Some(nth),
            Self::Visit(_) | Self::Crm => None,
        }
    }

    fn browser(self) -> Option<usize> {
        match self {
            Self::Form(nth) | Self::Visit(nth) => Some(nth),
            Self::Crm | Self::Operator(_) => None,
        }
    }

    fn lifts(self, no: Self) -> bool {
        let same = |of: fn(Self) -> Option<usize>| of(self).is_some() && of(self) == of(no);
        matches!(self, Self::Crm | Self::Operator(_)) || same(Self::lead) || same(Self::browser)
    }
}

/// Does it say what the browser's last page view said? A yes that was there before is no new one.
fn is_repeated_yes(nth: usize, history: &[Statement]) -> bool {
    let (speaker, said) = history[nth];
    let before = history[..nth].iter().rev().find(|(other, _)| *other == speaker);
    matches!(speaker, Speaker::Visit(_)) && said == ConsentStatus::Granted && before.is_some_and(|it| it.1 == said)
}

/// The rule, said once more and differently: a no stands until somebody who may lift it says yes after it.
fn expected(history: &[Statement]) -> ConsentStatus {
    let told = |nth: &usize| !is_repeated_yes(*nth, history);
    let history: Vec<_> = (0..history.len()).filter(told).map(|nth| history[nth]).collect();
    let stands = |nth: usize, no: Speaker| {
        !history[nth + 1..].iter().any(|(speaker, said)| *said == ConsentStatus::Granted && speaker.lifts(no))
    };
    let mut answers = history.iter().enumerate();
    if answers.any(|(nth, (speaker, said))| *said == ConsentStatus::Denied && stands(nth, *speaker)) {
        ConsentStatus::Denied
    } else if history.iter().any(|(_, said)| *said == ConsentStatus::Granted) {
        ConsentStatus::Granted
    } else {
        ConsentStatus::Unknown
    }
}

/// A person of two leads with one address on two browsers, and a deal.
struct Person {
    leads: [Uuid; 2],
    browsers: [String; 2],
    deal: String,
    email_hash: Hash,
}

impl Person {
    fn new(nth: usize) -> Self {
        Self {
            leads: [Uuid::new_v4(), Uuid::new_v4()],
            browsers: [Uuid::new_v4().to_string(), Uuid::new_v4().to_string()],
            deal: format!("D-{nth}"),
            email_hash: Hash::of(format!("person-{nth}@example.com")),
        }
    }

    fn visitors(&self) -> impl Iterator<Item = Row> {
        self.browsers.iter().map(|browser| Row::of("visitors", &json!({"visitor_id": browser})))
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        self.leads.iter().zip(&self.browsers).map(|(lead, browser)| {
            Row::of("leads", &json!({"id": lead, "visitor_id": browser, "email_hash": self.email_hash.as_str()}))
        })
    }

    /// A statement as it is kept, the nth of its history.
    fn statement(&self, nth: usize, (speaker, said): Statement) -> Value {
        let (source, email_hash) = match speaker {
            Speaker::Form(_) => ("form", Some(self.email_hash.as_str())),
            Speaker::Visit(_) => ("visit", None),
            Speaker::Crm => ("crm", Some(self.email_hash.as_str())),
            Speaker::Operator(_) => ("operator", Some(self.email_hash.as_str())),
        };
        json!({
            "lead_id": speaker.lead().map(|nth| self.leads[nth]),
            "visitor_id": speaker.browser().map(|nth| &self.browsers[nth]),
            "crm_deal_id": (speaker == Speaker::Crm).then_some(&self.deal),
            "email_hash": email_hash, "purpose": "ad_user_data", "value": said, "source": source,
            "stated_at": start() + TimeDelta::seconds(i64::try_from(nth).unwrap()),
        })
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_pair_and_triple_of_statements_is_decided_by_the_rule(pool: PgPool) {
    let app: App<()> = app(&pool);
    let statements: Vec<Statement> = SPEAKERS
        .iter()
        .flat_map(|speaker| [(*speaker, ConsentStatus::Granted), (*speaker, ConsentStatus::Denied)])
        .collect();
    let pairs = statements.iter().flat_map(|one| statements.iter().map(move |other| vec![*one, *other]));
    let triples = pairs.clone().flat_map(|pair| {
        statements.iter().map(move |third| pair.iter().copied().chain(once(*third)).collect::<Vec<_>>())
    });
    let histories: Vec<Vec<Statement>> =
        once(Vec::new()).chain(statements.iter().map(|it| vec![*it])).chain(pairs).chain(triples).collect();
    let people: Vec<_> = (0..histories.len()).map(Person::new).collect();
    store(&pool, people.iter().flat_map(Person::visitors).collect()).await;
    store(&pool, people.iter().flat_map(Person::rows).collect()).await;
    let kept = people.iter().zip(&histories).flat_map(|(person, history)| {
        history.iter().enumerate().map(|(nth, statement)| person.statement(nth, *statement))
    });
    let columns = "lead_id, visitor_id, crm_deal_id, email_hash, purpose, value, source, stated_at";
    let insert = format!(
        "insert into public.consent_statements ({columns})
         select {columns} from jsonb_populate_recordset(null::public.consent_statements, $1)"
    );
    sqlx::query(&insert).bind(kept.collect::<Value>()).execute(&pool).await.unwrap();

    let subjects: Vec<_> = people
        .iter()
        .map(|person| Subject { lead_id: Some(person.leads[0]), crm_deal_id: person.deal.clone() })
        .collect();
    let decided: Result<Vec<Consent>, DbError> = app.db.tx(async |tx| decide(tx, &subjects).await).await;
    for (history, decided) in histories.iter().zip(decided.unwrap()) {
        assert_eq!(decided.ad_user_data, expected(history), "{history:?}");
        assert_eq!(decided.ad_personalization, ConsentStatus::Unknown, "{history:?}");
    }
}
