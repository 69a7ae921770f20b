mod former_spellings;

use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::identity::Hash;
use shared::intake;
use shared::visitors::VisitorId;
use sqlx::PgPool;
use testing::sqs::{SPOOL, Sqs};
use testing::{
    Answer, app, app_with, app_without_database, call, cookie_value, execute, fuzz, refuses_bad_input, row, row_counts,
    rows, waiting_deal, with,
};

use super::*;

mod elsewhere;

async fn send(app: &App<Config>, request: Request) -> Answer {
    call(app, &ENDPOINT, request, handle).await
}

fn form(body: &Value) -> Request {
    testing::json_request(&ENDPOINT, body)
}

const LEAD: &str = "select * from public.leads";

async fn lead(pool: &PgPool, answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    row(pool, &format!("{LEAD} where id = '{}'", answer.body["lead_id"].as_str().unwrap())).await
}

/// As the uploader's next run does.
async fn match_waiting(pool: &PgPool) {
    let app = testing::app::<intake::Config>(pool);
    app.db.tx(async |tx| testing::match_waiting(tx, &app.config, &app.clock, 100).await).await.unwrap();
}

/// The row's columns of these names.
fn expect(stored: &Value, expected: &Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&stored[column], value, "{column}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_form_becomes_a_lead(pool: PgPool) {
    let app = app(&pool);
    let body = json!({
        "email": " Jane.Doe+x@GMail.com ", "phone": "+49 30 23125-123", "name": "Jane Dœ", "message": "Line\none",
        "transaction_id": "lead-7f3c",
    });
    let answer = send(&app, with(form(&body), "origin", testing::ORIGIN)).await;
    assert_eq!(answer.header("access-control-allow-origin"), testing::ORIGIN);
    assert_eq!((&answer.body["transaction_id"], &answer.body["status"]), (&json!("lead-7f3c"), &json!("created")));
    let expected = json!({
        "email": "jane.doe+x@gmail.com", "name": "Jane Dœ", "message": "Line\none", "phone": "+49 30 23125-123",
        "email_hash": Hash::of("jane.doe+x@gmail.com"), "email_hash_google": null,
        "phone_hash": Hash::of("+493023125123"), "phone_hash_digits": Hash::of("493023125123"),
        "conversion_status": "new", "visitor_id": null, "gclid": null, "click_at": null,
        "created_at": "2026-11-20T12:00:00+00:00",
    });
    expect(&lead(&pool, &answer).await, &expected);
    assert_eq!(answer.body.get("warnings"), None);
}

