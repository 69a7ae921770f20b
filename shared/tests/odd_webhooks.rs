//! Webhooks as CRMs, people and the tools between them really write them, against a model: what is read is what was
//! meant, or nothing. A deal is refused only where its id or its amount can't be told.

#![expect(clippy::unwrap_used, reason = "a test may end that way")]

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use shared::consent::ConsentStatus;
use shared::crm::{Circumstances, Meaning, Report, Sources};
use shared::deals::{Deal, Stages};
use shared::identity::{Email, Hash};

const DECLARATION: &str = r#"
[odd]
[[odd.auth]]
bearer = { secret = "ODD_TOKEN" }
[odd.fields]
deal_id = "/id"
status = "/status"
value = { at = "/amount", decimal = "," }
currency = "/currency"
email = ["/email", "/contact/email"]
phone = "/phone"
occurred_at = ["/closed", "/changed"]
ad_user_data = "/ads"
gclid = "/gclid"
zone = "Europe/Berlin"
[[odd.rules]]
when = { status = "won" }
conversion = "closed"
"#;

/// When every webhook arrives.
fn arrived() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// How a field is written, and what it means.
#[derive(Clone, Debug)]
struct Written<T> {
    json: Option<Value>,
    means: Means<T>,
}

#[derive(Clone, Debug, PartialEq)]
enum Means<T> {
    This(T),
    Nothing,
    /// The deal can't be told.
    Unreadable,
}

type Odd<T> = BoxedStrategy<Written<T>>;

fn this<T>(json: impl Into<Value>, means: T) -> Written<T> {
    Written { json: Some(json.into()), means: Means::This(means) }
}

fn nothing<T: Clone + std::fmt::Debug + 'static>() -> Odd<T> {
    let words = ["", " ", "null", "undefined", "None", "N/A", "n/a", "-", "NULL", "\u{a0}"];
    prop_oneof![
        Just(None),
        select(words.to_vec()).prop_map(|word| Some(json!(word))),
        select(vec![json!(null), json!(false), json!([])]).prop_map(Some),
    ]
    .prop_map(|json| Written { json, means: Means::Nothing })
    .boxed()
}

fn ids() -> Odd<String> {
    (1_u32..1_000_000, 0..4)
        .prop_map(|(id, spelling)| {
            let json = match spelling {
                0 => json!(id),
                1 => json!(id.to_string()),
                2 => json!(format!(" {id}\n")),
                _ => json!(f64::from(id)),
            };
            this(json, id.to_string())
        })
        .boxed()
}

/// In cents.
fn amounts() -> Odd<u64> {
    let spelled = (0_u64..100_000_000, 0..9).prop_map(|(cents, spelling)| {
        let (whole, rest) = (cents / 100, cents % 100);
        let json = match spelling {
            0 => json!(f64::from(u32::try_from(cents).unwrap()) / 100.0),
            1 => json!(format!("{whole},{rest:02}")),
            2 => json!(format!("{},{rest:02}", grouped(whole, "."))),
            3 => json!(format!("€ {},{rest:02}", grouped(whole, "."))),
            4 => json!(format!("{},{rest:02}\u{a0}EUR", grouped(whole, "\u{a0}"))),
            5 => json!(format!(" {},{rest:02} €", grouped(whole, "\u{202f}"))),
            6 if rest == 0 => json!(whole),
            7 if rest % 10 == 0 => json!(format!("{whole},{}", rest / 10)),
            _ => json!(format!("{whole},{rest:02}00")),
        };
        this(json, cents)
    });
    let junk = select(vec![
        json!("n.v."),
        json!("siehe Angebot"),
        json!("1,2,3"),
        json!("12,34,56.78"),
        json!("5 bis 6"),
        json!({"amount": 5}),
        json!(-5),
        json!("-5,00"),
        json!("1e999"),
        json!("\u{0661}\u{0662}x"),
    ]);
    let unreadable = junk.prop_map(|json| Written { json: Some(json), means: Means::Unreadable });
    prop_oneof![8 => spelled, 1 => unreadable, 1 => nothing()].boxed()
}

fn grouped(number: u64, by: &str) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = if first == 0 { vec![] } else { vec![&digits[..first]] };
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join(by)
}

fn emails() -> Odd<String> {
    let spelled = ("[a-z]{1,8}", 0..14).prop_map(|(name, spelling)| {
        let address = format!("{name}@example.com");
        let json = match spelling {
            0 => json!(address.to_uppercase()),
            1 => json!(format!("\"Jane Doe\" <{address}>")),
            2 => json!(format!("Doe, Jane <{address}>")),
            3 => json!(format!("mailto:{address}?subject=Hi")),
            4 => json!(format!("\u{200b}{address}")),
            5 => json!(format!("{name}@exam\u{ad}ple.com")),
            6 => json!(format!("{name}\u{ff20}example.com")),
            7 => json!(format!("{address};")),
            8 => json!(format!("{address}, other@example.org")),
            9 => json!([address, "other@example.org"]),
            10 => json!([null, "n/a", address]),
            11 => json!(format!("<{address}>")),
            12 => json!(format!("  {address}\r\n")),
            _ => json!(address),
        };
        this(json, address)
    });
    let junk = select(vec![json!("jane"), json!("keine"), json!(5), json!({"a": 1}), json!("@example.com")]);
    prop_oneof![8 => spelled, 1 => junk.prop_map(|json| Written { json: Some(json), means: Means::Nothing }), 1 => nothing()]
        .boxed()
}

