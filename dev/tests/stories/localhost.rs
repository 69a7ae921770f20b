//! `make dev` is for this machine alone: it tells its secrets.

use reqwest::{Method, StatusCode};
use sqlx::PgPool;

use crate::stage::Stage;

#[sqlx::test(migrations = "../migrations")]
async fn another_host_is_told_nothing(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        stage.call(method, path, headers, String::new()).await
    };
    for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:9000", "[::1]"] {
        for path in ["/dev/env", "/dev/rows", "/"] {
            assert_eq!(ask(Method::GET, path, &[("host", host)]).await.status, StatusCode::OK, "{host} {path}");
        }
    }
    for host in [
        "evil.example.com",
        "localhost.evil.example.com",
        "evil.example.com:8080",
        "127.0.0.1.example.com",
        "localhost@evil.example.com",
        "192.0.2.1",
        "",
    ] {
        for path in ["/dev/env", "/dev/rows", "/", "/api/health/tracking", "/sandbox/google/events", "/nowhere"] {
            let answer = ask(Method::GET, path, &[("host", host)]).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host} {path}");
            assert!(answer.body["detail"].as_str().unwrap().contains("localhost"), "{host}: {:?}", answer.body);
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn another_websites_page_starts_nothing(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let tick =
        async |headers: &[(&str, &str)]| stage.call(Method::POST, "/dev/tick", headers, String::new()).await.status;
    for own in ["http://localhost:8080", "http://127.0.0.1:3000", "http://[::1]:8080"] {
        assert_eq!(tick(&[("origin", own)]).await, StatusCode::OK, "{own}");
    }
    assert_eq!(tick(&[]).await, StatusCode::OK, "no page at all");
    for foreign in ["https://evil.example.com", "http://localhost.example.com", "null", "localhost"] {
        assert_eq!(tick(&[("origin", foreign)]).await, StatusCode::FORBIDDEN, "{foreign}");
    }
}
