//! Bodies that were good before chance changed them.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use shared::App;
use shared::http::{Endpoint, Problem, Request, Response};

use crate::call;

/// So many cases, the same in every run. One that fails is made as small as it can be and shown, and leaves no file.
#[must_use]
pub fn cases(count: u32) -> Config {
    Config { cases: count, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

/// Sends thousands of bodies that were good before chance changed them, the same in every run. `request` makes the
/// request.
///
/// # Panics
/// When one is answered 5xx, which a panic is, too.
pub async fn fuzz<'a, C, H, F>(
    app: &'a App<C>,
    endpoint: &Endpoint,
    handle: H,
    rounds: u32,
    valid: &[Value],
    request: impl Fn(Vec<u8>) -> Request,
) where
    C: 'a,
    H: Fn(&'a App<C>, Request) -> F + Copy,
    F: Future<Output = Result<Response, Problem>>,
{
    let bodies = changed(valid);
    // It runs no test itself, because a test of it can't wait for an answer.
    let mut runner = TestRunner::new(cases(rounds));
    let mut taken = 0;
    for _ in 0..rounds {
        let mut body = bodies.new_tree(&mut runner).expect("a body");
        let answer = call(app, endpoint, request(body.current()), handle).await;
        taken += u32::from(answer.status < 300);
        let mut broken = (answer.status >= 500).then(|| (body.current(), answer));
        let mut is_smaller = broken.is_some() && body.simplify();
        while is_smaller {
            let answer = call(app, endpoint, request(body.current()), handle).await;
            is_smaller = if answer.status >= 500 {
                broken = Some((body.current(), answer));
                body.simplify()
            } else {
                body.complicate()
            };
        }
        if let Some((body, answer)) = broken {
            panic!("{} is answered {:?}", String::from_utf8_lossy(&body), answer.body);
        }
    }
    assert!(taken > rounds / 20, "only {taken} of {rounds} were good enough to come through to the database");
}

fn changed(valid: &[Value]) -> impl Strategy<Value = Vec<u8>> {
    let in_the_document = vec((vec(any::<Index>(), 0..=4), change()), 1..=3);
    let in_the_bytes = weighted(1.0 / 3.0, (any::<Index>(), 0..16_usize, damage()));
    (select(valid.to_vec()), in_the_document, in_the_bytes).prop_map(|(mut document, changes, damage)| {
        for (path, change) in changes {
            apply(change, &mut document, &path);
        }
        let mut body = document.to_string().into_bytes();
        if let Some((at, length, damage)) = damage {
            damage.apply(&mut body, at, length);
        }
        body
    })
}

/// What is done to a value of a document.
#[derive(Clone, Debug)]
enum Change {
    Remove,
    /// Puts this somewhere into a text.
    Insert(Index, &'static str),
    Replace(Value),
}

fn change() -> impl Strategy<Value = Change> {
    let inserted = select(&["\0", " ", "ß", "😀", "\u{202e}", "\n", "'", "%00", "İ", "@", "+", "Z"][..]);
    prop_oneof![
        1 => Just(Change::Remove),
        3 => (any::<Index>(), inserted).prop_map(|(at, text)| Change::Insert(at, text)),
        4 => surprise().prop_map(Change::Replace),
    ]
}

/// Follows the path as far as there are fields, and makes the change there.
fn apply(change: Change, value: &mut Value, path: &[Index]) {
    match (value, path) {
        (Value::Object(fields), [nth, path @ ..]) if !fields.is_empty() => {
            let name = fields.keys().nth(nth.index(fields.len())).expect("one of the fields").clone();
            let is_last = path.is_empty() || !fields[&name].is_object();
            if is_last && matches!(change, Change::Remove) {
                fields.remove(&name);
            } else {
                apply(change, &mut fields[&name], path);
            }
        }
        (Value::String(text), _) if let Change::Insert(at, inserted) = change => {
            let at = at.index(text.chars().count() + 1);
            let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
            text.insert_str(at, inserted);
        }
        (value, _) => {
            *value = match change {
                Change::Remove => Value::Null,
                Change::Insert(_, text) => json!(text),
                Change::Replace(other) => other,
            }
        }
    }
}

fn surprise() -> impl Strategy<Value = Value> {
    let size = || select(&[0, 1, 40, 41, 128, 254, 512, 5_001, 8_193][..]);
    let texts = [
        "granted",
        "closed",
        "EUR",
        "jane@example.com",
        "+49 30 901820",
        "https://www.example.com/?gclid=x",
        "2026-11-20T12:00:60Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "2000-01-01T00:00:00+23:59",
        "00000000-0000-0000-0000-000000000000",
        "NaN",
        "-0",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(&[-1, 0, 1, i64::MIN, i64::MAX][..]).prop_map(Value::from),
        select(&[0.1, -0.0, 1e-300, 1e12, 999_999_999_999.999_5, f64::MAX, f64::MIN_POSITIVE][..])
            .prop_map(Value::from),
        Just(json!(u64::MAX)),
        Just(json!([])),
        Just(json!({})),
        (0..100).prop_map(|number| json!({"a": [{"b": "c"}, number]})),
        size().prop_map(|size| json!("x".repeat(size))),
        size().prop_map(|size| json!("😀".repeat(size.min(600)))),
        select(texts.to_vec()).prop_map(Value::from),
    ]
}

/// What is done to the bytes of a document.
#[derive(Clone, Debug)]
enum Damage {
    Overwrite(u8),
    Remove,
    CutOff,
    Repeat,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<u8>().prop_map(Damage::Overwrite),
        Just(Damage::Remove),
        Just(Damage::CutOff),
        Just(Damage::Repeat),
    ]
}

impl Damage {
    fn apply(self, body: &mut Vec<u8>, at: Index, length: usize) {
        let at = at.index(body.len());
        let end = (at + length).min(body.len());
        match self {
            Self::Overwrite(byte) => body[at] = byte,
            Self::Remove => drop(body.drain(at..end)),
            Self::CutOff => body.truncate(at),
            Self::Repeat => drop(body.splice(at..at, body[at..end].to_vec())),
        }
    }
}