fn phones() -> Odd<String> {
    let spelled = (100_000_u32..999_999, 0..9).prop_map(|(number, spelling)| {
        let e164 = format!("+4930{number}");
        let json = match spelling {
            0 => json!(format!("+49 (0) 30 {number}")),
            1 => json!(format!("0049 30 {number}")),
            2 => json!(format!("+49\u{a0}30\u{2011}{number}")),
            3 => json!(format!("\u{ff0b}49 30/{number}")),
            4 => json!(format!("tel:+4930{number}")),
            5 => json!([format!("+49-30-{number}")]),
            6 => json!(format!("\u{202a}+49 30 {number}\u{202c}")),
            _ => json!(e164),
        };
        this(json, e164)
    });
    let junk = select(vec![json!("call me"), json!("n/a"), json!("0"), json!("123"), json!({"no": 1}), json!(true)]);
    prop_oneof![7 => spelled, 1 => junk.prop_map(|json| Written { json: Some(json), means: Means::Nothing }), 1 => nothing()]
        .boxed()
}

/// A time to the second, before the arrival.
fn times() -> Odd<DateTime<Utc>> {
    let spelled = (60_i64..20_000_000, 0..8).prop_map(|(ago, spelling)| {
        let at = arrived() - TimeDelta::seconds(ago);
        let local = in_berlin(at);
        let json = match spelling {
            0 => json!(at.timestamp()),
            1 => json!(at.timestamp_millis()),
            2 => json!(at.timestamp().to_string()),
            3 => json!(at.format("%Y-%m-%dT%H:%M:%S.000+0000").to_string()),
            4 => json!(local.to_rfc3339()),
            // An hour that is there twice has two readings.
            5 if is_unambiguous(at) => json!(local.format("%Y-%m-%d %H:%M:%S").to_string()),
            6 if is_unambiguous(at) => json!(local.format("%Y-%m-%dT%H:%M:%S.5").to_string()),
            _ => json!(at.to_rfc3339()),
        };
        let half = TimeDelta::milliseconds(if json.as_str().is_some_and(|it| it.ends_with(".5")) { 500 } else { 0 });
        this(json, at + half)
    });
    let junk = select(vec![json!("yesterday"), json!("2026-13-45"), json!({"t": 1}), json!("0000-00-00 00:00:00")]);
    prop_oneof![7 => spelled, 1 => junk.prop_map(|json| Written { json: Some(json), means: Means::Nothing }), 1 => nothing()]
        .boxed()
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn in_berlin(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    let offset = berlin().to_offset(jiff::Timestamp::from_second(at.timestamp()).unwrap());
    at.with_timezone(&FixedOffset::east_opt(offset.seconds()).unwrap())
}

fn is_unambiguous(at: DateTime<Utc>) -> bool {
    let offsets = [-1, 0, 1].map(|hours| *in_berlin(at + TimeDelta::hours(hours)).offset());
    offsets.iter().all(|offset| *offset == offsets[1])
}

fn consents() -> Odd<ConsentStatus> {
    let words = [
        ("granted", ConsentStatus::Granted),
        ("GRANTED", ConsentStatus::Granted),
        ("Yes", ConsentStatus::Granted),
        ("true", ConsentStatus::Granted),
        ("denied", ConsentStatus::Denied),
        ("No", ConsentStatus::Denied),
        ("FALSE", ConsentStatus::Denied),
    ];
    let spelled = select(words.to_vec()).prop_map(|(word, means)| this(word, means));
    let booleans =
        any::<bool>().prop_map(|yes| this(yes, if yes { ConsentStatus::Granted } else { ConsentStatus::Denied }));
    let junk = select(vec![json!("vielleicht"), json!(""), json!("n/a"), json!(7), json!({}), json!(null)]);
    prop_oneof![spelled, booleans, junk.prop_map(|json| Written { json: Some(json), means: Means::Nothing }),].boxed()
}

fn clicks() -> Odd<String> {
    let spelled = "[A-Za-z0-9_-]{20,80}".prop_map(|id| this(id.clone(), id));
    let junk = select(vec![json!("{{gclid}}"), json!("undefined"), json!("[object Object]"), json!("a b"), json!(5)]);
    prop_oneof![4 => spelled, 1 => junk.prop_map(|json| Written { json: Some(json), means: Means::Nothing }), 1 => nothing()]
        .boxed()
}

/// What nobody declared.
fn others() -> BoxedStrategy<Map<String, Value>> {
    let values = vec![json!(null), json!(""), json!([[]]), json!({"a": {"b": [1]}}), json!("\u{202e}x"), json!(1e300)];
    let other = ("[a-z_]{1,6}", select(values)).prop_map(|(name, value)| (format!("x_{name}"), value));
    proptest::collection::vec(other, 0..4).prop_map(|others| others.into_iter().collect()).boxed()
}

#[derive(Clone, Debug)]
struct Webhook {
    id: Written<String>,
    amount: Written<u64>,
    email: Written<String>,
    phone: Written<String>,
    closed: Written<DateTime<Utc>>,
    changed: Written<DateTime<Utc>>,
    ads: Written<ConsentStatus>,
    gclid: Written<String>,
    others: Map<String, Value>,
}

fn webhooks() -> impl Strategy<Value = Webhook> {
    let ids = prop_oneof![20 => ids(), 1 => nothing().prop_map(|it: Written<String>| Written { means: Means::Unreadable, ..it })];
    (ids, amounts(), emails(), phones(), times(), times(), consents(), clicks(), others()).prop_map(
        |(id, amount, email, phone, closed, changed, ads, gclid, others)| Webhook {
            id,
            amount,
            email,
            phone,
            closed,
            changed,
            ads,
            gclid,
            others,
        },
    )
}

impl Webhook {
    fn item(&self) -> Value {
        let mut item = self.others.clone();
        item.extend([("status".into(), json!("won")), ("currency".into(), json!("EUR"))]);
        let fields = [
            ("id", &self.id.json),
            ("amount", &self.amount.json),
            ("email", &self.email.json),
            ("phone", &self.phone.json),
            ("closed", &self.closed.json),
            ("changed", &self.changed.json),
            ("ads", &self.ads.json),
            ("gclid", &self.gclid.json),
        ];
        item.extend(fields.into_iter().filter_map(|(name, json)| Some((name.to_owned(), json.clone()?))));
        Value::Object(item)
    }

    fn is_unreadable(&self) -> bool {
        self.id.means == Means::Unreadable || self.amount.means == Means::Unreadable
    }
}

fn sources() -> Sources {
    let secret = |setting: &str| {
        (!setting.ends_with("_PREVIOUS")).then(|| SecretString::from("0123456789abcdef0123456789abcdef"))
    };
    Sources::parse(DECLARATION, &Stages::default(), &secret).unwrap()
}

fn meant<T>(means: &Means<T>) -> Option<&T> {
    match means {
        Means::This(this) => Some(this),
        Means::Nothing | Means::Unreadable => None,
    }
}

fn check(webhook: &Webhook, deal: &Deal) {
    assert_eq!(Some(&deal.crm_deal_id), meant(&webhook.id.means));
    let cents = deal.money.as_ref().map(|money| (money.value() * 100.0).round());
    #[expect(clippy::cast_precision_loss, reason = "below two to the 53rd")]
    let meant_cents = meant(&webhook.amount.means).map(|cents| *cents as f64);
    assert_eq!(cents, meant_cents);
    let hash = |address: &String| Email::parse(address).unwrap().hash();
    assert_eq!(deal.email.as_ref().map(Email::hash), meant(&webhook.email.means).map(hash));
    let hash = |e164: &String| Hash::of(e164);
    assert_eq!(deal.phone.as_ref().and_then(|phone| phone.hash().ok().cloned()), meant(&webhook.phone.means).map(hash));
    let at = meant(&webhook.closed.means).or_else(|| meant(&webhook.changed.means));
    assert_eq!(deal.occurred_at.as_ref(), at);
    assert_eq!(deal.consent.ad_user_data, meant(&webhook.ads.means).copied().unwrap_or_default());
    let gclid = deal.clicks.get("google").and_then(|click| click.get("gclid")).map(String::from);
    assert_eq!(gclid.as_ref(), meant(&webhook.gclid.means));
}

#[test]
fn what_is_read_is_what_was_meant() {
    let cases = if std::env::var_os("ADTRAIL_TEST_LONG").is_some() { 100_000 } else { 2_000 };
    let sources = sources();
    let source = sources.get("odd").unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&webhooks(), |webhook| {
        let item = webhook.item();
        let when = Circumstances {
            received_at: arrived(),
            region: None,
            payload_hash: Hash::of(item.to_string()),
            event_id: None,
            has_replaced: false,
        };
        let items = source.items(item.to_string().as_bytes()).unwrap();
        match source.read(&items[0].value, &when).meaning {
            Meaning::Report(Report::Reached(deal)) if !webhook.is_unreadable() => check(&webhook, &deal),
            Meaning::Unusable(_) if webhook.is_unreadable() => {}
            other => panic!("{item}: {other:?}"),
        }
        Ok(())
    });
    outcome.unwrap();
}
