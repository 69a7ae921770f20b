//! Clicks of several advertising networks, from the visits to the conversion.

use std::time::Duration;

use dev::bench::counting_proxy::CountingProxy;
use google_sandbox::GoogleAccount;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{Stage, database_url};

#[sqlx::test(migrations = "../migrations")]
async fn a_conversion_has_the_clicks_of_every_network_and_none_costs_a_round_trip(pool: PgPool) {
    let proxy = CountingProxy::start(&database_url(&pool), Duration::ZERO).await.unwrap();
    let url = proxy.url(pool.connect_options().get_database().unwrap());
    let change = |values: &mut shared::settings::Values| {
        values.insert("DATABASE_URL".into(), SecretString::from(url));
    };
    let stage = Stage::with_account(pool.clone(), GoogleAccount::dev(), change).await;
    let page = |query: &str| json!({"url": format!("https://www.example.com/?{query}")});
    let first = stage.post("/api/track/visit", &[], &page("")).await;
    let cookies: Vec<_> = first.set_cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let cookie = [("cookie", cookies[0])];
    let counted = async |path: &str, body: &Value| {
        let before = proxy.counts();
        let answer = stage.post(path, &cookie, body).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let counts = proxy.counts() - before;
        (counts.transactions, counts.round_trips)
    };
    // The login isn't counted.
    counted("/api/track/visit", &page("")).await;
    let without = counted("/api/track/visit", &page("")).await;
    assert_eq!(without, (1, 4), "begin, two for the only statement, commit");
    for query in ["ttclid=E.C.P.one", "gclid=Two&gad_campaignid=7", "fbclid=Three", "msclkid=4&li_fat_id=5-a"] {
        assert_eq!(counted("/api/track/visit", &page(query)).await, without, "{query}");
    }
    let form = |key: &str| json!({"email": "jane@example.com", "transaction_id": key, "fbp": "fb.1.1.7"});
    assert_eq!(counted("/api/leads", &form("one")).await, (1, 5), "one more for the locks on the person");

    let report = json!({"crm_deal_id": "D-1", "conversion_type": "closed", "email": "jane@example.com"});
    stage.deal(&report).await;
    let stored = "select clicks from conversions";
    let stored: Value = stage.value(stored).await;
    let ids = ["/google/gclid", "/google/gad_campaignid", "/meta/fbclid", "/meta/fbp", "/microsoft/msclkid"];
    let ids: Vec<_> = ids.into_iter().chain(["/linkedin/li_fat_id", "/tiktok/ttclid"]).collect();
    let found: Vec<_> = ids.iter().map(|at| stored.pointer(at).and_then(Value::as_str)).collect();
    let expected = ["Two", "7", "Three", "fb.1.1.7", "4", "5-a", "E.C.P.one"].map(Some);
    assert_eq!(found, expected, "{stored}");
    let site: String = stage.value("select site from conversions").await;
    assert_eq!(site, "www.example.com");
}
