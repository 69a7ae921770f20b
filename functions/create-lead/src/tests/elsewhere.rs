//! Leads through sources of leads.

use super::*;

const ELSEWHERE: [(&str, &str); 2] = [
    ("CRM_SOURCES", "[google]\nkind = \"lead\"\npreset = \"google-lead-form\""),
    ("GOOGLE_LEAD_FORM_KEY", "a-key-of-google-0123456789-0123456789"),
];

fn google_lead(path: &str, from: &str, to: &str) -> Request {
    let sample = shared::lead_sources::sample("google-lead-form").unwrap();
    let body = sample.replace("the-key", ELSEWHERE[1].1).replace(from, to);
    let mut request = testing::request(&ENDPOINT, body);
    *request.uri_mut() = path.parse().unwrap();
    request
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_source_of_leads_sends_each_once(pool: PgPool) {
    let app = app_with::<Config>(&pool, &ELSEWHERE);
    for (nth, path) in ["/api/leads/google", "/api/leads"].into_iter().enumerate() {
        let id = format!("lead-of-google-{nth}");
        let sent = |from: &str, to: &str| {
            let it = google_lead(path, from, to);
            let body = String::from_utf8_lossy(it.body()).replace("TeSter-123", &id);
            let (parts, _) = it.into_parts();
            Request::from_parts(parts, lambda_http::Body::from(body))
        };
        let answer = send(&app, sent("", "")).await;
        let stored = lead(&pool, &answer).await;
        expect(&stored, &json!({"email": "jane@example.com", "gclid": "EAIaIQobChMI-sample-1", "source": "google"}));
        expect(&stored, &json!({"ad_user_data": "unknown", "visitor_id": null, "is_suspicious": false}));
        let again = send(&app, sent("", "")).await;
        assert_eq!((again.status, &again.body["status"]), (200, &json!("duplicate")));
        let changed = send(&app, sent("Jane Doe", "Jane Roe")).await;
        assert_eq!((changed.status, &changed.body["status"]), (200, &json!("duplicate")));
        let test = send(&app, sent("\"is_test\": false", "\"is_test\": true")).await;
        assert_eq!((test.status, &test.body["status"]), (200, &json!("ignored")));
        let forged = send(&app, sent("a-key-of-google", "another-key")).await;
        assert_eq!(forged.status, 401);
    }
    let counted = row(&pool, "select source, reason, refusals from public.lead_refusals").await;
    assert_eq!(counted, json!({"source": "google", "reason": refusals::UNPROVEN, "refusals": 2}));
    assert_eq!(send(&app, google_lead("/api/leads/typo", "", "")).await.status, 404);
    assert_eq!(rows(&pool, LEAD).await.len(), 2);
}

/// A form to a source of leads that has this secret.
fn landing(secret: &str, content_type: &str, body: &str) -> Request {
    let mut request = testing::request(&ENDPOINT, body);
    *request.uri_mut() = format!("/api/leads/landing?secret={secret}").parse().unwrap();
    request.headers_mut().insert("content-type", content_type.parse().unwrap());
    request
}

const LANDING: [(&str, &str); 2] = [
    ("CRM_SOURCES", "[landing]\nkind = \"lead\"\nauth = [{ url = { secret = \"LANDING_SECRET\" } }]"),
    ("LANDING_SECRET", "a-secret-of-landing-0123456789"),
];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[sqlx::test(migrations = "../../migrations")]
async fn a_source_of_leads_may_tell_a_phone_or_a_click_alone(pool: PgPool) {
    let app = app_with::<Config>(&pool, &LANDING);
    for (content_type, body, phone, click) in [
        (JSON, r#"{"phone":"+49 30 23125301"}"#, json!("+49 30 23125301"), json!(null)),
        (FORM, "your-tel=%2B493023125302&your-name=Jane", json!("+493023125302"), json!(null)),
        (JSON, r#"{"gclid":"Click-1","message":"Call me"}"#, json!(null), json!("Click-1")),
        (FORM, "fields[gclid][id]=gclid&fields[gclid][value]=Click-2", json!(null), json!("Click-2")),
        (
            JSON,
            r#"{"page_url":"https://www.example.com/#/x?gclid=Click-3","email":"n/a"}"#,
            json!(null),
            json!("Click-3"),
        ),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"your-tel\"\r\n\r\n+49 30 23125305\r\n--x\r\n\
             Content-Disposition: form-data; name=\"gclid\"\r\n\r\nClick-5\r\n--x--\r\n",
            json!("+49 30 23125305"),
            json!("Click-5"),
        ),
        (JSON, r#"{"email":"jane","phone":"+49 30 23125306"}"#, json!("+49 30 23125306"), json!(null)),
    ] {
        let stored = lead(&pool, &send(&app, landing(LANDING[1].1, content_type, body)).await).await;
        assert_eq!((&stored["phone"], &stored["gclid"], &stored["email"]), (&phone, &click, &json!(null)), "{body}");
        assert_eq!(stored["source"], json!("landing"));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_refused_of_a_source_of_leads_is_counted_under_its_name(pool: PgPool) {
    let app = app_with::<Config>(&pool, &LANDING);
    let secret = LANDING[1].1;
    for (secret, content_type, body, status) in [
        (secret, JSON, r#"{"name":"Jane"}"#, 400),
        (secret, JSON, r#"{"email":"undefined","phone":"-","gclid":"{{gclid}}"}"#, 400),
        (secret, FORM, "your-name=Jane&your-message=Hello", 400),
        (secret, JSON, r#"{"email":"#, 400),
        (secret, FORM, "Jane", 400),
        ("another-secret", JSON, r#"{"email":"jane@example.com"}"#, 401),
        (secret, JSON, r#"{"email":"jane@example.com"}"#, 201),
    ] {
        assert_eq!(send(&app, landing(secret, content_type, body)).await.status, status, "{body}");
    }
    for (secret, status) in [(secret, 204), ("another-secret", 401)] {
        let tried = with(landing(secret, JSON, r#"{"email":"jane@example.com"}"#), DRY_RUN, "true");
        assert_eq!(send(&app, tried).await.status, status, "a dry run");
    }
    assert_eq!(rows(&pool, LEAD).await.len(), 1);
    let counted = "select source, reason, refusals from public.lead_refusals order by refusals desc";
    let expected = json!([
        {"source": "landing", "reason": refusals::NOBODY, "refusals": 3},
        {"source": "landing", "reason": refusals::UNREADABLE, "refusals": 2},
        {"source": "landing", "reason": refusals::UNPROVEN, "refusals": 1},
    ]);
    assert_eq!(json!(rows(&pool, counted).await), expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_declaration_of_a_source_loses_no_lead_of_the_website(pool: PgPool) {
    for declarations in [
        "[landing]\nkind = \"lead\"\nauth = [{ url = { secret = \"UNSET_SECRET\" } }]",
        "[landing]\nkind = \"lead\"\npreset = \"landingo\"",
        "[landing\nkind",
    ] {
        let app = app_with::<Config>(&pool, &[("CRM_SOURCES", declarations)]);
        let from_source =
            send(&app, landing("a-secret-of-landing-0123456789", JSON, r#"{"email":"a@example.com"}"#)).await;
        assert_eq!(from_source.status, 503, "the sender repeats it: {declarations}");
        assert_eq!(send(&app, form(&json!({"email": "jane@example.com"}))).await.status, 201, "{declarations}");
    }
}

/// A source whose ids are in `entry`, or the leads' own.
fn entry(body: &Value) -> Request {
    landing(LANDING[1].1, JSON, &body.to_string())
}

const WITH_IDS: [(&str, &str); 2] = [
    ("CRM_SOURCES", "[landing]\nkind = \"lead\"\nid = \"/entry\"\nauth = [{ url = { secret = \"LANDING_SECRET\" } }]"),
    LANDING[1],
];

/// Is it stored with a warning that its id was used before?
async fn is_beside(pool: &PgPool, answer: &Answer) -> bool {
    let stored = lead(pool, answer).await;
    let warnings = stored["warnings"].as_array().unwrap();
    assert_eq!(answer.body["warnings"].as_array().cloned().unwrap_or_default(), *warnings);
    warnings.iter().any(|it| it["pointer"] == "/transaction_id")
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_id_that_another_person_has_costs_no_lead(pool: PgPool) {
    let app = app_with::<Config>(&pool, &WITH_IDS);
    let jane = json!({"email": "jane@example.com", "phone": "+49 30 23125301"});
    let of_click = json!({"gclid": "Click-1"});
    let mut nth = 0;
    for id in ["entry", "transaction_id"] {
        for (first, second, is_another) in [
            (&jane, json!({"email": "joe@example.com", "phone": "+49 30 23125302"}), true),
            (&jane, json!({"email": "joe@example.com"}), true),
            (&jane, json!({"phone": "+49 30 23125302"}), true),
            (&jane, json!({"gclid": "Click-2"}), true),
            (&of_click, json!({"gclid": "Click-2"}), true),
            (&of_click, json!({"email": "joe@example.com"}), true),
            (&json!({"email": "jane@example.com"}), json!({"phone": "+49 30 23125302"}), true),
            (&json!({"phone": "+49 30 901820"}), json!({"phone": "+49 30 901821"}), true),
            (&jane, json!({"email": "JANE@example.com", "name": "Jane"}), false),
            (&jane, json!({"email": "jane@work.example.com", "phone": "+49 (30) 23125301"}), false),
            (&jane, json!({"phone": "0049 30 23125301", "message": "Hello?"}), false),
            (&of_click, json!({"gclid": "Click-1", "name": "Jane"}), false),
            (&of_click, json!({"gclid": "Click-1", "email": "jane@example.com"}), false),
            (&json!({"phone": "+49 30 901820"}), json!({"phone": "+49 30 901820", "name": "Jane"}), false),
        ] {
            nth += 1;
            let with_id = |body: &Value| {
                let mut body = body.clone();
                body[id] = json!(format!("TEST-{nth}"));
                body
            };
            let case = format!("{id}: {first}, then {second}");
            let (first, second) = (with_id(first), with_id(&second));
            let before = send(&app, entry(&first)).await;
            assert!(!is_beside(&pool, &before).await, "{case}");
            let after = send(&app, entry(&second)).await;
            assert_eq!(after.status, if is_another { 201 } else { 200 }, "{case}: {:?}", after.body);
            assert!(!is_another || is_beside(&pool, &after).await, "{case}");
            let known = rows(&pool, LEAD).await.len();
            for (sent, stored) in [(&first, &before), (&second, &after)] {
                let again = send(&app, entry(sent)).await;
                assert_eq!((again.status, &again.body["status"]), (200, &json!("duplicate")), "{case}");
                if is_another {
                    assert_eq!(again.body["lead_id"], stored.body["lead_id"], "{case}");
                }
            }
            let mut changed = second.clone();
            changed["message"] = json!("One more thing");
            let changed = send(&app, entry(&changed)).await;
            assert_eq!((changed.status, &changed.body["status"]), (200, &json!("duplicate")), "{case}");
            let third = with_id(&json!({"email": "joan@example.com", "phone": "+49 30 23125303"}));
            let third = send(&app, entry(&third)).await;
            assert!(is_beside(&pool, &third).await, "{case}: a third person");
            assert_eq!(rows(&pool, LEAD).await.len(), known + 1, "{case}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_an_id_that_two_persons_have_at_once_both_leads_are_kept(pool: PgPool) {
    let app = app_with::<Config>(&pool, &WITH_IDS);
    for nth in 0..5 {
        let of = |person: &str| {
            let mail = format!("{person}-{nth}@example.com");
            send(&app, entry(&json!({"entry": format!("TEST-{nth}"), "email": mail})))
        };
        let all = tokio::join!(of("a"), of("b"), of("c"), of("a"), of("b"));
        let all = [all.0, all.1, all.2, all.3, all.4];
        assert_eq!(all.iter().filter(|it| it.status == 201).count(), 3);
        assert_eq!(rows(&pool, &format!("{LEAD} where transaction_id like 'landing:TEST-{nth}%'")).await.len(), 3);
    }
    assert_eq!(send(&app, entry(&json!({"entry": "TEST", "email": "z@example.com"}))).await.status, 201);
    for (email, first) in [("jane@example.com", 1), ("z@example.com", 0)] {
        let sent = async || send(&app, entry(&json!({"entry": "TEST", "email": email, "name": "Jane"}))).await.status;
        let ten = tokio::join!(sent(), sent(), sent(), sent(), sent(), sent(), sent(), sent(), sent(), sent());
        let ten = [ten.0, ten.1, ten.2, ten.3, ten.4, ten.5, ten.6, ten.7, ten.8, ten.9];
        assert_eq!(ten.iter().filter(|status| **status == 201).count(), first, "{email}: {ten:?}");
    }
    assert_eq!(rows(&pool, &format!("{LEAD} where transaction_id like 'landing:TEST%'")).await.len(), 17);
}