#[sqlx::test(migrations = "../../migrations")]
async fn nobody_is_lost_for_a_text_that_does_not_fit(pool: PgPool) {
    let app = app(&pool);
    let long = "ä".repeat(5_001);
    for (nth, (field, sent, stored)) in [
        ("name", "x".repeat(201), json!("x".repeat(200))),
        ("message", long.clone(), json!(&long[..10_000])),
        ("message", "a bell \u{7} and\u{b}a tab".into(), json!("a bell  anda tab")),
        ("phone", "call me".into(), json!(null)),
        ("phone", format!("+49 30 {}", "1".repeat(60)), json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"email": "jane@example.com", "transaction_id": format!("t-{nth}"), field: sent});
        let answer = send(&app, form(&body)).await;
        assert_eq!((answer.status, &lead(&pool, &answer).await[field]), (201, &stored), "{field}");
        assert_eq!(answer.body["warnings"][0]["field"], field);
    }
    // Half of an emoji, as scripts that cut texts leave it.
    let cut = r#"{"email": "jane@example.com", "message": "\\ud83d\ud83d\ude00 \ud83d"}"#;
    let mut request = form(&json!({}));
    *request.body_mut() = cut.into();
    let answer = send(&app, request).await;
    assert_eq!(lead(&pool, &answer).await["message"], "\\ud83d\u{1f600} \u{fffd}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_phone_that_cannot_be_matched_is_stored_with_a_warning(pool: PgPool) {
    let app = app(&pool);
    let in_germany = app_with(&pool, &[("PHONE_DEFAULT_REGION", "DE")]);
    // A number without its country could be anybody's.
    let national = json!({"email": "jane@example.com", "phone": "030 23125123", "transaction_id": "t"});
    let answer = send(&app, form(&national)).await;
    expect(&lead(&pool, &answer).await, &json!({"phone": "030 23125123", "phone_hash": null}));
    let warnings = answer.body["warnings"].clone();
    assert_eq!((warnings.as_array().map(Vec::len), &warnings[0]["field"]), (Some(1), &json!("phone")));
    let detail = warnings[0]["detail"].as_str().unwrap();
    assert!(detail.contains("PHONE_DEFAULT_REGION") && !detail.contains("23125123"), "{detail}");
    let again = send(&app, form(&national)).await;
    assert_eq!((again.status, &again.body["warnings"]), (200, &warnings), "whoever repeats it may have missed it");

    for (app, phone, hash, said) in [
        (&in_germany, "030 23125123", Some("+493023125123"), Some("a guess")),
        (&in_germany, "0049 (30) 23125-123", Some("+493023125123"), None),
        (&in_germany, "+1 800-555-0100", Some("+18005550100"), None),
        (&in_germany, "000000", None, Some("in DE")),
        (&app, "+49 (0)30 23125123", Some("+493023125123"), None),
        (&app, "+49 30", None, Some("any country")),
    ] {
        let answer = send(app, form(&json!({"email": "jane@example.com", "phone": phone}))).await;
        let stored = lead(&pool, &answer).await;
        expect(&stored, &json!({"phone": phone, "phone_hash": hash.map(Hash::of)}));
        let detail = answer.body.pointer("/warnings/0/detail").and_then(Value::as_str);
        assert_eq!(detail.is_some(), said.is_some(), "{phone}: {detail:?}");
        assert!(detail.unwrap_or_default().contains(said.unwrap_or_default()), "{phone}: {detail:?}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_gives_away_a_program_is_kept_and_changes_nothing(pool: PgPool) {
    let app = app(&pool);
    let plain = json!({"email": "jane@example.com", "transaction_id": "t"});
    let expected = send(&app, form(&plain)).await;
    assert_eq!(lead(&pool, &expected).await["spam_signs"], json!([]));
    for (nth, (signs, kept)) in [
        (json!({"honeypot": true}), json!(["honeypot"])),
        (json!({"fill_ms": 850}), json!(["filled_in_850_ms"])),
        (json!({"fill_ms": 850.4, "honeypot": true}), json!(["honeypot", "filled_in_850_ms"])),
        (json!({"fill_ms": 0}), json!(["filled_in_0_ms"])),
        (json!({"fill_ms": 2_000, "honeypot": false}), json!([])),
        (json!({"fill_ms": -1}), json!([])),
        (json!({"fill_ms": "850", "honeypot": "true", "gpc": "1", "why": 7}), json!([])),
        (json!({"fill_ms": {"a": 1}, "honeypot": [true]}), json!([])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(signs.as_object().unwrap().clone());
        let repeated = send(&app, form(&body)).await;
        assert_eq!((repeated.status, &repeated.body["status"]), (200, &json!("duplicate")), "{signs}");
        body["transaction_id"] = format!("t-{nth}").into();
        let mut answer = send(&app, form(&body)).await;
        assert_eq!(lead(&pool, &answer).await["spam_signs"], kept, "{signs}");
        for own in ["lead_id", "transaction_id"] {
            answer.body[own] = expected.body[own].clone();
        }
        assert_eq!((answer.status, answer.body), (201, expected.body.clone()), "{signs}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_page_may_say_that_global_privacy_control_is_on(pool: PgPool) {
    let app = app(&pool);
    let consent = json!({"ad_user_data": "granted", "ad_personalization": "granted", "analytics_storage": "granted"});
    for (gpc, stored) in [(json!(true), "denied"), (json!(false), "granted"), (json!(null), "granted")] {
        let answer = send(&app, form(&json!({"email": "jane@example.com", "gpc": gpc, "consent": consent}))).await;
        expect(&lead(&pool, &answer).await, &json!({"ad_user_data": stored, "ad_personalization": stored}));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_forms_own_session_attributes_come_before_the_visits(pool: PgPool) {
    let app = app(&pool);
    let visitor = VisitorId::mint();
    execute(
        &pool,
        &format!("insert into public.visitors (visitor_id, session_attributes) values ('{visitor}', 'e30')"),
    )
    .await;
    for (of_form, kept) in [(json!("eyJhIjoxfQ"), "eyJhIjoxfQ"), (json!(null), "e30")] {
        let body = json!({"email": "jane@example.com", "session_attributes": of_form});
        let answer = send(&app, with(form(&body), "cookie", &format!("adtrail_visitor={visitor}"))).await;
        expect(&lead(&pool, &answer).await, &json!({"session_attributes": kept}));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn session_attributes_reach_the_conversion(pool: PgPool) {
    let app = app(&pool);
    for email in ["with@example.com", "without@example.com"] {
        waiting_deal(email, email).store(&pool).await;
    }
    let captured = "eyJnYWRfc291cmNlIjoiMSJ9.-_+/=";
    let with = send(&app, form(&json!({"email": "with@example.com", "session_attributes": captured}))).await;
    expect(&lead(&pool, &with).await, &json!({"session_attributes": captured}));
    let without = send(&app, form(&json!({"email": "without@example.com", "session_attributes": ""}))).await;
    expect(&lead(&pool, &without).await, &json!({"session_attributes": null}));
    match_waiting(&pool).await;
    let copied = rows(&pool, "select session_attributes from public.conversions order by crm_deal_id").await;
    assert_eq!(json!(copied), json!([{"session_attributes": captured}, {"session_attributes": null}]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_same_form_again_is_a_duplicate_and_another_one_a_conflict(pool: PgPool) {
    let app = app(&pool);
    let body = json!({
        "email": "jane@example.com", "phone": "+49 30 23125123", "name": "Jane", "message": "Hello", "transaction_id": "t-1",
        "consent": {"marketing": true, "data_processing": true, "ad_user_data": "granted", "ad_personalization": "granted"},
    });
    let first = send(&app, form(&body)).await;
    let (before, stored) = (row_counts(&pool).await, row(&pool, LEAD).await);
    app.clock.advance(TimeDelta::minutes(5));
    let mut shouted = body.clone();
    shouted["email"] = json!("JANE@example.com");
    shouted["utm_source"] = json!("elsewhere");
    for repeated in [&body, &shouted] {
        let again = send(&app, form(repeated)).await;
        let expected = json!({"lead_id": first.body["lead_id"], "transaction_id": "t-1", "status": "duplicate"});
        assert_eq!((again.status, &again.body), (200, &expected), "{repeated}");
    }
    for (pointer, value) in [
        ("/email", json!("joan@example.com")),
        ("/phone", json!("+49 30 23125124")),
        ("/name", json!(null)),
        ("/message", json!("Hello!")),
        ("/consent/marketing", json!(false)),
        ("/consent/data_processing", json!(null)),
        ("/consent/ad_user_data", json!("denied")),
        ("/consent/ad_personalization", json!("unknown")),
    ] {
        let mut other = body.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        let answer = send(&app, form(&other)).await;
        assert_eq!((answer.status, &answer.body["type"]), (409, &json!("/problems/conflict")), "{pointer}");
    }
    assert_eq!(row(&pool, LEAD).await, stored);
    assert_eq!(row_counts(&pool).await, before);

    let bare = json!({"email": "jane@example.com"});
    let (one, two) = (send(&app, form(&bare)).await, send(&app, form(&bare)).await);
    assert_ne!(one.body["transaction_id"], two.body["transaction_id"], "without an id each form is a lead");
    assert_eq!(rows(&pool, LEAD).await.len(), 3);
}

/// The form of this person with this key, from the browser with this cookie.
async fn sent_by(app: &App<Config>, visitor: &str, key: &str, email: &str) -> Answer {
    let body = json!({"email": email, "transaction_id": key});
    let answer = send(app, with(form(&body), "cookie", &format!("adtrail_visitor={visitor}"))).await;
    assert!(answer.status == 409 || answer.body["transaction_id"] == key, "{:?}", answer.body);
    answer
}

async fn visitors<const N: usize>(pool: &PgPool) -> [String; N] {
    let visitors = [(); N].map(|()| VisitorId::mint().to_string());
    execute(pool, &format!("insert into public.visitors (visitor_id) values ('{}')", visitors.join("'), ('"))).await;
    visitors
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_transaction_id_that_somebody_else_used_keeps_no_lead_out(pool: PgPool) {
    let app = app(&pool);
    let [jane, joe] = &visitors(&pool).await;
    let (mail, other) = ("jane@example.com", "other@example.com");
    // One that isn't stored counts as none.
    let (nobody, forged) = (&String::new(), &VisitorId::mint().to_string());
    let mut nth = 0;
    for before in [nobody, forged, jane] {
        for after in [nobody, forged, jane, joe] {
            for email in [mail, other] {
                nth += 1;
                let key = format!("lead-{nth}");
                let case = format!("'{before}', then '{after}' with {email}");
                let first = sent_by(&app, before, &key, mail).await;
                assert_eq!(first.status, 201, "{case}");
                let second = sent_by(&app, after, &key, email).await;
                let is_own = after == before || after == nobody || after == forged;
                let expected = if email == mail {
                    200
                } else if is_own {
                    409
                } else {
                    201
                };
                assert_eq!(second.status, expected, "{case}");
                assert_eq!(first.body["lead_id"] == second.body["lead_id"], email == mail, "{case}");

                let again = sent_by(&app, before, &key, mail).await;
                assert_eq!((again.status, &again.body["lead_id"]), (200, &first.body["lead_id"]), "{case}");
                let again = sent_by(&app, after, &key, email).await;
                assert_eq!(again.status, if expected == 409 { 409 } else { 200 }, "{case}");
                assert_eq!(again.body["lead_id"], second.body["lead_id"], "{case}");
                let another = sent_by(&app, after, &key, "another@example.com").await;
                let is_first_of_its_own = email == mail && !is_own;
                assert_eq!(another.status, if is_first_of_its_own { 201 } else { 409 }, "{case}");

                let stored = rows(&pool, &format!("{LEAD} where split_part(transaction_id, '/', 1) = '{key}'")).await;
                let others = usize::from(expected == 201 || is_first_of_its_own);
                assert_eq!(stored.len(), 1 + others, "{case}");
            }
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_form_sent_several_times_at_once_is_one_lead(pool: PgPool) {
    let app = app(&pool);
    let [jane, stranger] = &visitors(&pool).await;
    for is_taken in [false, true] {
        for nth in 0..10 {
            let key = format!("{is_taken}-{nth}");
            if is_taken {
                assert_eq!(sent_by(&app, stranger, &key, "stranger@example.com").await.status, 201);
            }
            let first = if is_taken { jane.as_str() } else { "" };
            let sent = |visitor| sent_by(&app, visitor, &key, "jane@example.com");
            let answers = tokio::join!(sent(first), sent(jane), sent(jane), sent(first));
            let answers = [answers.0, answers.1, answers.2, answers.3];
            assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{key}");
            assert!(answers.iter().all(|answer| answer.body["lead_id"] == answers[0].body["lead_id"]), "{key}");
            let stored = rows(&pool, &format!("{LEAD} where split_part(transaction_id, '/', 1) = '{key}'")).await;
            assert_eq!(stored.len(), 1 + usize::from(is_taken), "{key}");
        }
    }
}

fn cookie(visitor: &str, attribution: &Value) -> String {
    format!("adtrail_visitor={visitor}; adtrail_attribution={}", cookie_value(attribution.to_string().as_bytes()))
}

#[sqlx::test(migrations = "../../migrations")]
async fn attribution_comes_from_the_visitor_else_the_cookie_else_the_body(pool: PgPool) {
    let app = app(&pool);
    let [all, bare, unknown] = [(); 3].map(|()| VisitorId::mint().to_string());
    execute(
        &pool,
        &format!(
            "insert into public.visitors (
                visitor_id, gclid, click_at, utm_source, utm_term, first_seen_at, last_seen_at
             )
             values ('{all}', 'row', '2026-11-20 10:00Z', 'row', 'row', '2026-11-20 10:00Z', '2026-11-20 10:00Z'),
                ('{bare}', null, null, null, null, '2026-11-20 10:00Z', '2026-11-20 10:00Z')"
        ),
    )
    .await;
    let click = |at: &str| json!({"utm": {"source": "cookie"}, "click": {"wbraid": "cookie", "at": at}});
    let (older, newer) = (click("2026-11-20T09:00:00Z"), click("2026-11-20T11:00:00Z"));
    let (from_row, from_body) = (("2026-11-20T10:00:00+00:00", "row"), ("2026-11-20T12:00:00+00:00", "body"));
    let from_cookie = |at| (at, "cookie");
    // Visitor, attribution cookie; then the time and source of the click, the source of the UTMs, and whether the
    // visitor is known.
    let cases = [
        (&all, json!({}), from_row, "row", true),
        (&all, older.clone(), from_row, "row", true),
        (&all, newer.clone(), from_cookie("2026-11-20T11:00:00+00:00"), "row", true),
        (&bare, older.clone(), from_cookie("2026-11-20T09:00:00+00:00"), "cookie", true),
        (&bare, json!({}), from_body, "body", true),
        (&bare, json!({"utm": {"source": "cookie"}}), from_body, "cookie", true),
        (&unknown, newer, from_cookie("2026-11-20T11:00:00+00:00"), "cookie", false),
        (&unknown, json!({}), from_body, "body", false),
        (&unknown, json!({"click": {"wbraid": "a b", "at": "2026-11-20T11:00:00Z"}}), from_body, "body", false),
    ];
    for (visitor, attribution, (click_at, click), utm, known) in cases {
        let body = json!({"email": "jane@example.com", "gbraid": "body", "utm_source": "body", "utm_content": "body"});
        let answer = send(&app, with(form(&body), "cookie", &cookie(visitor, &attribution))).await;
        let id = |name: &str| if name == click { json!(name) } else { Value::Null };
        let expected = json!({
            "visitor_id": known.then_some(visitor), "click_at": click_at,
            // Ids of two clicks are never mixed.
            "gclid": id("row"), "gbraid": id("body"), "wbraid": id("cookie"),
            "utm_source": utm, "utm_term": (utm == "row").then_some("row"), "utm_content": (utm == "body").then_some("body"),
        });
        expect(&lead(&pool, &answer).await, &expected);
    }
    let nothing = lead(&pool, &send(&app, form(&json!({"email": "jane@example.com", "gclid": ""}))).await).await;
    expect(&nothing, &json!({"gclid": null, "click_at": null, "utm_source": null, "visitor_id": null}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_networks_click_comes_from_the_visitor_else_the_cookie_else_the_body(pool: PgPool) {
    let app = app(&pool);
    let visitor = VisitorId::mint().to_string();
    let [ten, eleven] = ["2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"];
    let row = json!({
        "google": {"gclid": "row", "at": ten}, "meta": {"fbclid": "row", "fbp": "row", "at": ten},
        "microsoft": {"msclkid": "row", "at": ten},
    });
    execute(&pool, &format!("insert into public.visitors (visitor_id, clicks) values ('{visitor}', '{row}')")).await;
    let of_cookie = json!({
        "click": {"gclid": "cookie", "at": "2026-11-20T09:00:00Z"},
        "clicks": {"meta": {"fbclid": "cookie", "at": eleven}, "linkedin": {"li_fat_id": "cookie", "at": ten}},
    });
    let body = json!({
        "email": "jane@example.com", "gclid": "body", "fbclid": "body", "fbp": "body", "msclkid": "body",
        "li_fat_id": "body", "ttclid": "E.C.P.body", "ttp": "body",
    });
    let cookies = format!("{}; _fbp=tag; _ttp=tag; li_fat_id=tag", cookie(&visitor, &of_cookie));
    let stored = lead(&pool, &send(&app, with(form(&body), "cookie", &cookies)).await).await;
    let expected = json!({
        "google": {"gclid": "row", "at": ten}, "meta": {"fbclid": "cookie", "fbp": "body", "at": eleven},
        "microsoft": {"msclkid": "row", "at": ten}, "linkedin": {"li_fat_id": "cookie", "at": ten},
        "tiktok": {"ttclid": "E.C.P.body", "ttp": "body", "at": "2026-11-20T12:00:00.000000Z"},
    });
    assert_eq!(stored["clicks"], expected);
    expect(&stored, &json!({"gclid": "row", "click_at": "2026-11-20T10:00:00+00:00"}));

    let fbc = "fb.1.1795168800000.body";
    let alone = json!({"email": "jane@example.com", "fbc": fbc, "msclkid": "body"});
    let stored = lead(&pool, &send(&app, form(&alone)).await).await;
    let of_body = json!({
        "meta": {"fbclid": "body", "fbc": fbc, "at": ten},
        "microsoft": {"msclkid": "body", "at": "2026-11-20T12:00:00.000000Z"},
    });
    assert_eq!(stored["clicks"], of_body);
    expect(&stored, &json!({"gclid": null, "click_at": null}));
}

/// Templates of forms send whatever is in a URL, and the person can't mend it.
#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_click_of_another_network_costs_a_warning_and_no_lead(pool: PgPool) {
    let app = app(&pool);
    let long = json!("x".repeat(10_240));
    for name in ["fbclid", "fbc", "fbp", "msclkid", "li_fat_id", "ttclid", "ttp"] {
        for wrong in
            [json!("a b"), json!("{fbclid}"), json!("a\u{7}b"), json!(7), json!(["a b"]), json!({}), long.clone()]
        {
            let answer = send(&app, form(&json!({"email": "jane@example.com", name: wrong}))).await;
            assert_eq!(answer.status, 201, "{name}: {wrong}");
            let [warning] = answer.body["warnings"].as_array().unwrap().as_slice() else { panic!("{}", answer.body) };
            assert_eq!(warning["field"], name);
            assert_eq!(lead(&pool, &answer).await["clicks"], json!({}), "{name}: {wrong}");
        }
    }
    let unknown = json!({"email": "jane@example.com", "xclid": "a", "clicks": {"google": {"gclid": "a"}}, "fbp": ""});
    let answer = send(&app, form(&unknown)).await;
    assert_eq!((answer.status, answer.body.get("warnings")), (201, None));
    assert_eq!(lead(&pool, &answer).await["clicks"], json!({}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_site_is_the_visitors_else_the_forms(pool: PgPool) {
    let app = app(&pool);
    let [known, siteless] = [(); 2].map(|()| VisitorId::mint().to_string());
    let visitors = format!("insert into public.visitors (visitor_id, site) values ('{known}', 'shop.example.com'), ");
    execute(&pool, &format!("{visitors} ('{siteless}', null)")).await;
    let (origin, referer) = (testing::ORIGIN, "https://Frame.example.com:8443/form?x");
    // Visitor, Origin, Referer, and the site.
    let cases = [
        (&known, origin, referer, json!("shop.example.com")),
        (&siteless, origin, referer, json!(testing::ORIGIN.trim_start_matches("https://"))),
        (&siteless, "", referer, json!("frame.example.com")),
        (&siteless, "", "not a URL", Value::Null),
        (&siteless, "", "", Value::Null),
    ];
    for (visitor, origin, referer, site) in cases {
        let mut request =
            with(form(&json!({"email": "jane@example.com"})), "cookie", &format!("adtrail_visitor={visitor}"));
        for (name, value) in [("origin", origin), ("referer", referer)] {
            if !value.is_empty() {
                request = with(request, name, value);
            }
        }
        assert_eq!(lead(&pool, &send(&app, request).await).await["site"], site, "{origin} {referer}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn consent_has_three_values_and_a_source(pool: PgPool) {
    let app = app(&pool);
    let asked = VisitorId::mint().to_string();
    execute(
        &pool,
        &format!(
            "insert into public.visitors (
                visitor_id, ad_user_data, ad_personalization, consent_recorded_at, first_seen_at
             )
             values ('{asked}', 'granted', 'denied', '2026-11-19 10:00Z', '2026-11-19 10:00Z')"
        ),
    )
    .await;
    let visit = format!("adtrail_visitor={asked}");
    let (now, then) = (json!("2026-11-20T12:00:00+00:00"), json!("2026-11-19T10:00:00+00:00"));
    let granted = json!({"ad_user_data": "granted", "ad_personalization": "granted"});
    // The form's consent, Sec-GPC, cookie; then the boxes, the two purposes, the source of the answer, and its time.
    let cases = [
        (json!(null), "", "", [json!(null), json!(null), json!("unknown"), json!("unknown"), json!(null), json!(null)]),
        (
            json!({"marketing": true}),
            "",
            "",
            [json!(true), json!(null), json!("unknown"), json!("unknown"), json!(null), now.clone()],
        ),
        (
            json!({"marketing": false, "data_processing": true}),
            "",
            "",
            [json!(false), json!(true), json!("unknown"), json!("unknown"), json!(null), now.clone()],
        ),
        (
            granted.clone(),
            "",
            "",
            [json!(null), json!(null), json!("granted"), json!("granted"), json!("form"), now.clone()],
        ),
        (
            json!({"ad_user_data": "denied"}),
            "",
            "",
            [json!(null), json!(null), json!("denied"), json!("unknown"), json!("form"), now.clone()],
        ),
        (
            json!({"ad_user_data": null, "ad_personalization": ""}),
            "",
            "",
            [json!(null), json!(null), json!("unknown"), json!("unknown"), json!(null), json!(null)],
        ),
        (json!({}), "", &visit, [json!(null), json!(null), json!("granted"), json!("denied"), json!("visit"), then]),
        (
            json!({"ad_user_data": "denied"}),
            "",
            &visit,
            [json!(null), json!(null), json!("denied"), json!("unknown"), json!("form"), now.clone()],
        ),
        (
            granted.clone(),
            "",
            &visit,
            [json!(null), json!(null), json!("granted"), json!("granted"), json!("form"), now.clone()],
        ),
        (granted, "1", &visit, [json!(null), json!(null), json!("denied"), json!("denied"), json!("gpc"), now.clone()]),
        (json!({}), "1", "", [json!(null), json!(null), json!("denied"), json!("denied"), json!("gpc"), now]),
    ];
    for (consent, gpc, cookie, expected) in cases {
        let request = form(&json!({"email": "jane@example.com", "consent": consent}));
        let answer = send(&app, with(with(request, "sec-gpc", gpc), "cookie", cookie)).await;
        let stored = lead(&pool, &answer).await;
        let columns = [
            "consent_marketing",
            "consent_data_processing",
            "ad_user_data",
            "ad_personalization",
            "consent_source",
            "consent_recorded_at",
        ];
        assert_eq!(columns.map(|column| stored[column].clone()), expected, "{consent}, GPC {gpc}, {cookie}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_waiting_deal_becomes_a_conversion_after_its_lead_arrived(pool: PgPool) {
    let app = app(&pool);
    let (phone, nobody) = (json!({"phone_hash": Hash::of("+493023125123")}), json!({"email_hash": null}));
    for deal in [
        waiting_deal("by-email", "jane@example.com"),
        waiting_deal("by-phone", "jane@example.com").with(&nobody).with(&phone),
        waiting_deal("both", "jane@example.com").with(&phone),
        waiting_deal("somebody-else", "joan@example.com"),
        waiting_deal("given-up", "jane@example.com").with(&json!({"state": "expired"})),
    ] {
        deal.with(&json!({"value": 6000, "currency": "EUR"})).store(&pool).await;
    }
    let body = json!({
        "email": "Jane@Example.com", "phone": "+49 (30) 23125123", "gclid": "click", "transaction_id": "t",
        "consent": {"ad_user_data": "granted"},
    });
    let deals = rows(&pool, "select * from public.inbox order by id").await;
    let answer = send(&app, form(&body)).await;
    assert_eq!(
        rows(&pool, "select * from public.inbox order by id").await,
        deals,
        "the form has no work with the deals"
    );
    match_waiting(&pool).await;
    let lead = lead(&pool, &answer).await;
    assert_eq!(lead["conversion_status"], "closed");
    let conversions = rows(
        &pool,
        "select c.*, q.status, q.next_retry_at, q.expires_at from public.conversions c
         join public.conversion_queue q on q.conversion_id = c.id order by crm_deal_id",
    )
    .await;
    let found: Vec<_> = conversions.iter().map(|it| json!([it["crm_deal_id"], it["matched_by"]])).collect();
    assert_eq!(json!(found), json!([["both", "email"], ["by-email", "email"], ["by-phone", "phone"]]));
    for conversion in &conversions {
        let expected = json!({
            "lead_id": lead["id"], "gclid": "click", "value": 6000.0, "currency": "EUR", "status": "pending",
            "ad_user_data": "granted", "skip_reason": null, "email_hash": lead["email_hash"], "phone_hash": lead["phone_hash"],
            "next_retry_at": "2026-11-20T18:00:00+00:00", "expires_at": "2027-02-18T12:00:00+00:00",
        });
        expect(conversion, &expected);
    }
    let waiting = rows(&pool, "select crm_deal_id, state from public.inbox where state <> 'matched' order by 1").await;
    assert_eq!(
        json!(waiting),
        json!([{"crm_deal_id": "given-up", "state": "expired"}, {"crm_deal_id": "somebody-else", "state": "awaiting_lead"}])
    );

    let before = row_counts(&pool).await;
    assert_eq!(send(&app, form(&body)).await.status, 200);
    assert_eq!(row_counts(&pool).await, before);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_form_sent_four_times_at_once_is_one_lead(pool: PgPool) {
    let app = app(&pool);
    let sent = || send(&app, form(&json!({"email": "jane@example.com", "transaction_id": "t"})));
    let answers = tokio::join!(sent(), sent(), sent(), sent());
    let mut statuses = [answers.0, answers.1, answers.2, answers.3].map(|it| it.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
    row(&pool, LEAD).await;
}

#[tokio::test]
async fn an_unavailable_database_is_a_503() {
    let answer = send(&app_without_database(&[]), form(&json!({"email": "jane@example.com"}))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(answer.body["type"], "/problems/unavailable");
}

#[tokio::test]
async fn without_a_database_a_valid_form_waits_in_the_spool() {
    let sqs = Sqs::start().await;
    let mut app = app_without_database::<Config>(&[]);
    app.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    let body = json!({"email": "jane@example.com", "phone": "030 23125123", "transaction_id": "t-1"});

    let answer = send(&app, form(&body)).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("stored_for_later")));
    assert_eq!((&answer.body["transaction_id"], answer.body.get("lead_id")), (&json!("t-1"), None));
    assert_eq!(answer.body["warnings"][0]["field"], "phone");
    assert_eq!(send(&app, form(&json!({"email": "jane"}))).await.status, 400);
    assert_eq!(sqs.count(SPOOL), 1, "what is invalid doesn't wait");

    sqs.be_away(true);
    let answer = send(&app, form(&body)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(sqs.count(SPOOL), 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_old_schema_is_nothing_to_wait_for_in_the_spool(pool: PgPool) {
    execute(&pool, "alter table public.leads rename column site to website").await;
    let sqs = Sqs::start().await;
    let mut app = app::<Config>(&pool);
    app.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    assert_eq!(send(&app, form(&json!({"email": "jane@example.com"}))).await.status, 503);
    assert_eq!(sqs.count(SPOOL), 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn values_at_the_limit_are_accepted(pool: PgPool) {
    let app = app(&pool);
    for (field, value) in [
        (
            "email",
            json!(format!("{}@{}.{}.{}.example.com", "a".repeat(64), "b".repeat(61), "c".repeat(61), "d".repeat(53))),
        ),
        ("name", json!("😀".repeat(200))),
        ("message", json!("ü".repeat(5_000))),
        ("phone", json!(format!("+49{}", " ".repeat(60) + "1"))),
        ("transaction_id", json!("x".repeat(128))),
        ("gclid", json!("x".repeat(512))),
        ("utm_source", json!("ü".repeat(512))),
        ("session_attributes", json!("x".repeat(4_096))),
    ] {
        let mut body = json!({"email": "jane@example.com"});
        body[field] = value;
        assert_eq!(send(&app, form(&body)).await.status, 201, "{body}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_is_refused_and_leaves_nothing(pool: PgPool) {
    let app = app(&pool);
    let valid = json!({
        "email": "jane@example.com", "phone": "+49 30 23125123", "name": "Jane", "message": "Hello", "transaction_id": "t-1",
        "consent": {"marketing": true, "data_processing": true, "ad_user_data": "granted", "ad_personalization": "granted"},
        "gclid": "a", "gbraid": "b", "wbraid": "c",
        "utm_source": "a", "utm_medium": "b", "utm_campaign": "c", "utm_term": "d", "utm_content": "e",
        "session_attributes": "e30=",
    });
    let mut bad = vec![
        ("/transaction_id", json!("x".repeat(129))),
        ("/transaction_id", json!("a b")),
        ("/session_attributes", json!("x".repeat(4_097))),
        ("/session_attributes", json!("{\"a\":1}")),
        ("/session_attributes", json!("a b")),
        ("/session_attributes", json!("ä")),
        ("/consent", json!("granted")),
        ("/consent", json!([true])),
    ];
    for email in [
        json!("jane"),
        json!("jane@"),
        json!("@example.com"),
        json!("jane@example"),
        json!("jane@example..com"),
        json!("jane@joan@example.com"),
        json!(format!("{}@example.com", "a".repeat(65))),
        json!(format!("a@{}.com", "b".repeat(250))),
        json!(7),
        json!(["jane@example.com"]),
    ] {
        bad.push(("/email", email));
    }
    for text in ["/phone", "/name", "/message", "/transaction_id", "/gclid", "/utm_source", "/session_attributes"] {
        bad.extend([json!(7), json!(true), json!({}), json!([])].map(|value| (text, value)));
    }
    for id in ["/gclid", "/gbraid", "/wbraid"] {
        bad.extend([json!("a b"), json!("x".repeat(513)), json!("ä"), json!("{gclid}")].map(|value| (id, value)));
    }
    for utm in ["/utm_source", "/utm_medium", "/utm_campaign", "/utm_term", "/utm_content"] {
        bad.push((utm, json!("x".repeat(513))));
    }
    for answer in ["marketing", "data_processing", "ad_user_data", "ad_personalization"] {
        let pointer = ["/consent/", answer].concat();
        bad.extend([json!("maybe"), json!(2), json!([])].map(|value| (&*pointer.clone().leak(), value)));
    }
    refuses_bad_input((&app, &pool), &ENDPOINT, handle, strictly, &valid, &bad).await;
}

fn strictly(request: Request) -> Request {
    with(request, "prefer", "handling=strict")
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_odd_field_is_a_warning_that_is_stored_and_a_refusal_for_who_wants_it_strict(pool: PgPool) {
    let app = app(&pool);
    let body = json!({
        "email": "jane@example.com", "transaction_id": "t-1", "gclid": "{{gclid}}", "utm_term": "x".repeat(600),
        "consent": {"ad_user_data": "perhaps", "marketing": "on"},
    });
    let refused = send(&app, strictly(form(&body))).await;
    assert_eq!((refused.status, refused.header("preference-applied")), (400, "handling=strict"));
    assert_eq!(refused.pointers(), ["/consent/ad_user_data", "/utm_term", "/gclid"]);
    assert!(rows(&pool, LEAD).await.is_empty());

    let answer = send(&app, form(&body)).await;
    let stored = lead(&pool, &answer).await;
    assert_eq!(stored["warnings"], answer.body["warnings"]);
    let pointers: Vec<_> = stored["warnings"].as_array().unwrap().iter().map(|it| it["pointer"].clone()).collect();
    assert_eq!(pointers, ["/consent/ad_user_data", "/utm_term", "/gclid"]);
    expect(&stored, &json!({"gclid": null, "utm_term": "x".repeat(512), "ad_user_data": "unknown"}));
    assert_eq!(stored["consent_marketing"], json!(true));
    let good = send(&app, strictly(form(&json!({"email": "jane@example.com"})))).await;
    assert_eq!((good.status, good.header("preference-applied")), (201, "handling=strict"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_form_is_taken_as_a_browser_posts_it(pool: PgPool) {
    let app = app(&pool);
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\njane+4@example.com\r\n--x--\r\n";
    for (content_type, body, email, click) in [
        (
            "application/x-www-form-urlencoded",
            "email=jane%40example.com&gclid=Click-1",
            "jane@example.com",
            json!("Click-1"),
        ),
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            "your-email=jane+2%40example.com",
            "jane+2@example.com",
            json!(null),
        ),
        (
            "application/x-www-form-urlencoded",
            "fields[email][id]=email&fields[email][value]=jane3%40example.com&fields[gclid][value]=Click-3",
            "jane3@example.com",
            json!("Click-3"),
        ),
        ("multipart/form-data; boundary=x", multipart, "jane+4@example.com", json!(null)),
        ("application/x-www-form-urlencoded", "{\"email\":\"jane5@example.com\"}", "jane5@example.com", json!(null)),
    ] {
        let mut request = testing::request(&ENDPOINT, body);
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let stored = lead(&pool, &send(&app, request).await).await;
        assert_eq!((&stored["email"], &stored["gclid"]), (&json!(email), &click), "{body}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_lead_by_phone_or_by_click_has_its_deal(pool: PgPool) {
    let app = app(&pool);
    let by_phone = send(&app, form(&json!({"phone": "+49 30 23125301", "gclid": "By-phone"}))).await;
    expect(&lead(&pool, &by_phone).await, &json!({"email": null, "email_hash": null, "gclid": "By-phone"}));
    let by_click = send(&app, form(&json!({"gclid": "By-click", "transaction_id": "chat-1"}))).await;
    expect(&lead(&pool, &by_click).await, &json!({"email": null, "phone": null, "gclid": "By-click"}));
    let again = send(&app, form(&json!({"gclid": "By-click", "transaction_id": "chat-1"}))).await;
    assert_eq!((again.status, &again.body["lead_id"]), (200, &by_click.body["lead_id"]));
    waiting_deal("1", "joan@example.com").with(&json!({"lead_id": by_click.body["lead_id"]})).store(&pool).await;
    match_waiting(&pool).await;
    let told = rows(&pool, "select gclid from public.conversions").await;
    assert_eq!(json!(told), json!([{"gclid": "By-click"}]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn refused_forms_are_counted_by_reason_and_nothing_else_of_them_is_kept(pool: PgPool) {
    let app = app(&pool);
    for body in ["{}", "{\"email\":\"jane\",\"phone\":\"?\"}", "{\"email\":", "<html>"] {
        let answer = send(&app, testing::request(&ENDPOINT, body)).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(send(&app, strictly(form(&json!({"email": "jane"})))).await.status, 400, "a developer's isn't counted");
    app.clock.advance(TimeDelta::hours(1));
    assert_eq!(send(&app, form(&json!({}))).await.status, 400);
    let counted = "select source, reason, sum(refusals)::bigint as refusals, count(*) as hours
                   from public.lead_refusals group by 1, 2 order by 3 desc";
    let expected = json!([
        {"source": "", "reason": refusals::NOBODY, "refusals": 3, "hours": 2},
        {"source": "", "reason": refusals::UNREADABLE, "refusals": 2, "hours": 1},
    ]);
    assert_eq!(json!(rows(&pool, counted).await), expected);
    assert!(rows(&pool, LEAD).await.is_empty());
    for (days, kept) in [(7, 3), (1, 0)] {
        app.clock.advance(TimeDelta::days(days));
        app.db.tx(async |tx| refusals::forget(tx, app.clock.now()).await).await.unwrap();
        let left = rows(&pool, "select * from public.lead_refusals").await.len();
        assert_eq!(left, kept, "they are kept for a week");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn random_input_breaks_nothing(pool: PgPool) {
    // All of it comes from one e-mail address.
    let app = app_with(&pool, &[("LEADS_PER_HOUR", "100000")]);
    let valid = [
        json!({
            "email": "jane@example.com", "phone": "+49 30 23125123", "name": "Jane", "message": "Hello", "transaction_id": "t-1",
            "consent": {"marketing": true, "data_processing": true, "ad_user_data": "granted", "ad_personalization": "granted"},
        }),
        json!({"email": "jane@example.com", "gclid": "a", "utm_source": "a", "utm_term": "d", "session_attributes": "e30="}),
    ];
    fuzz(&app, &ENDPOINT, handle, 2_000, &valid, |body| testing::request(&ENDPOINT, body)).await;
    let attribution = json!({"utm": {"source": "google"}, "click": {"gclid": "one", "at": "2026-11-20T11:00:00Z"}});
    let before = rows(&pool, LEAD).await.len();
    fuzz(&app, &ENDPOINT, handle, 500, &[attribution], |forged| {
        let cookie = format!("adtrail_attribution={}", cookie_value(&forged));
        with(form(&json!({"email": "jane@example.com"})), "cookie", &cookie)
    })
    .await;
    assert_eq!(rows(&pool, LEAD).await.len(), before + 500, "a cookie is never an error");
}

#[sqlx::test(migrations = "../../migrations")]
async fn above_its_limit_a_lead_is_stored_but_not_found_by_its_addresses(pool: PgPool) {
    let app = app_with(&pool, &[("LEADS_PER_HOUR", "20")]);
    let of = async |email: &str| send(&app, form(&json!({"email": email, "gclid": "Click"}))).await;
    // One e-mail address has a tenth of a network's limit; the form may be sent twice.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(lead(&pool, &of("jane.doe@example.com").await).await);
    }
    let suspicious: Vec<_> = answers.iter().map(|lead| lead["is_suspicious"].as_bool()).collect();
    assert_eq!(suspicious, [Some(false), Some(false), Some(true)]);
    for number in 4..=20 {
        assert_eq!(lead(&pool, &of(&format!("{number}@example.com")).await).await["is_suspicious"], json!(false));
    }
    let flood = lead(&pool, &of("joe@example.com").await).await;
    assert_eq!(flood["is_suspicious"], json!(true));
    // A deal of that address waits for another lead; an echoed id is proof enough.
    let state = "select state from public.inbox where crm_deal_id";
    waiting_deal("1", "joe@example.com").store(&pool).await;
    waiting_deal("2", "joan@example.com").with(&json!({"lead_id": flood["id"]})).store(&pool).await;
    match_waiting(&pool).await;
    assert_eq!(row(&pool, &format!("{state} = '1'")).await, json!({"state": "awaiting_lead"}));
    assert_eq!(row(&pool, &format!("{state} = '2'")).await, json!({"state": "matched"}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_stranger_cannot_use_up_the_limit_of_a_persons_address(pool: PgPool) {
    let app = app_with(&pool, &[("LEADS_PER_HOUR", "20")]);
    let [jane] = &visitors(&pool).await;
    // A tenth of 20, ten times over.
    for number in 0..25 {
        let of_stranger =
            testing::from_address(form(&json!({"email": "jane@example.com"})), &format!("198.51.100.{number}"));
        assert_eq!(send(&app, of_stranger).await.status, 201);
    }
    let flood = "select count(*) filter (where is_suspicious) as suspicious from public.leads";
    assert_eq!(row(&pool, flood).await["suspicious"], json!(23));
    let of_jane = lead(&pool, &sent_by(&app, jane, "lead-1", "jane@example.com").await).await;
    assert_eq!(of_jane["is_suspicious"], json!(false), "her browser is known and calls once");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_form_under_a_key_that_somebody_else_used_counts_once(pool: PgPool) {
    let app = app_with(&pool, &[("LEADS_PER_HOUR", "20")]);
    let [jane, joe] = &visitors(&pool).await;
    sent_by(&app, joe, "lead-1", "joe@example.com").await;
    sent_by(&app, jane, "lead-1", "jane@example.com").await;
    let counted = "select max(calls) as calls from public.rate_counters where caller not like '%/address/%'";
    assert_eq!(row(&pool, counted).await["calls"], json!(1));
    // Her browser is above its limit: so is the lead under a key of her own.
    for number in 2..=3 {
        sent_by(&app, jane, &format!("lead-{number}"), "jane@example.com").await;
    }
    sent_by(&app, joe, "lead-4", "joe@example.com").await;
    let above = lead(&pool, &sent_by(&app, jane, "lead-4", "jane@example.com").await).await;
    assert_eq!(above["is_suspicious"], json!(true));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_form_sent_again_with_global_privacy_control_is_a_no(pool: PgPool) {
    let app = app(&pool);
    let body = json!({"email": "jane@example.com", "transaction_id": "t-1", "consent": {"ad_user_data": "granted"}});
    assert_eq!(send(&app, form(&body)).await.status, 201);
    assert_eq!(send(&app, with(form(&body), "sec-gpc", "1")).await.status, 200);
    let said = "select purpose, value, source from public.consent_statements order by id";
    let expected = json!([
        {"purpose": "ad_user_data", "value": "granted", "source": "form"},
        {"purpose": "ad_user_data", "value": "denied", "source": "gpc"},
        {"purpose": "ad_personalization", "value": "denied", "source": "gpc"},
    ]);
    assert_eq!(Value::from(rows(&pool, said).await), expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn far_above_its_limit_a_lead_is_refused(pool: PgPool) {
    let app = app_with(&pool, &[("LEADS_PER_HOUR", "10")]);
    let of = async |number| send(&app, form(&json!({"email": format!("{number}@example.com")}))).await;
    for number in 1..=100 {
        assert_eq!(of(number).await.status, 201, "lead {number}");
    }
    let refused = of(101).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "3601"));
    assert_eq!(rows(&pool, LEAD).await.len(), 100);
}
