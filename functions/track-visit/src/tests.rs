use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{Answer, app, app_with, app_without_database, call, fuzz, refuses_bad_input, row, rows, with};

use super::*;

async fn visit(app: &App<Config>, request: Request) -> Answer {
    call(app, &ENDPOINT, request, handle).await
}

fn to(url: &str) -> Request {
    testing::json_request(&ENDPOINT, &json!({"url": url}))
}

async fn go(app: &App<Config>, url: &str, cookies: &str) -> Answer {
    visit(app, with(to(url), "cookie", cookies)).await
}

const VISITOR: &str = "select * from public.visitors";

#[sqlx::test(migrations = "../../migrations")]
async fn a_first_visit_sets_two_cookies_and_stores_a_visitor(pool: PgPool) {
    let app = app(&pool);
    let body = json!({
        "url": "https://www.example.com/lp?gclid=EAIaIQ-x_1&gad_source=1&gad_campaignid=77&utm_source=google&utm_campaign=m%C3%BCnchen",
        "referrer": "https://www.google.com/",
        "consent": {"ad_user_data": "granted", "ad_personalization": "denied"},
    });
    let request = with(testing::json_request(&ENDPOINT, &body), "user-agent", "Browser/1.0");
    let answer = visit(&app, with(request, "origin", testing::ORIGIN)).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), testing::ORIGIN);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    let cookies = answer.cookies();
    let attributes = |days: u32| format!("Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Lax", days * 86_400);
    assert_eq!(cookies.len(), 2);
    assert_eq!((cookies[0].0.as_str(), &cookies[0].2), ("__Host-adtrail_visitor", &attributes(400)));
    assert_eq!((cookies[1].0.as_str(), &cookies[1].2), ("__Host-adtrail_attribution", &attributes(90)));
    assert_eq!(answer.body, json!({"returning": false}), "the id is for the cookie alone, not for scripts");

    let stored = row(&pool, VISITOR).await;
    let expected = json!({
        "visitor_id": cookies[0].1, "gclid": "EAIaIQ-x_1", "gad_source": "1", "gad_campaignid": "77",
        "utm_source": "google", "utm_campaign": "münchen", "utm_medium": null, "gbraid": null,
        "landing_page": body["url"], "referrer": "https://www.google.com/", "user_agent": "Browser/1.0",
        "ad_user_data": "granted", "ad_personalization": "denied",
        "click_at": "2026-11-20T12:00:00+00:00", "consent_recorded_at": "2026-11-20T12:00:00+00:00",
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&stored[column], value, "{column}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_cookies_are_renewed_once_a_day_or_when_something_changed(pool: PgPool) {
    let app = app(&pool);
    let landing = "https://www.example.com/?gclid=One&utm_source=google";
    let mut kept = go(&app, landing, "").await;
    let id = kept.cookies()[0].1.clone();
    // Minutes later, a page, and whether the cookies are set.
    for (minutes, page, is_set) in [
        (0, "https://www.example.com/2", false),
        (1, landing, false),
        (1_438, "https://www.example.com/3", false),
        (1, "https://www.example.com/4", true),
        (1_439, "https://www.example.com/5", false),
        (0, "https://www.example.com/?gclid=Two", true),
        (1, "https://www.example.com/6", false),
        (60 * 24 * 30, "https://www.example.com/7", true),
    ] {
        app.clock.advance(TimeDelta::minutes(minutes));
        let answer = go(&app, page, &kept.cookie_header()).await;
        assert_eq!((answer.status, answer.cookies().len()), (200, if is_set { 2 } else { 0 }), "{page}");
        if is_set {
            kept = answer;
            assert_eq!(kept.cookies()[0].1, id, "{page}");
        }
    }
    // Whoever lost one of them, or changed it, gets both.
    let header = kept.cookie_header();
    let (visitor, attribution) = header.split_once("; ").unwrap();
    for partly in [visitor, attribution, &format!("{visitor}x; {attribution}"), &format!("{visitor}; {attribution}x")] {
        assert_eq!(go(&app, "https://www.example.com/", partly).await.cookies().len(), 2, "{partly}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_visitor_keeps_the_id_when_the_cookies_get_another_name(pool: PgPool) {
    let (of_host, of_domain) = (app(&pool), app_with(&pool, &[("COOKIE_DOMAIN", "example.com")]));
    let page = "https://www.example.com/";
    let names = |answer: &Answer| -> Vec<String> { answer.cookies().into_iter().map(|(name, ..)| name).collect() };
    let host = ["__Host-adtrail_visitor", "__Host-adtrail_attribution"];
    let domain = ["adtrail_visitor", "adtrail_attribution"];

    let first = go(&of_domain, &format!("{page}?gclid=One"), "").await;
    assert_eq!(names(&first), domain);
    assert!(first.cookies().iter().all(|(.., attributes)| attributes.ends_with("; Domain=example.com")));
    assert_eq!(go(&of_domain, page, &first.cookie_header()).await.cookies().len(), 0);

    // The setting is taken away: both names come until the browser forgets the old ones.
    let second = go(&of_host, page, &first.cookie_header()).await;
    assert_eq!((names(&second), &second.cookies()[0].1), (host.map(String::from).to_vec(), &first.cookies()[0].1));
    let both = format!("{}; {}", first.cookie_header(), second.cookie_header());
    assert_eq!(go(&of_host, page, &both).await.cookies().len(), 0);

    // And is made again.
    let third = go(&of_domain, page, &both).await;
    assert_eq!(names(&third), [domain, host].concat());
    assert_eq!(third.cookies()[0].1, first.cookies()[0].1);
    for (_, value, attributes) in &third.cookies()[2..] {
        assert_eq!((value.as_str(), attributes.as_str()), ("", "Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"));
    }
    let visitors = rows(&pool, VISITOR).await;
    assert_eq!((visitors.len(), &visitors[0]["gclid"]), (1, &json!("One")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn cookies_of_the_version_before_are_read(pool: PgPool) {
    let app = app(&pool);
    let first = go(&app, "https://www.example.com/", "").await;
    let id = &first.cookies()[0].1;
    let attribution = testing::cookie_value(br#"{"click":{"gclid":"One","at":"2026-11-20T11:00:00Z"}}"#);
    let before = format!("adtrail_visitor={id}; adtrail_attribution={attribution}");
    let answer = go(&app, "https://www.example.com/", &before).await;
    assert_eq!((answer.cookies().len(), &answer.cookies()[0].1), (2, id));
    assert_eq!(row(&pool, VISITOR).await["gclid"], "One");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_address_is_stored_as_a_keyed_hash_only(pool: PgPool) {
    visit(&app(&pool), to("https://www.example.com/")).await;
    visit(&app_with(&pool, &[("IP_HASH_KEY", "another key")]), to("https://www.example.com/")).await;
    let stored = rows(&pool, "select * from public.visitors order by visitor_id").await;
    let hashes: Vec<_> = stored.iter().map(|row| row["ip_hash"].as_str().unwrap()).collect();
    assert_ne!(hashes[0], hashes[1], "the key counts");
    assert!(hashes.iter().all(|hash| hash.len() == 64));
    assert!(!json!(stored).to_string().contains("192.0.2.1"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_returning_visitor_keeps_the_id_the_first_utms_and_the_newest_click(pool: PgPool) {
    let app = app(&pool);
    let page = |query: &str| format!("https://www.example.com/lp?{query}");
    let first = go(&app, &page("utm_source=google&utm_medium=cpc&gclid=one"), "").await;
    // A later visit, its cookies, and the row after it.
    let id_only = first.cookie_header().split(';').next().unwrap().to_owned();
    let both = first.cookie_header();
    let steps: [(&str, &str, Value); 6] = [
        ("gclid=one", &both, json!(["one", null, "2026-11-20T12:00:00+00:00"])),
        ("gclid=one", &id_only, json!(["one", null, "2026-11-20T12:00:00+00:00"])),
        ("utm_source=bing&utm_term=shoes", &both, json!(["one", null, "2026-11-20T12:00:00+00:00"])),
        ("gbraid=two", &both, json!([null, "two", "2026-11-20T12:04:00+00:00"])),
        // The cookie still has the older click.
        ("", &both, json!([null, "two", "2026-11-20T12:04:00+00:00"])),
        ("gclid=three&utm_campaign=late", &id_only, json!(["three", null, "2026-11-20T12:06:00+00:00"])),
    ];
    for (query, cookies, click) in steps {
        app.clock.advance(TimeDelta::minutes(1));
        let answer = go(&app, &page(query), cookies).await;
        assert_eq!(answer.body, json!({"returning": true}), "{query}");
        // None are set if the browser has the same.
        let kept = if answer.cookies().is_empty() { first.cookies() } else { answer.cookies() };
        assert_eq!(kept[0], first.cookies()[0], "{query}");
        let stored = row(&pool, VISITOR).await;
        assert_eq!(json!([stored["gclid"], stored["gbraid"], stored["click_at"]]), click, "{query}");
        assert_eq!(stored["utm_source"], "google", "{query}");
        assert_eq!(stored["utm_medium"], "cpc", "{query}");
        assert_eq!((&stored["utm_term"], &stored["utm_campaign"]), (&Value::Null, &Value::Null), "{query}");
        assert_eq!(stored["landing_page"], page("utm_source=google&utm_medium=cpc&gclid=one"), "{query}");
        assert_eq!(stored["first_seen_at"], "2026-11-20T12:00:00+00:00", "{query}");
        // The cookie has what the row has.
        let cookie = Attribution::from_cookie(&kept[1].1, app.clock.now());
        assert_eq!(
            json!(cookie.clicks.get("google").map(|it| it.at)),
            json!(stored["click_at"].as_str().unwrap().replace("+00:00", "Z"))
        );
    }
    assert_eq!(row(&pool, VISITOR).await["last_seen_at"], "2026-11-20T12:06:00+00:00");
}

/// Every order of these.
fn orders<T: Copy, const N: usize>(items: [T; N]) -> Vec<Vec<T>> {
    items.into_iter().fold(vec![Vec::new()], |orders, item| {
        let with = |order: &Vec<T>, place: usize| [&order[..place], &[item], &order[place..]].concat();
        orders.iter().flat_map(|order| (0..=order.len()).map(move |place| with(order, place))).collect()
    })
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_click_of_one_network_never_erases_another_s(pool: PgPool) {
    let app = app(&pool);
    let clicks = [
        ("google", "gclid=One-1_x&gad_campaignid=77", json!({"gclid": "One-1_x", "gad_campaignid": "77"})),
        ("meta", "fbclid=IwAR2-_x", json!({"fbclid": "IwAR2-_x"})),
        ("microsoft", "msclkid=0123abcDEF", json!({"msclkid": "0123abcDEF"})),
        ("tiktok", "ttclid=E.C.P.Crk", json!({"ttclid": "E.C.P.Crk"})),
    ];
    let in_order = orders([0, 1, 2, 3]);
    assert_eq!(in_order.len(), 24);
    // With both cookies, and with the visitor's alone, so that only the row knows the clicks before.
    for (order, cookies) in in_order.iter().flat_map(|order| [(order, 2), (order, 1)]) {
        let mut expected = json!({});
        let mut sent = String::new();
        for nth in order {
            app.clock.advance(TimeDelta::minutes(1));
            let (network, query, click) = &clicks[*nth];
            let answer = go(&app, &format!("https://www.example.com/?{query}"), &sent).await;
            sent = answer.cookie_header().split(';').take(cookies).collect::<Vec<_>>().join(";");
            expected[network] = click.clone();
            expected[network]["at"] = json!(app.clock.now());
            let visitor = format!("{VISITOR} where visitor_id = '{}'", answer.cookies()[0].1);
            let stored = row(&pool, &visitor).await;
            assert_eq!(stored["clicks"], expected, "{order:?}");
            assert_eq!(stored["gclid"], expected["google"]["gclid"], "{order:?}: the column follows");
            let cookie = Attribution::from_cookie(&answer.cookies()[1].1, app.clock.now());
            assert_eq!(json!(cookie.clicks), expected, "{order:?}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_networks_own_cookies_are_read(pool: PgPool) {
    let app = app(&pool);
    let (noon, ten) = ("2026-11-20T12:00:00Z", "2026-11-20T10:00:00Z");
    let of = |ms: i64, id: &str| format!("fb.1.{ms}.{id}");
    // What the browser sends beside our own cookies, and the clicks after it.
    let at_ten = of(1_795_168_800_000, "Ten");
    let browser = format!("_fbp=fb.1.1.77; _fbc={at_ten}; _ttp=2abc; li_fat_id=0e5a7b3c-9f2d");
    let first = go(&app, "https://www.example.com/", &browser).await;
    let known = json!({
        "meta": {"fbclid": "Ten", "fbc": at_ten, "fbp": "fb.1.1.77", "at": ten},
        "linkedin": {"li_fat_id": "0e5a7b3c-9f2d", "at": noon},
        "tiktok": {"ttp": "2abc"},
    });
    let clicks = async || row(&pool, VISITOR).await["clicks"].clone();
    let same_time = |it: &Value| it.to_string().replace(".000000Z", "Z");
    assert_eq!(same_time(&clicks().await), same_time(&known));

    // A click of another browser's id that the networks' tags haven't stored in their cookies yet, and may never.
    app.clock.advance(TimeDelta::minutes(1));
    let cookies = format!("{}; {browser}", first.cookie_header());
    go(&app, "https://www.example.com/?fbclid=New&li_fat_id=new", &cookies).await;
    go(&app, "https://www.example.com/", &format!("{}; {browser}", first.cookie_header())).await;
    let stored = clicks().await;
    assert_eq!(stored["meta"]["fbclid"], "New");
    assert_eq!(stored["meta"].get("fbc"), None, "it is of the click before");
    assert_eq!(stored["meta"]["fbp"], "fb.1.1.77", "it is the browser's, not the click's");
    assert_eq!(stored["linkedin"]["li_fat_id"], "new");

    let renewed = of(1_795_176_061_000, "New");
    go(&app, "https://www.example.com/", &format!("{}; _fbc={renewed}; _fbp=fb.1.2.88", first.cookie_header())).await;
    let stored = clicks().await["meta"].clone();
    assert_eq!((&stored["fbc"], &stored["fbp"]), (&json!(renewed), &json!("fb.1.2.88")));
    assert_eq!(stored["at"], "2026-11-20T12:01:00Z", "the same click keeps its time");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_forged_cookie_of_a_network_is_never_newer_than_now(pool: PgPool) {
    let app = app(&pool);
    for ms in [1_795_999_999_999_i64, 8_210_266_876_799_999, i64::MAX] {
        let answer = go(&app, "https://www.example.com/", &format!("_fbc=fb.1.{ms}.forged")).await;
        assert_eq!(answer.status, 200, "{ms}");
        app.clock.advance(TimeDelta::seconds(1));
        go(&app, "https://www.example.com/?fbclid=real", &answer.cookie_header()).await;
        let visitor = format!("{VISITOR} where visitor_id = '{}'", answer.cookies()[0].1);
        assert_eq!(row(&pool, &visitor).await["clicks"]["meta"]["fbclid"], "real", "{ms}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_cannot_be_a_click_is_ignored(pool: PgPool) {
    let app = app(&pool);
    let long = "x".repeat(7_000);
    for query in
        ["fbclid=a%20b", "msclkid=%00", "ttclid={ttclid}", "gad_source=1", "xclid=1", &format!("li_fat_id={long}")]
    {
        for cookie in ["_fbc=fb.1.x.y", "_fbc=a", "_fbp=%20", "_ttp=", "li_fat_id=\"a\"", "_fbc=fb.1.1.a b"] {
            assert_eq!(go(&app, &format!("https://www.example.com/?{query}"), cookie).await.status, 200);
        }
    }
    let stored = rows(&pool, "select distinct clicks from public.visitors").await;
    assert_eq!(json!(stored), json!([{"clicks": {}}]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_site_is_the_one_that_the_newest_click_led_to(pool: PgPool) {
    let app = app(&pool);
    let first = go(&app, "https://WWW.Example.com:8443/", "").await;
    for (url, site) in [
        ("https://shop.example.com/", "www.example.com"),
        ("https://shop.example.com/lp?gclid=one", "shop.example.com"),
        ("https://www.example.com/", "shop.example.com"),
        ("https://www.example.com/?gclid=a%20b", "shop.example.com"),
        ("https://www.example.com/?wbraid=two", "www.example.com"),
    ] {
        go(&app, url, &first.cookie_header()).await;
        assert_eq!(row(&pool, VISITOR).await["site"], site, "{url}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_cookie_that_is_not_ours_counts_as_none(pool: PgPool) {
    let app = app(&pool);
    let forged = [
        "adtrail_visitor=",
        "adtrail_visitor=1",
        "adtrail_visitor=' or 1=1 --",
        "adtrail_visitor=3F0C9A52-6D1E-4B7A-9C55-0E2F4D8A7B61",
        "adtrail_visitor={3f0c9a52-6d1e-4b7a-9c55-0e2f4d8a7b61}",
        "adtrail_visitor=00000000-0000-0000-0000-000000000000",
        // Well-formed, and nobody's.
        "adtrail_visitor=3f0c9a52-6d1e-4b7a-9c55-0e2f4d8a7b61",
        "adtrail_visitor; adtrail_attribution",
        "adtrail_attribution=%%%",
        "adtrail_attribution=e30",
        "=;;;= ;adtrail_attribution=",
    ];
    for (nth, cookie) in forged.into_iter().enumerate() {
        let answer = go(&app, "https://www.example.com/", cookie).await;
        assert_eq!((answer.status, &answer.body["returning"]), (200, &json!(false)), "{cookie}");
        assert_eq!(rows(&pool, VISITOR).await.len(), nth + 1, "{cookie}");
        let set = &answer.cookies()[0].1;
        assert!(!cookie.contains(set), "{cookie}");
        assert_eq!(rows(&pool, &format!("{VISITOR} where visitor_id = '{set}'")).await.len(), 1, "{cookie}");
    }
}

/// A click of the year 200000 would never be replaced by a newer one, and would never expire.
#[sqlx::test(migrations = "../../migrations")]
async fn a_forged_click_is_never_newer_than_now(pool: PgPool) {
    let app = app(&pool);
    for (nth, year) in
        ["2026-11-21", "9999-12-31", "+262142-12-31", "-262143-01-01", "0001-01-01"].into_iter().enumerate()
    {
        let json = format!(r#"{{"click":{{"gclid":"forged{nth}","at":"{year}T00:00:00Z"}}}}"#);
        let cookie = format!("adtrail_attribution={}", testing::cookie_value(json.as_bytes()));
        let answer = go(&app, "https://www.example.com/", &cookie).await;
        assert_eq!(answer.status, 200, "{year}");
        let of_it = format!("select * from public.visitors where visitor_id = '{}'", answer.cookies()[0].1);
        let stored = row(&pool, &of_it).await;
        assert!(stored["click_at"].is_null() || stored["click_at"] == stored["first_seen_at"], "{year}: {stored}");
        app.clock.advance(TimeDelta::seconds(1));
        go(&app, "https://www.example.com/?gclid=real", &answer.cookie_header()).await;
        assert_eq!(row(&pool, &of_it).await["gclid"], "real", "{year}");
    }
}

const PERSON: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/141.0.0.0 Safari/537.36";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

#[sqlx::test(migrations = "../../migrations")]
async fn a_bot_is_kept_and_marked_until_a_person_comes_with_its_cookie(pool: PgPool) {
    let app = app(&pool);
    let come = async |agent: &str, cookies: &str| {
        let request = with(with(to("https://www.example.com/?gclid=One"), "cookie", cookies), "user-agent", agent);
        let answer = visit(&app, with(request, "origin", testing::ORIGIN)).await;
        assert_eq!(answer.status, 200, "{agent}");
        answer
    };
    let marks = async || {
        let stored = row(&pool, VISITOR).await;
        json!([stored["bot_score"], stored["bot_reasons"]])
    };
    let first = come(CRAWLER, "").await;
    assert_eq!(marks().await, json!([100, ["crawler"]]));
    let metrics = "select visitors, visitors_with_gclid, bots from public.conversion_metrics";
    assert_eq!(row(&pool, metrics).await, json!({"visitors": 0, "visitors_with_gclid": 0, "bots": 1}));
    let gauges = async || app.db.tx(async |tx| visitors::gauges::read(tx, app.clock.now()).await).await.unwrap();
    assert_eq!(gauges().await.visitors, 0);

    for (agent, expected) in [
        ("Mozilla/5.0 Chrome/103.0 BingPreview/1.0b", json!([100, ["crawler"]])),
        (PERSON, json!([0, []])),
        (CRAWLER, json!([0, []])),
    ] {
        come(agent, &first.cookie_header()).await;
        assert_eq!(marks().await, expected, "{agent}");
    }
    assert_eq!(row(&pool, metrics).await, json!({"visitors": 1, "visitors_with_gclid": 1, "bots": 0}));
    assert_eq!(gauges().await.visitors, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_head_request_stores_nothing(pool: PgPool) {
    let mut request = with(to("https://www.example.com/"), "user-agent", PERSON);
    *request.method_mut() = Method::HEAD;
    assert_eq!(visit(&app(&pool), request).await.status, 405);
    assert_eq!(rows(&pool, VISITOR).await.len(), 0);
}

/// The session attributes as Google reads them.
async fn session(pool: &PgPool) -> Value {
    let stored = row(pool, VISITOR).await["session_attributes"].clone();
    let Some(encoded) = stored.as_str() else { return Value::Null };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_newest_visit_from_googles_ads_gives_the_session_attributes(pool: PgPool) {
    let app = app(&pool);
    let url = "https://www.example.com/#/lp?gclid=One&gad_source=1&gad_campaignid=77";
    let body = json!({"url": url, "referrer": "https://www.google.com/", "why": "load"});
    let first = visit(&app, with(testing::json_request(&ENDPOINT, &body), "user-agent", PERSON)).await;
    let expected = json!({
        "gad_source": "1", "gad_campaignid": "77", "session_start_time_usec": "1795176000000000",
        "landing_page_url": url, "landing_page_referrer": "https://www.google.com/", "landing_page_user_agent": PERSON,
    });
    assert_eq!(session(&pool).await, expected);
    assert_eq!(row(&pool, VISITOR).await["gclid"], "One");

    app.clock.advance(TimeDelta::minutes(5));
    // The next page, a click of another network, and a reload of the landing page.
    for page in ["https://www.example.com/2", "https://www.example.com/?fbclid=x", url] {
        go(&app, page, &first.cookie_header()).await;
        assert_eq!(session(&pool).await, expected, "{page}");
    }
    for (query, source) in [("gad_source=2", "2"), ("gclid=Two&gad_source=5", "5")] {
        go(&app, &format!("https://www.example.com/?{query}"), &first.cookie_header()).await;
        let session = session(&pool).await;
        assert_eq!(
            (&session["gad_source"], &session["session_start_time_usec"]),
            (&json!(source), &json!("1795176300000000"))
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn global_privacy_control_denies_consent(pool: PgPool) {
    let app = app(&pool);
    let granted = json!({"url": "https://www.example.com/", "consent": {"ad_user_data": "granted"}});
    // The browser's header, and what is stored if consent was granted.
    let by_page = json!({"url": "https://www.example.com/", "gpc": true, "consent": granted["consent"]});
    let answer = visit(&app, testing::json_request(&ENDPOINT, &by_page)).await;
    let of_it = format!("{VISITOR} where visitor_id = '{}'", answer.cookies()[0].1);
    assert_eq!(row(&pool, &of_it).await["ad_user_data"], "denied");
    for (header, stored) in [("1", ["denied", "denied"]), ("0", ["granted", "unknown"]), ("", ["granted", "unknown"])] {
        let answer = visit(&app, with(testing::json_request(&ENDPOINT, &granted), "sec-gpc", header)).await;
        let id = &answer.cookies()[0].1;
        let stored_now = row(&pool, &format!("{VISITOR} where visitor_id = '{id}'")).await;
        assert_eq!(json!([stored_now["ad_user_data"], stored_now["ad_personalization"]]), json!(stored), "{header}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_answer_on_consent_replaces_the_one_before_and_silence_does_not(pool: PgPool) {
    let app = app(&pool);
    let said = |consent: Value| {
        testing::json_request(&ENDPOINT, &json!({"url": "https://www.example.com/", "consent": consent}))
    };
    let first = visit(&app, said(json!({}))).await;
    let steps = [
        (json!(null), ["unknown", "unknown"]),
        (json!({"ad_user_data": "granted", "ad_personalization": "granted"}), ["granted", "granted"]),
        (json!({"ad_user_data": "unknown"}), ["granted", "granted"]),
        (json!({"ad_personalization": "denied"}), ["granted", "denied"]),
    ];
    for (consent, expected) in steps {
        visit(&app, with(said(consent.clone()), "cookie", &first.cookie_header())).await;
        let stored = row(&pool, VISITOR).await;
        assert_eq!(json!([stored["ad_user_data"], stored["ad_personalization"]]), json!(expected), "{consent}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_the_banner_says_is_kept_when_it_changes(pool: PgPool) {
    let app = app(&pool);
    let said = |consent: &str| {
        let body = json!({"url": "https://www.example.com/", "consent": {"ad_user_data": consent}});
        testing::json_request(&ENDPOINT, &body)
    };
    let first = visit(&app, said("granted")).await;
    let in_browser = |request| with(request, "cookie", &first.cookie_header());
    let steps = [said("granted"), said("unknown"), said("denied"), said("denied"), said("granted")];
    for request in steps.into_iter().chain([with(said("granted"), "sec-gpc", "1")]) {
        app.clock.advance(TimeDelta::minutes(1));
        visit(&app, in_browser(request)).await;
    }
    let statements = "select value, source, stated_at from public.consent_statements
                      where purpose = 'ad_user_data' order by id";
    let statements = rows(&pool, statements).await;
    let kept: Vec<_> = statements.iter().map(|it| json!([it["value"], it["source"], it["stated_at"]])).collect();
    let expected = [("granted", "visit", 0), ("denied", "visit", 3), ("granted", "visit", 5), ("denied", "gpc", 6)];
    assert_eq!(
        kept,
        expected.map(|(value, source, at)| json!([value, source, format!("2026-11-20T12:0{at}:00+00:00")]))
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_unavailable_database_loses_no_attribution(pool: PgPool) {
    let away = app_without_database(&[("COOKIE_DOMAIN", "example.com")]);
    let answer = go(&away, "https://www.example.com/lp?gclid=one&utm_source=google", "").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["type"], "/problems/unavailable");
    assert_eq!(answer.body.get("detail"), None);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    let cookies = answer.cookies();
    assert_eq!(cookies.len(), 2);
    assert!(cookies.iter().all(|(_, _, attributes)| attributes.ends_with("; Domain=example.com")), "{cookies:?}");

    let app = app(&pool);
    app.clock.advance(TimeDelta::hours(1));
    let next = go(&app, "https://www.example.com/pricing", &answer.cookie_header()).await;
    assert_eq!(next.status, 200);
    let stored = row(&pool, VISITOR).await;
    assert_eq!(stored["visitor_id"], next.cookies()[0].1);
    assert_ne!(stored["visitor_id"], cookies[0].1, "nobody knows whether we minted it");
    assert_eq!((&stored["gclid"], &stored["utm_source"]), (&json!("one"), &json!("google")));
    assert_eq!(stored["click_at"], json!("2026-11-20T12:00:00+00:00"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn addresses_of_any_length_are_read_and_stored_shortened(pool: PgPool) {
    let app = app(&pool);
    for (letter, length) in [("x", 8_192), ("x", 8_193), ("ü", 8_000), ("x", 100_000)] {
        let url = format!("https://www.example.com/{}?gclid=Behind-{length}", letter.repeat(length - 24));
        assert_eq!(visit(&app, to(&url)).await.status, 200, "{length} of {letter}");
        let click = format!("{VISITOR} where gclid = 'Behind-{length}'");
        assert_eq!(rows(&pool, &click).await.len(), 1, "{length} of {letter}");
    }
    let cut = "select max(length(landing_page)) as landing_page from public.visitors";
    assert_eq!(row(&pool, cut).await["landing_page"], 2_048);
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_is_refused_and_leaves_nothing(pool: PgPool) {
    let app = app(&pool);
    let valid = json!({
        "url": "https://www.example.com/?gclid=x", "referrer": "https://www.google.com/",
        "consent": {"ad_user_data": "granted", "ad_personalization": "denied"},
    });
    let mut bad: Vec<(&str, Value)> = Vec::new();
    for url in [
        json!(null),
        json!(""),
        json!("  "),
        json!(7),
        json!({}),
        json!("/lp"),
        json!("/lp?gclid={gclid}"),
        json!("?utm_source=google"),
        json!("lead"),
        json!("www.example.com"),
        json!("javascript:alert(1)"),
        json!("javascript://x/?gclid=Abc-1"),
        json!("data:text/html,<b>?gclid=Abc-1&at=https://example.com"),
        json!("ftp://example.com/"),
        json!("https://www.example.com*/"),
        json!("https://"),
        json!("https://exa mple.com/"),
    ] {
        bad.push(("/url", url));
    }
    refuses_bad_input((&app, &pool), &ENDPOINT, handle, |request| request, &valid, &bad).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_click_is_kept_whatever_address_it_comes_in(pool: PgPool) {
    let app = app(&pool);
    for (nth, (address, landing_page, site)) in [
        ("/lp?gclid=ID", "/lp?gclid=ID", "www.example.com"),
        ("example.org/lp?gclid=ID", "https://example.org/lp?gclid=ID", "example.org"),
        ("?gclid=ID", "?gclid=ID", "www.example.com"),
        ("utm_source=a&gclid=ID", "utm_source=a&gclid=ID", "www.example.com"),
        ("(https://example.org/?gclid=ID)", "https://example.org/?gclid=ID", "example.org"),
        ("<https://example.org/?gclid=ID>", "https://example.org/?gclid=ID", "example.org"),
        ("android-app://com.example.app/?gclid=ID", "android-app://com.example.app/?gclid=ID", "www.example.com"),
        ("https://exa mple.com/?gclid=ID", "https://exa mple.com/?gclid=ID", "www.example.com"),
        ("https://example.org/?gclid=ID==", "https://example.org/?gclid=ID==", "example.org"),
        ("https://example.org/?p[gclid]=ID", "https://example.org/?p[gclid]=ID", "example.org"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("Click-{nth}");
        let visited = with(to(&address.replace("ID", &id)), "origin", testing::ORIGIN);
        assert_eq!(visit(&app, visited).await.status, 200, "{address}");
        let kept = row(&pool, &format!("{VISITOR} where gclid = '{id}'")).await;
        assert_eq!(kept["landing_page"], landing_page.replace("ID", &id), "{address}");
        assert_eq!(kept["site"], site, "{address}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn no_visit_is_lost_for_what_it_says_of_consent_or_of_where_it_came_from(pool: PgPool) {
    let app = app(&pool);
    for (nth, (field, said, stored, warned)) in [
        ("consent", json!({"ad_user_data": "yes"}), "granted", None),
        ("consent", json!({"ad_user_data": "GRANTED"}), "granted", None),
        ("consent", json!({"ad_user_data": true}), "granted", None),
        ("consent", json!({"ad_user_data": "Declined "}), "denied", None),
        ("consent", json!({"ad_user_data": 0}), "denied", None),
        ("consent", json!({"ad_user_data": null}), "unknown", None),
        ("consent", json!({"ad_user_data": "maybe"}), "unknown", Some("/consent/ad_user_data")),
        ("consent", json!({"ad_user_data": {}}), "unknown", Some("/consent/ad_user_data")),
        ("consent", json!("granted"), "granted", Some("/consent")),
        ("consent", json!(["x"]), "unknown", Some("/consent")),
        ("consent", json!(false), "denied", Some("/consent")),
        ("referrer", json!(7), "unknown", Some("/referrer")),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"url": format!("https://www.example.com/?gclid=Odd-{nth}"), field: said});
        let answer = visit(&app, testing::json_request(&ENDPOINT, &body)).await;
        assert_eq!(
            (answer.status, answer.body.pointer("/warnings/0/pointer")),
            (200, warned.map(|it| json!(it)).as_ref()),
            "{body}"
        );
        let kept = row(&pool, &format!("{VISITOR} where gclid = 'Odd-{nth}'")).await;
        assert_eq!(kept["ad_user_data"], stored, "{body}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_an_ad_adds_to_an_address_is_kept_without_its_click(pool: PgPool) {
    let app = app(&pool);
    let first = go(&app, "https://www.example.com/?gad_source=1&gad_campaignid=77", "").await;
    let marks = format!("select gclid, gad_source, gad_campaignid from ({VISITOR}) as visitor");
    for (url, expected) in [
        ("?a=b", json!({"gclid": null, "gad_source": "1", "gad_campaignid": "77"})),
        ("#/?gad_source=5", json!({"gclid": null, "gad_source": "5", "gad_campaignid": null})),
        ("?gclid=Click&gad_source=2", json!({"gclid": "Click", "gad_source": "2", "gad_campaignid": null})),
        ("?gad_source=3&gad_campaignid=78", json!({"gclid": "Click", "gad_source": "2", "gad_campaignid": null})),
    ] {
        let url = format!("https://www.example.com/{url}");
        assert_eq!(go(&app, &url, &first.cookie_header()).await.status, 200);
        assert_eq!(row(&pool, &marks).await, expected, "{url}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_checker_of_ads_and_a_page_loaded_ahead_are_no_visitors(pool: PgPool) {
    let app = app(&pool);
    for (header, value) in [
        ("user-agent", "AdsBot-Google (+http://www.google.com/adsbot.html)"),
        (
            "user-agent",
            "Mozilla/5.0 (Linux; Android) (compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)",
        ),
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "Prefetch; Prerender"),
    ] {
        let answer = visit(&app, with(to("https://www.example.com/lp?gclid=Ahead"), header, value)).await;
        assert_eq!((answer.status, rows(&pool, VISITOR).await.len()), (200, 0), "{header}: {value}");
    }
    // Looked at after all, the page's form has the click.
    let ahead = visit(&app, with(to("https://www.example.com/lp?gclid=Ahead"), "sec-purpose", "prefetch")).await;
    assert_eq!(go(&app, "https://www.example.com/contact", &ahead.cookie_header()).await.status, 200);
    assert_eq!(row(&pool, VISITOR).await["gclid"], "Ahead");
}

#[sqlx::test(migrations = "../../migrations")]
async fn random_input_breaks_nothing(pool: PgPool) {
    let app = app(&pool);
    let valid = json!({
        "url": "https://www.example.com/?gclid=x&utm_source=google", "referrer": "https://www.google.com/",
        "consent": {"ad_user_data": "granted", "ad_personalization": "denied"},
    });
    fuzz(&app, &ENDPOINT, handle, 2_000, &[valid], |body| testing::request(&ENDPOINT, body)).await;
    let cookie = json!({
        "utm": {"source": "google", "term": "shoes"},
        "click": {"gclid": "one", "gad_source": "1", "at": "2026-11-20T11:00:00Z"},
    });
    fuzz(&app, &ENDPOINT, handle, 2_000, &[cookie], |forged| {
        let cookie = format!("adtrail_attribution={}", testing::cookie_value(&forged));
        with(to("https://www.example.com/"), "cookie", &cookie)
    })
    .await;
    let refused = "select 1 from public.visitors where landing_page = 'https://www.example.com/'";
    assert!(rows(&pool, refused).await.len() >= 2_000, "a cookie is never an error");
}

#[sqlx::test(migrations = "../../migrations")]
async fn above_its_limit_a_visit_is_not_stored_but_its_click_stays_in_the_cookie(pool: PgPool) {
    let app = app_with(&pool, &[("VISITS_PER_HOUR", "10")]);
    for visitor in 0..10 {
        assert_eq!(visit(&app, to("https://www.example.com/")).await.status, 200, "visitor {visitor}");
    }
    let refused = visit(&app, to("https://www.example.com/?gclid=Click")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "3601"));
    assert_eq!(rows(&pool, VISITOR).await.len(), 10);
    let known = row(&pool, "select visitor_id from public.visitors limit 1").await["visitor_id"].clone();
    let cookie = format!("adtrail_visitor={}", known.as_str().unwrap());
    for said in [json!({"ad_user_data": "granted"}), json!({"ad_user_data": "denied"})] {
        let body = json!({"url": "https://www.example.com/", "consent": said});
        assert_eq!(visit(&app, with(testing::json_request(&ENDPOINT, &body), "cookie", &cookie)).await.status, 429);
    }
    let stated = rows(&pool, "select visitor_id, value from public.consent_statements").await;
    assert_eq!(json!(stated), json!([{"visitor_id": known, "value": "denied"}]), "a no is kept in any case");
    let later = app_with(&pool, &[]);
    assert_eq!(go(&later, "https://www.example.com/", &refused.cookie_header()).await.status, 200);
    let clicks = rows(&pool, "select gclid from public.visitors where gclid is not null").await;
    assert_eq!(json!(clicks), json!([{"gclid": "Click"}]));
}
