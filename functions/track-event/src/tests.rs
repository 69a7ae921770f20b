use chrono::TimeDelta;
use serde_json::{Map, Value};
use shared::visitors::VisitorId;
use sqlx::PgPool;
use testing::{
    Answer, app, app_with, app_without_database, call, execute, from_address, fuzz, refuses_bad_input, row, rows, with,
};

use super::*;

async fn send(app: &App<Config>, body: &Value) -> Answer {
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

/// An event with this id in `form`, from the browser with this cookie; its status.
async fn sent_by(app: &App<Config>, visitor: &str, id: &str, form: &str) -> Value {
    let event = json!({"event_name": "form_start", "event_id": id, "params": {"form": form}});
    let request = with(testing::json_request(&ENDPOINT, &event), "cookie", &format!("adtrail_visitor={visitor}"));
    let answer = call(app, &ENDPOINT, request, handle).await;
    assert_eq!((answer.status, &answer.body["event_id"]), (202, &event["event_id"]), "{visitor}");
    answer.body["status"].clone()
}

async fn visitors<const N: usize>(pool: &PgPool) -> [String; N] {
    let visitors = [(); N].map(|()| VisitorId::mint().to_string());
    execute(pool, &format!("insert into public.visitors (visitor_id) values ('{}')", visitors.join("'), ('"))).await;
    visitors
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_id_that_another_visitor_used_does_not_swallow_an_event(pool: PgPool) {
    let app = app(&pool);
    let [first, second, third] = visitors(&pool).await;
    let id = "form_start:1764000000";
    for status in ["stored", "duplicate"] {
        for visitor in [&first, &second, &third] {
            assert_eq!(sent_by(&app, visitor, id, "contact").await, status, "{visitor}");
        }
    }
    let stored = rows(&pool, &format!("{EVENT} order by created_at, length(event_id)")).await;
    assert_eq!((stored.len(), &stored[0]["event_id"], &stored[0]["visitor_id"]), (3, &json!(id), &json!(first)));

    execute(&pool, "delete from public.visitors").await;
    let left = rows(&pool, EVENT).await;
    assert!(left.len() == 3 && left.iter().all(|row| row["visitor_id"].is_null()), "{left:?}");
    let shown = json!(left).to_string();
    let is_told = [first, second, third].iter().any(|visitor| shown.contains(visitor));
    assert!(!is_told, "the keys don't tell who was erased: {shown}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_retry_is_the_same_event_whether_or_not_the_cookie_came_in_between(pool: PgPool) {
    let app = app(&pool);
    let [jane, joe] = &visitors(&pool).await;
    // One that isn't stored counts as none.
    let (nobody, forged) = (&String::new(), &VisitorId::mint().to_string());
    let mut cases = Vec::new();
    for before in [nobody, forged, jane] {
        for (after, form) in [nobody, forged, jane, joe].map(|it| [(it, "contact"), (it, "other")]).concat() {
            let anonymous_before = before != jane;
            let known_after = after == jane || after == joe;
            let is_new = if anonymous_before { known_after && form == "other" } else { after == joe };
            cases.push((before, after, form, is_new));
        }
    }
    assert_eq!(cases.iter().filter(|(.., is_new)| *is_new).count(), 6);
    for (nth, (before, after, form, is_new)) in cases.into_iter().enumerate() {
        let id = format!("form_start:{nth}");
        let case = format!("'{before}', then '{after}' with {form}");
        assert_eq!(sent_by(&app, before, &id, "contact").await, "stored", "{case}");
        assert_eq!(sent_by(&app, after, &id, form).await, if is_new { "stored" } else { "duplicate" }, "{case}");
        for (visitor, form) in [(before, "contact"), (after, form)] {
            assert_eq!(sent_by(&app, visitor, &id, form).await, "duplicate", "{case}, repeated");
        }
        let stored = rows(&pool, &format!("{EVENT} where split_part(event_id, '/', 1) = '{id}'")).await;
        assert_eq!(stored.len(), if is_new { 2 } else { 1 }, "{case}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_sent_several_times_at_once_is_stored_once(pool: PgPool) {
    let app = app(&pool);
    let [jane, stranger] = &visitors(&pool).await;
    for is_taken in [false, true] {
        for nth in 0..10 {
            let id = format!("{is_taken}:{nth}");
            if is_taken {
                assert_eq!(sent_by(&app, stranger, &id, "contact").await, "stored");
            }
            // Without the cookie it repeats whatever has the id.
            let first = if is_taken { jane.as_str() } else { "" };
            let sent = |visitor| sent_by(&app, visitor, &id, "contact");
            let statuses = tokio::join!(sent(first), sent(jane), sent(jane), sent(first));
            let statuses = [statuses.0, statuses.1, statuses.2, statuses.3];
            assert_eq!(statuses.iter().filter(|status| *status == "stored").count(), 1, "{id}: {statuses:?}");
            let stored = rows(&pool, &format!("{EVENT} where split_part(event_id, '/', 1) = '{id}'")).await;
            assert_eq!(stored.len(), 1 + usize::from(is_taken), "{id}");
        }
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
    let longest = "y".repeat(128);
    for visitor in visitors::<2>(&pool).await {
        assert_eq!(sent_by(&app, &visitor, &longest, "contact").await, "stored");
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
    let mut bad = vec![("/params", params(26))];
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
async fn no_event_is_lost_for_its_address_or_for_what_it_says_of_consent(pool: PgPool) {
    let app = app(&pool);
    let long = format!("https://www.example.com/{}", "x".repeat(9_000));
    for (nth, (field, said, column, stored, warned)) in [
        ("page_url", json!(long), "page_url", json!(&long[..8_192]), None),
        ("page_url", json!(7), "page_url", json!(null), Some("/page_url")),
        (
            "page_url",
            json!("https://www.example.com/\u{1b}[2J"),
            "page_url",
            json!("https://www.example.com/[2J"),
            None,
        ),
        ("consent", json!({"ad_user_data": true}), "ad_user_data", json!("granted"), None),
        ("consent", json!({"ad_user_data": "No"}), "ad_user_data", json!("denied"), None),
        ("consent", json!({"ad_user_data": "?"}), "ad_user_data", json!("unknown"), Some("/consent/ad_user_data")),
        (
            "consent",
            json!({"analytics_storage": "ok?"}),
            "analytics_storage",
            json!("unknown"),
            Some("/consent/analytics_storage"),
        ),
        ("consent", json!("granted"), "ad_user_data", json!("granted"), Some("/consent")),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("odd-{nth}");
        let answer = send(&app, &json!({"event_name": "sign_up", "event_id": id, field: said})).await;
        assert_eq!(
            (answer.status, answer.body.pointer("/warnings/0/pointer")),
            (202, warned.map(|it| json!(it)).as_ref()),
            "{id}"
        );
        let kept =
            row(&pool, &format!("select {column} as kept from public.tracking_events where event_id = '{id}'")).await;
        assert_eq!(kept["kept"], stored, "{id}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn random_input_breaks_nothing(pool: PgPool) {
    let valid = [
        json!({"event_name": "generate_lead", "params": {"value": 1, "form": "contact"}}),
        json!({"event_name": "purchase", "event_id": "0b7e", "page_url": "https://www.example.com/", "params": {"a": {"b": [1]}}}),
    ];
    fuzz(&app(&pool), &ENDPOINT, handle, 3_000, &valid, |body| testing::request(&ENDPOINT, body)).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn above_its_limit_a_caller_waits_for_the_next_hour(pool: PgPool) {
    let app = app_with(&pool, &[("EVENTS_PER_HOUR", "20")]);
    let visitors = [(); 2].map(|()| VisitorId::mint().to_string());
    let event = async |app: &App<Config>, address: &str, visitor: &str| {
        let request = testing::json_request(&ENDPOINT, &json!({"event_name": "scroll"}));
        let request = with(from_address(request, address), "cookie", &format!("adtrail_visitor={visitor}"));
        call(app, &ENDPOINT, request, handle).await
    };
    // One browser has a tenth of its network's limit.
    for (call, status) in [202, 202, 429].into_iter().enumerate() {
        assert_eq!(event(&app, "192.0.2.1", &visitors[0]).await.status, status, "call {call}");
    }
    for call in 3..=20 {
        assert_eq!(event(&app, "192.0.2.1", "").await.status, 202, "call {call}");
    }
    let refused = event(&app, "192.0.2.1", &visitors[1]).await;
    assert_eq!((refused.status, &refused.body["type"]), (429, &json!("/problems/too-many-requests")));
    assert_eq!(refused.header("retry-after"), "3601");
    assert_eq!(rows(&pool, EVENT).await.len(), 20);
    // Others are not affected, and an hour later nobody is.
    assert_eq!(event(&app, "192.0.2.2", &visitors[1]).await.status, 202);
    app.clock.advance(TimeDelta::hours(1));
    assert_eq!(event(&app, "192.0.2.1", &visitors[0]).await.status, 202);
}

const DESTINATIONS: &str = r#"
[all]
platform = "google-analytics"
measurement_id = "G-ABC1234567"
property_id = 123456789

[leads]
platform = "google-analytics"
measurement_id = "G-XYZ1234567"
property_id = 123456789
events = ["generate_lead"]
"#;

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_is_queued_once_for_each_destination_that_wants_it_and_may_have_it(pool: PgPool) {
    let app = app_with(&pool, &[("DESTINATIONS", DESTINATIONS), ("CONSENT_UNKNOWN", "hold")]);
    let [visitor] = visitors(&pool).await;
    let of_google = "_ga=GA1.1.123.456; _ga_XYZ1234567=GS1.1.1700000000.5.1".to_owned();
    let ours = format!("adtrail_visitor={visitor}");
    let granted = json!({"analytics_storage": "granted"});
    let denied = json!({"analytics_storage": "denied"});
    for (nth, (name, more, cookies, queued)) in [
        ("generate_lead", json!({"consent": granted}), &of_google, "all, leads"),
        ("sign_up", json!({"consent": granted}), &of_google, "all"),
        ("sign_up", json!({"consent": granted}), &ours, "all"),
        ("sign_up", json!({"consent": granted}), &String::new(), ""),
        ("sign_up", json!({"consent": denied}), &of_google, ""),
        ("sign_up", json!({}), &of_google, ""),
        ("sign_up", json!({"consent": granted, "sent_by": "gtag"}), &of_google, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = json!({"event_name": name, "event_id": format!("e{nth}"), "gpc": true});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for repeated in ["stored", "duplicate"] {
            let request = with(testing::json_request(&ENDPOINT, &event), "cookie", cookies);
            assert_eq!(call(&app, &ENDPOINT, request, handle).await.body["status"], repeated, "{event}");
            let rows = format!(
                "select coalesce(string_agg(destination, ', ' order by destination), '') as queued
                 from public.event_queue q join public.tracking_events e on e.id = q.event where event_id = 'e{nth}'"
            );
            assert_eq!(row(&pool, &rows).await["queued"], queued, "{event} with {cookies}");
        }
    }
    let stored = "select ga_client_id, ga_sessions, ad_user_data from public.tracking_events where event_id = ";
    let expected =
        json!({"ga_client_id": "123.456", "ga_sessions": {"G-XYZ1234567": 1_700_000_000}, "ad_user_data": "denied"});
    assert_eq!(row(&pool, &format!("{stored}'e0'")).await, expected);
    let expected = json!({"ga_client_id": null, "ga_sessions": {}, "ad_user_data": "denied"});
    assert_eq!(row(&pool, &format!("{stored}'e4'")).await, expected, "nothing is kept that isn't sent");
    refuses_bad_input(
        (&app, &pool),
        &ENDPOINT,
        handle,
        |request| request,
        &json!({"event_name": "sign_up", "consent": {}}),
        &[("/sent_by", json!("gtm")), ("/sent_by", json!(7))],
    )
    .await;
}
