use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{Answer, app, app_with, app_without_database, call, execute, fuzz, refuses_bad_input, row, rows, with};

use super::*;

const BROWSER: &str = "3f0c9a52-6d1e-4b7a-9c55-0e2f4d8a7b61";

fn in_browser(request: Request) -> Request {
    with(request, "cookie", &format!("adtrail_visitor={BROWSER}"))
}

fn said(body: &Value) -> Request {
    in_browser(testing::json_request(&ENDPOINT, body))
}

async fn has_visited(pool: &PgPool) {
    execute(pool, &format!("insert into public.visitors (visitor_id) values ('{BROWSER}')")).await;
}

async fn send(app: &App<Config>, request: Request) -> Answer {
    call(app, &ENDPOINT, request, handle).await
}

const STATEMENTS: &str =
    "select visitor_id, purpose, value, source, stated_at from public.consent_statements order by id";
const VISITOR: &str = "select ad_user_data, ad_personalization, consent_recorded_at from public.visitors";

#[sqlx::test(migrations = "../../migrations")]
async fn the_banners_answer_is_kept_and_repeating_it_changes_nothing(pool: PgPool) {
    let app = app(&pool);
    has_visited(&pool).await;
    let body = json!({"ad_user_data": "granted", "ad_personalization": "denied"});
    let stated = |purpose: &str, value: &str, at: &str| {
        json!({
            "visitor_id": BROWSER, "purpose": purpose, "value": value, "source": "banner",
            "stated_at": format!("2026-11-20T{at}:00:00+00:00"),
        })
    };
    let first = vec![stated("ad_user_data", "granted", "12"), stated("ad_personalization", "denied", "12")];
    for _ in 0..2 {
        let answer = send(&app, said(&body)).await;
        let expected = json!({"ad_user_data": "granted", "ad_personalization": "denied", "source": "banner"});
        assert_eq!((answer.status, answer.body), (200, expected));
        assert_eq!(rows(&pool, STATEMENTS).await, first);
    }

    app.clock.advance(TimeDelta::hours(1));
    let answer = send(&app, said(&json!({"ad_user_data": "denied"}))).await;
    assert_eq!((answer.status, &answer.body["ad_personalization"]), (200, &json!("unknown")));
    let all = [first, vec![stated("ad_user_data", "denied", "13")]].concat();
    assert_eq!(rows(&pool, STATEMENTS).await, all);
    let visitor = json!({
        "ad_user_data": "denied", "ad_personalization": "denied", "consent_recorded_at": "2026-11-20T13:00:00+00:00",
    });
    assert_eq!(row(&pool, VISITOR).await, visitor);
}

