use serde_json::{Map, Value};
use shared::visitors::VisitorId;
use sqlx::PgPool;
use testing::{Answer, app, app_without_database, call, execute, fuzz, refuses_bad_input, row, rows, with};

use super::*;

async fn send(app: &App<()>, body: &Value) -> Answer {
    call(app, &ENDPOINT, testing::json_request(&ENDPOINT, body), handle).await
}

const EVENT: &str = "select event_id, event_name, visitor_id, params, page_url, created_at from public.tracking_events";

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_is_stored_once_per_id(pool: PgPool) {
    let app = app(&pool);
    let event = json!({
        "event_name": "generate_lead", "event_id": "0b7e:1", "params": {"value": 1, "items": [{"name": "ü"}]},
        "page_url": "https://www.example.com/lp",
    });
    let first = send(&app, &event).await;
    assert_eq!((first.status, &first.body), (202, &json!({"event_id": "0b7e:1", "status": "stored"})));
    let stored = row(&pool, EVENT).await;
    let expected = json!({
        "event_id": "0b7e:1", "event_name": "generate_lead", "visitor_id": null, "params": event["params"],
        "page_url": "https://www.example.com/lp", "created_at": "2026-11-20T12:00:00+00:00",
    });
    assert_eq!(stored, expected);

    let again = json!({"event_name": "another_name", "event_id": "0b7e:1"});
    for repeated in [&event, &again] {
        let answer = send(&app, repeated).await;
        assert_eq!((answer.status, answer.body), (202, json!({"event_id": "0b7e:1", "status": "duplicate"})));
    }
    assert_eq!(row(&pool, EVENT).await, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_an_id_each_call_is_an_event(pool: PgPool) {
    let app = app(&pool);
    let bare = json!({"event_name": "sign_up", "event_id": "", "params": null});
    let (one, two) = (send(&app, &bare).await, send(&app, &bare).await);
    assert_ne!(one.body["event_id"], two.body["event_id"]);
    let stored = rows(&pool, EVENT).await;
    assert_eq!((stored.len(), &stored[0]["params"]), (2, &json!({})));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_visitor_is_the_cookies_if_there_is_one(pool: PgPool) {
    let app = app(&pool);
    let (known, unknown) = (VisitorId::mint().to_string(), VisitorId::mint().to_string());
    execute(&pool, &format!("insert into public.visitors (visitor_id) values ('{known}')")).await;
    for (id, stored) in [(&known, json!(known)), (&unknown, Value::Null), (&"forged".to_owned(), Value::Null)] {
        let request = testing::json_request(&ENDPOINT, &json!({"event_name": "scroll", "event_id": id}));
        let answer = call(&app, &ENDPOINT, with(request, "cookie", &format!("adtrail_visitor={id}")), handle).await;
        assert_eq!((answer.status, &answer.body["status"]), (202, &json!("stored")), "{id}");
        assert_eq!(row(&pool, &format!("{EVENT} where event_id = '{id}'")).await["visitor_id"], stored, "{id}");
    }
}

fn params(count: usize) -> Value {
    (0..count).map(|nth| (format!("p{nth}"), json!(nth))).collect::<Map<_, _>>().into()
}

#[sqlx::test(migrations = "../../migrations")]
async fn values_at_the_limit_are_accepted(pool: PgPool) {
    let app = app(&pool);
    for (field, value) in [
        ("event_name", json!(format!("a{}", "_".repeat(39)))),
        ("event_name", json!("Z")),
        ("event_id", json!("x".repeat(128))),
        ("event_id", json!("aZ09_.:-")),
        ("params", params(25)),
        ("params", json!({"p": 1e308, "q": -0.0, "r": u64::MAX, "s": i64::MIN, "t": "x".repeat(9_000)})),
        ("params", json!({format!("p{}", "0".repeat(39)): {"nested": [[[[[[[[[[[[1]]]]]]]]]]]]}})),
        ("page_url", json!("ü".repeat(8_000))),
        ("page_url", json!("x".repeat(8_192))),
    ] {
        let mut event = json!({"event_name": "purchase"});
        event[field] = value;
        let answer = send(&app, &event).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (202, &json!("stored")),
            "{event} is answered {:?}",
            answer.body
        );
    }
}

#[tokio::test]
async fn an_unavailable_database_is_a_503() {
    let answer = send(&app_without_database(&[]), &json!({"event_name": "sign_up"})).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_is_refused_and_leaves_nothing(pool: PgPool) {
    let app = app(&pool);
    let valid = json!({
        "event_name": "generate_lead", "event_id": "0b7e", "params": {"form": "contact"}, "page_url": "https://www.example.com/",
    });
    let mut bad = vec![
        ("/page_url", json!("x".repeat(8_193))),
        ("/page_url", json!(7)),
        ("/page_url", json!("https://www.example.com/\u{1b}[2J")),
        ("/params", params(26)),
    ];
    for name in [
        json!(null),
        json!(""),
        json!(7),
        json!([]),
        json!(format!("a{}", "_".repeat(40))),
        json!("1st"),
        json!("_first"),
        json!("with space"),
        json!("with-hyphen"),
        json!("größe"),
        json!("a\nb"),
    ] {
        if let Some(name) = name.as_str() {
            bad.push(("/params", json!({name: 1})));
        }
        bad.push(("/event_name", name));
    }
    for id in [json!("x".repeat(129)), json!("a b"), json!("a/b"), json!("ä"), json!(7), json!({}), json!(true)] {
        bad.push(("/event_id", id));
    }
    for params in [json!([]), json!("value=1"), json!(1), json!(false)] {
        bad.push(("/params", params));
    }
    refuses_bad_input((&app, &pool), &ENDPOINT, handle, |request| request, &valid, &bad).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn random_input_breaks_nothing(pool: PgPool) {
    let valid = [
        json!({"event_name": "generate_lead", "params": {"value": 1, "form": "contact"}}),
        json!({"event_name": "purchase", "event_id": "0b7e", "page_url": "https://www.example.com/", "params": {"a": {"b": [1]}}}),
    ];
    fuzz(&app(&pool), &ENDPOINT, handle, 3_000, &valid, |body| testing::request(&ENDPOINT, body)).await;
}
