//! Columns that a site may have filled itself are read by the rule that its requests are parsed by.

use shared::attribution::{ClickId, SessionAttributes, Site};
use shared::deals::Stage;
use sqlx::PgPool;
use url::Url;

/// Texts around every edge of both rules.
fn texts() -> Vec<String> {
    let of_length = |length: i32| "a".repeat(usize::try_from(length).unwrap());
    let edges = [ClickId::LIMIT, SessionAttributes::LIMIT].map(|limit| [of_length(limit), of_length(limit + 1)]);
    let ascii = (1..=127_u8).map(|byte| char::from(byte).to_string());
    let others = ["", "CjwKCAiA_x-1", "é", "a b", "a\n", "\na", "ａ", "١", "a😀"].map(String::from);
    ascii.chain(edges.concat()).chain(others).collect()
}

/// Which of the texts SQL takes.
async fn matching(pool: &PgPool, pattern: &str, limit: i32) -> Vec<String> {
    let query = "select text from unnest($1::text[]) as text where text ~ $2 and length(text) <= $3";
    sqlx::query_scalar(query).bind(texts()).bind(pattern).bind(limit).fetch_all(pool).await.unwrap()
}

/// The checks of the schema whose names end like this.
async fn checks(pool: &PgPool, ending: &str) -> Vec<String> {
    let query = "select pg_get_constraintdef(oid) from pg_constraint where contype = 'c' and conname like '%' || $1";
    sqlx::query_scalar(query).bind(ending).fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_click_id_is_the_same_in_rust_and_in_sql(pool: PgPool) {
    let parsed: Vec<_> = texts().into_iter().filter(|text| ClickId::parse(text).is_ok()).collect();
    assert_eq!(parsed.len(), 26 + 26 + 10 + 2 + 2, "{parsed:?}");
    assert_eq!(matching(&pool, ClickId::PATTERN, ClickId::LIMIT).await, parsed);
    let checks = checks(&pool, "_is_a_click_id").await;
    assert_eq!(checks.len(), 6, "{checks:?}");
    for check in checks {
        assert!(check.contains(ClickId::PATTERN) && check.contains(&format!("<= {}", ClickId::LIMIT)), "{check}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_name_of_a_stage_is_the_same_in_rust_and_in_sql(pool: PgPool) {
    const PATTERN: &str = "^[a-z][a-z0-9_]{0,39}$";
    let names: Vec<_> = ["a", "closed", "demo_booked", "a1", "1a", "_a", "A", "a-b", "a b", "é", "a\n", ""]
        .map(String::from)
        .into_iter()
        .chain([40, 41].map(|length| "a".repeat(length)))
        .chain(texts())
        .collect();
    let query = "select text from unnest($1::text[]) as text where text ~ $2";
    let matching: Vec<String> = sqlx::query_scalar(query).bind(&names).bind(PATTERN).fetch_all(&pool).await.unwrap();
    let parsed: Vec<_> = names.into_iter().filter(|name| Stage::parse(name).is_ok()).collect();
    assert_eq!(parsed, matching);
    let checks = checks(&pool, "_type_is_a_stage").await;
    assert_eq!(checks.len(), 2, "{checks:?}");
    assert!(checks.iter().all(|check| check.contains(PATTERN)), "{checks:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn session_attributes_are_the_same_in_rust_and_in_sql(pool: PgPool) {
    let parsed: Vec<_> = texts().into_iter().filter(|text| SessionAttributes::parse(text).is_ok()).collect();
    assert_eq!(parsed.len(), 26 + 26 + 10 + 6 + 4, "{parsed:?}");
    assert_eq!(matching(&pool, SessionAttributes::PATTERN, SessionAttributes::LIMIT).await, parsed);
    let checks = checks(&pool, "_session_attributes_are_well_formed").await;
    assert_eq!(checks.len(), 2, "{checks:?}");
    for check in checks {
        assert!(check.contains(SessionAttributes::PATTERN), "{check}");
        assert!(check.contains(&format!("<= {}", SessionAttributes::LIMIT)), "{check}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_site_is_the_same_in_rust_and_in_sql(pool: PgPool) {
    let hosts = ["www.example.com", "xn--bcher-kva.example", "under_score.example", "192.0.2.1", "[2001:db8::1]"];
    let longest = format!("{}.example", "a".repeat(245));
    for host in hosts.into_iter().chain([longest.as_str()]) {
        let site = Site::of(&Url::parse(&format!("https://{host}/")).unwrap()).unwrap();
        let known: bool = sqlx::query_scalar("select $1 ~ $2 and length($1) <= $3")
            .bind(site.as_str())
            .bind(Site::PATTERN)
            .bind(Site::LIMIT)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(known, "{host}");
    }
    let checks = checks(&pool, "_site_is_a_host").await;
    assert_eq!(checks.len(), 2, "{checks:?}");
    for check in checks {
        assert!(check.contains(Site::PATTERN) && check.contains(&format!("<= {}", Site::LIMIT)), "{check}");
    }
}