#[sqlx::test(migrations = "../../migrations")]
async fn global_privacy_control_denies_whatever_the_banner_says(pool: PgPool) {
    let app = app(&pool);
    has_visited(&pool).await;
    let request = said(&json!({"ad_user_data": "granted"}));
    let answer = send(&app, with(request, "sec-gpc", "1")).await;
    let expected = json!({"ad_user_data": "denied", "ad_personalization": "denied", "source": "gpc"});
    assert_eq!((answer.status, answer.body), (200, expected));
    let visitor = row(&pool, VISITOR).await;
    assert_eq!((&visitor["ad_user_data"], &visitor["ad_personalization"]), (&json!("denied"), &json!("denied")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_browser_without_a_visitor_is_told_to_report_the_visit_first(pool: PgPool) {
    let app = app(&pool);
    let body = json!({"ad_user_data": "denied"});
    for request in [testing::json_request(&ENDPOINT, &body), said(&body)] {
        let answer = send(&app, request).await;
        assert_eq!((answer.status, &answer.body["type"]), (409, &json!("/problems/unknown-visitor")));
    }
    assert!(rows(&pool, STATEMENTS).await.is_empty());
}

#[tokio::test]
async fn an_unavailable_database_is_a_503() {
    let answer = send(&app_without_database(&[]), said(&json!({"ad_user_data": "denied"}))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_is_refused_and_leaves_nothing(pool: PgPool) {
    let app = app(&pool);
    let valid = json!({"ad_user_data": "granted", "ad_personalization": "denied"});
    has_visited(&pool).await;
    refuses_bad_input((&app, &pool), &ENDPOINT, handle, in_browser, &valid, &[]).await;
    for nothing in [json!({}), json!({"ad_user_data": "unknown"}), json!({"consent": {"ad_user_data": "granted"}})] {
        let answer = send(&app, said(&nothing)).await;
        assert_eq!((answer.status, answer.pointers()), (400, vec![""]), "{nothing}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_answer_is_taken_as_it_is_written(pool: PgPool) {
    let app = app(&pool);
    has_visited(&pool).await;
    for (written, status, is_warned) in [
        (json!("yes"), "granted", false),
        (json!("GRANTED"), "granted", false),
        (json!(true), "granted", false),
        (json!(1), "granted", false),
        (json!(["granted"]), "granted", false),
        (json!(" Opt-Out "), "denied", false),
        (json!(false), "denied", false),
        (json!("perhaps"), "unknown", true),
        (json!(2), "unknown", true),
        (json!({}), "unknown", true),
        (json!(["granted", "denied"]), "unknown", true),
    ] {
        let answer = send(&app, said(&json!({"ad_user_data": written}))).await;
        assert_eq!((answer.status, &answer.body["ad_user_data"]), (200, &json!(status)), "{written}");
        let warned = answer.body.pointer("/warnings/0/pointer");
        assert_eq!(warned, is_warned.then(|| json!("/ad_user_data")).as_ref(), "{written}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn random_input_breaks_nothing(pool: PgPool) {
    has_visited(&pool).await;
    let valid = json!({"ad_user_data": "granted", "ad_personalization": "denied"});
    // All of it comes from one browser.
    let app = app_with(&pool, &[("VISITS_PER_HOUR", "100000")]);
    fuzz(&app, &ENDPOINT, handle, 2_000, &[valid], |body| in_browser(testing::request(&ENDPOINT, body))).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn above_its_limit_a_browsers_yes_is_not_kept_and_its_no_is(pool: PgPool) {
    let app = app_with(&pool, &[("VISITS_PER_HOUR", "10")]);
    has_visited(&pool).await;
    let yes = json!({"ad_user_data": "granted", "ad_personalization": "granted"});
    let mixed = json!({"ad_user_data": "denied", "ad_personalization": "granted"});
    assert_eq!(send(&app, said(&json!({"ad_user_data": "granted"}))).await.status, 200);
    let refused = send(&app, said(&yes)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "3601"));
    assert_eq!(rows(&pool, STATEMENTS).await.len(), 1);
    assert_eq!(send(&app, said(&mixed)).await.status, 429, "a part of it wasn't kept");
    for _ in 0..3 {
        assert_eq!(send(&app, said(&json!({"ad_user_data": "denied"}))).await.status, 200);
    }
    let visitor = row(&pool, VISITOR).await;
    assert_eq!((&visitor["ad_user_data"], &visitor["ad_personalization"]), (&json!("denied"), &json!("unknown")));
    let said: Vec<_> = rows(&pool, STATEMENTS).await.into_iter().map(|row| row["value"].clone()).collect();
    assert_eq!(said, ["granted", "denied"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_answer_on_analytics_alone_is_taken_and_says_nothing_about_ads(pool: PgPool) {
    let app = app(&pool);
    has_visited(&pool).await;
    let answer = send(&app, said(&json!({"analytics_storage": "denied"}))).await;
    assert_eq!((answer.status, &answer.body["ad_user_data"]), (200, &json!("unknown")));
    assert_eq!(rows(&pool, STATEMENTS).await.len(), 0);
    let answer = send(&app, said(&json!({"ad_user_data": "granted", "gpc": true}))).await;
    assert_eq!((&answer.body["ad_user_data"], &answer.body["source"]), (&json!("denied"), &json!("gpc")));
}
