//! What pages may send by mistake or on purpose, as the tag sends it: text/plain, at the short paths. No answer is an
//! error of ours, and no row is there that shouldn't be.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use google_sandbox::GoogleAccount;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testing::{Chance, rows};

use crate::stage::{Answer, Stage};

const URLS: usize = 1_000;
const FORMS: usize = 500;

/// Parts of addresses and texts that break what isn't careful.
const PARTS: [&str; 40] = [
    "%",
    "%%",
    "%zz",
    "%00",
    "%0a",
    "%ed%a0%80",
    "%f0%9f%98",
    "%2525",
    "\u{0}",
    "\u{7f}",
    "\u{202e}",
    "\n",
    "\r\n",
    "\t",
    " ",
    "+",
    "&",
    "=",
    "==",
    "?",
    "??",
    "#",
    "##",
    "#/",
    "#!/",
    "/../",
    "//",
    "\\",
    ";",
    "'",
    "\"",
    "`",
    "' or 1=1 --",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "🍊",
    "ß",
    "İ",
    "ا",
];
const NAMES: [&str; 16] = [
    "gclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "gad_x",
    "fbclid",
    "msclkid",
    "ttclid",
    "li_fat_id",
    "utm_source",
    "utm_term",
    "GCLID",
    "gclid[]",
    "__proto__",
    "a",
];

fn text(chance: &mut Chance) -> String {
    let mut text = String::new();
    for _ in 0..chance.below(3) {
        match chance.below(5) {
            0 | 1 => text.push_str("Abc-1_x"),
            2 => {
                text.push_str(
                    &chance.pick(&["x", "ü", "%41"]).repeat(chance.pick(&[1, 2, 40, 100, 513, 2_049, 9_000])),
                );
            }
            _ => text.push_str(chance.pick(&PARTS)),
        }
    }
    text
}

fn query(chance: &mut Chance) -> String {
    let pair = |chance: &mut Chance| format!("{}={}", chance.pick(&NAMES), text(chance));
    (0..chance.below(6)).map(|_| pair(chance)).collect::<Vec<_>>().join("&")
}

fn url(chance: &mut Chance) -> String {
    let start = chance.pick(&[
        "https://www.example.com/",
        "https://www.example.com/",
        "https://www.example.com/",
        "http://localhost:3000/",
        "https://bücher.example/",
        "https://user:word@www.example.com/",
        "https://[::1]/",
        "javascript:alert(1)//",
        "data:text/html,",
        "//",
        "",
    ]);
    let separators = (chance.pick(&["?", "?", "?", "#", "#/lp?", "#!/"]), chance.pick(&["", "#", "#/lp?", "?"]));
    format!("{start}{}{}{}{}", separators.0, query(chance), separators.1, query(chance))
}

fn anything(chance: &mut Chance) -> Value {
    let text = text(chance);
    let deep = (0..chance.below(20)).fold(json!(text), |inner, _| json!([inner]));
    chance.pick(&[json!(text), Value::Null, json!(true), json!(-1), json!(1e300), json!({}), json!({"a": text}), deep])
}

/// The body with some of these fields as they shouldn't be.
fn spoilt(chance: &mut Chance, mut body: Map<String, Value>, fields: &[&str]) -> Value {
    for _ in 0..chance.below(8).saturating_sub(4) {
        body.insert(chance.pick(fields).to_owned(), anything(chance));
    }
    Value::Object(body)
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { unreachable!("an object is written here") };
    object
}

