//! Secrets are replaced while webhooks arrive.

use std::ops::Range;
use std::sync::Arc;

use google_sandbox::GoogleAccount;
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use shared::crm::Sources;
use shared::crm::authentication::Sample;
use shared::deals::Stages;
use shared::settings::Values;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::stage::{Answer, Stage};

const SENDERS: usize = 24;
/// Answers of every step of the replacement.
const ENOUGH: usize = 150;

/// A source, the setting of its secret, the secret that goes and the one that comes.
struct Lock {
    source: &'static str,
    setting: &'static str,
    old: &'static str,
    new: &'static str,
}

const LOCKS: [Lock; 2] = [
    Lock {
        source: "crm-conversion",
        setting: "WEBHOOK_SECRET",
        old: "the secret of last year",
        new: "the secret of this year",
    },
    Lock {
        source: "standard-webhooks",
        setting: "STANDARD_WEBHOOKS_SECRET",
        old: "whsec_dGhlIHNlY3JldCB3ZSBoYWQgbGFzdCB5ZWFy",
        new: "whsec_dGhlIHNlY3JldCB3ZSBoYWQgdGhpcyB5ZWFy",
    },
];

impl Lock {
    fn key(&self, is_new: bool) -> &'static str {
        if is_new { self.new } else { self.old }
    }
}

#[derive(Clone)]
struct Step {
    deployment: Arc<Stage>,
    /// The CRMs sign with the new secrets.
    signs_new: bool,
}

/// The step that senders go by, and how many webhooks were sent and answered at each so far.
struct Traffic {
    step: Step,
    begun: Vec<usize>,
    answered: Vec<usize>,
    refused: Vec<Answer>,
    ends: bool,
}

async fn deploy(pool: &PgPool, change: impl Fn(&Lock, &mut Values)) -> Arc<Stage> {
    let replaced = |values: &mut Values| LOCKS.iter().for_each(|lock| change(lock, values));
    Arc::new(Stage::with_account(pool.clone(), GoogleAccount::dev(), replaced).await)
}

fn set(values: &mut Values, name: &str, secret: &str) {
    values.insert(name.into(), SecretString::from(secret));
}

/// The nth webhook, by the one or the other source.
async fn send(step: &Step, n: usize) -> Answer {
    let lock = &LOCKS[n % LOCKS.len()];
    let (deal, email) = (format!("D-{n}"), "jane@example.com");
    let body = match lock.source {
        "crm-conversion" => json!({"crm_deal_id": deal, "conversion_type": "closed", "email": email}),
        _ => json!({"type": "deal.won", "data": {"id": deal, "contact": {"email": email}}}),
    }
    .to_string();
    let key = |name: &str| (name == lock.setting).then(|| SecretString::from(lock.key(step.signs_new)));
    let url = format!("{}/api/webhooks/{}", step.deployment.base, lock.source);
    let sample =
        Sample { method: "POST", url: &url, body: body.as_bytes(), id: &deal, at: step.deployment.clock.now() };
    let signed = Sources::preset(lock.source, &Stages::default(), &key).unwrap().sign(&sample).unwrap();
    step.deployment.signed(&signed, body).await
}

async fn keep_sending(traffic: Arc<watch::Sender<Traffic>>, mut numbers: Range<usize>) {
    loop {
        // One lock: a webhook begins at one step, not between two.
        let mut now = None;
        traffic.send_modify(|traffic| {
            if !traffic.ends {
                *traffic.begun.last_mut().unwrap() += 1;
                now = Some((traffic.begun.len() - 1, traffic.step.clone()));
            }
        });
        let Some((number, step)) = now else { break };
        let answer = send(&step, numbers.next().unwrap()).await;
        traffic.send_modify(|traffic| {
            traffic.answered[number] += 1;
            if answer.status != StatusCode::OK {
                traffic.refused.push(answer);
            }
        });
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn no_valid_webhook_is_refused_while_its_secret_is_replaced(pool: PgPool) {
    let old = deploy(&pool, |lock, values| set(values, lock.setting, lock.old)).await;
    let both = deploy(&pool, |lock, values| {
        set(values, lock.setting, lock.new);
        set(values, &format!("{}_PREVIOUS", lock.setting), lock.old);
    })
    .await;
    let new = deploy(&pool, |lock, values| set(values, lock.setting, lock.new)).await;
    old.post("/api/leads", &[], &json!({"email": "jane@example.com", "gclid": "One"})).await;
    let steps = [(old, false), (Arc::clone(&both), false), (both, true), (Arc::clone(&new), true)]
        .map(|(deployment, signs_new)| Step { deployment, signs_new });

    let first = steps[0].clone();
    let traffic = Traffic { step: first, begun: vec![0], answered: vec![0], refused: Vec::new(), ends: false };
    let traffic = Arc::new(watch::Sender::new(traffic));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| tokio::spawn(keep_sending(Arc::clone(&traffic), sender * 100_000..(sender + 1) * 100_000)))
        .collect();
    let mut seen = traffic.subscribe();
    for (number, step) in steps.iter().enumerate() {
        if number > 0 {
            traffic.send_modify(|traffic| {
                assert!(traffic.answered.last() < traffic.begun.last(), "nothing is on its way: this proves nothing");
                traffic.step = step.clone();
                traffic.begun.push(0);
                traffic.answered.push(0);
            });
        }
        // Nobody goes on before what was sent in the step before has arrived.
        let arrived = |traffic: &Traffic| {
            traffic.answered[..number] == traffic.begun[..number] && traffic.answered[number] >= ENOUGH
        };
        drop(seen.wait_for(arrived).await.unwrap());
    }
    traffic.send_modify(|traffic| traffic.ends = true);
    for sender in senders {
        sender.await.unwrap();
    }
    let (sent, refused) = {
        let traffic = traffic.borrow();
        (traffic.answered.clone(), format!("{:?}", traffic.refused))
    };
    println!("{sent:?} webhooks in the four steps");
    assert_eq!(refused, "[]", "of {sent:?}");

    // Each is there, with the secret it fitted: the old one, the old one as the previous, the new one.
    let total = i64::try_from(sent.iter().sum::<usize>()).unwrap();
    assert_eq!(new.value::<i64>("select count(*) from conversions").await, total);
    let previous: i64 =
        new.value("select count(*) from inbox_receipts where verified_with like '%_SECRET_PREVIOUS'").await;
    assert_eq!(previous, i64::try_from(sent[1]).unwrap());
    assert_eq!(new.value::<i64>("select count(*) from webhook_refusals").await, 0);

    // Now nobody gets in with an old one, and the operator sees who tries.
    let late = Step { deployment: Arc::clone(&new), signs_new: false };
    for n in 0..LOCKS.len() {
        let answer = send(&late, 9_000_000 + n).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    }
    let refusals: Vec<(String, String, i64)> =
        sqlx::query_as("select source, reason, refusals from webhook_refusals order by source")
            .fetch_all(&pool)
            .await
            .unwrap();
    let wrong = LOCKS.map(|lock| (lock.source.to_owned(), "signature_wrong".to_owned(), 1));
    assert_eq!(refusals, wrong);
    assert_eq!(new.health().await["inbox"]["refused"], 2);
    assert_eq!(new.value::<i64>("select count(*) from conversions").await, total);
}