async fn send(stage: &Stage, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let headers = [&[("content-type", "text/plain;charset=UTF-8")], headers].concat();
    let answer = stage.call(Method::POST, path, &headers, body.to_string()).await;
    let expected = answer.status.is_success()
        || [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::CONFLICT].contains(&answer.status);
    assert!(expected, "{} at {path}: {body}", answer.status);
    answer
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_a_page_sends_breaks_nothing(pool: PgPool) {
    let stage = Stage::with_account(pool.clone(), GoogleAccount::dev(), |values| {
        for name in ["VISITS_PER_HOUR", "EVENTS_PER_HOUR", "LEADS_PER_HOUR", "CONSENTS_PER_HOUR"] {
            values.insert(name.into(), SecretString::from("1000000"));
        }
    })
    .await;
    let mut chance = Chance::new(13);
    let (mut visits, mut events, mut leads) = (0, 0, 0);
    for _ in 0..URLS {
        let (agent, url, referrer) = (chance.pick(&["Mozilla/5.0", "curl/8", "x"]), url(&mut chance), url(&mut chance));
        let visit = object(json!({"url": url, "referrer": referrer, "why": "load", "consent": {}}));
        let visit = spoilt(&mut chance, visit, &["referrer", "why", "consent", "gpc", "a"]);
        let answer = send(&stage, "/t/v", &[("user-agent", agent)], &visit).await;
        visits += i64::from(answer.status == StatusCode::OK);
        let cookie = answer.set_cookies.first().map_or("", |cookie| cookie.split(';').next().unwrap_or_default());
        let event = object(json!({"event_name": "sign_up", "page_url": url, "params": {"a": text(&mut chance)}}));
        let event = spoilt(&mut chance, event, &["event_name", "event_id", "params", "page_url", "consent"]);
        let answer = send(&stage, "/t/e", &[("cookie", cookie)], &event).await;
        events += i64::from(answer.body["status"] == "stored");
        let consent =
            spoilt(&mut chance, Map::new(), &["ad_user_data", "ad_personalization", "analytics_storage", "gpc"]);
        send(&stage, "/t/c", &[("cookie", cookie)], &consent).await;
    }
    for number in 0..FORMS {
        let form = object(json!({
            "email": format!("jane{number}@example.com"), "name": text(&mut chance), "honeypot": true, "fill_ms": 7,
        }));
        let fields =
            ["email", "phone", "name", "message", "transaction_id", "consent", "honeypot", "fill_ms", "gpc", "gclid"];
        let answer = send(&stage, "/t/l", &[], &spoilt(&mut chance, form, &fields)).await;
        leads += i64::from(answer.status == StatusCode::CREATED);
    }

    // As many rows as calls were accepted, which both kinds were.
    assert!(visits > 300 && events > 100 && leads > 50, "{visits} {events} {leads}");
    assert_eq!(stage.value::<i64>("select count(*) from public.visitors").await, visits);
    assert_eq!(stage.value::<i64>("select count(*) from public.tracking_events").await, events);
    assert_eq!(stage.value::<i64>("select count(*) from public.leads").await, leads);
    for table in ["conversions", "conversion_queue", "inbox"] {
        assert_eq!(stage.value::<i64>(&format!("select count(*) from public.{table}")).await, 0, "{table}");
    }
    let wrong = "select landing_page from public.visitors
                 where landing_page ~* '^[a-z][a-z0-9+.-]*:' and landing_page !~ '^https?://'
                     or landing_page ~ '[\\u0001-\\u001f]' or length(landing_page) > 2048
                     or gclid !~ '^[A-Za-z0-9_-]+$' or gbraid !~ '^[A-Za-z0-9_-]+$' or length(gclid) > 512
                     or length(session_attributes) > 4096 or bot_score not in (0, 50)";
    assert_eq!(json!(rows(&pool, wrong).await), json!([]));
    let wrong = "select spam_signs from public.leads where not spam_signs <@ '{honeypot,filled_in_7_ms}'
                 union all select array[event_name] from public.tracking_events where event_name !~ '^[A-Za-z]\\w*$'";
    assert_eq!(json!(rows(&pool, wrong).await), json!([]));
    let sessions = "select session_attributes from public.visitors where session_attributes is not null";
    let sessions = rows(&pool, sessions).await;
    assert!(sessions.len() > 50, "{}", sessions.len());
    for session in sessions {
        let json = URL_SAFE_NO_PAD.decode(session["session_attributes"].as_str().unwrap()).unwrap();
        assert!(serde_json::from_slice::<Value>(&json).unwrap().is_object());
    }
}
