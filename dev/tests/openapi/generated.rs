//! Thousands of calls that schemathesis generates from the document, and its checks of the answers.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, ensure};
use dev::settings::{HEALTH_KEY, WEBHOOK_SECRET, secret};
use serde_json::Value;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::document::Document;

/// Calls there must be at least.
const CASES: u64 = 10_000;

/// Takes minutes and needs a program that is no part of Rust, so only `make test-long` runs it.
#[sqlx::test(migrations = "../migrations")]
async fn no_generated_call_is_answered_otherwise_than_documented(pool: PgPool) -> anyhow::Result<()> {
    if std::env::var_os("ADTRAIL_TEST_LONG").is_none() {
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = crate::router((*pool.connect_options()).clone(), &[])?;
    tokio::spawn(async move { axum::serve(listener, router).await });

    let document = Document::read();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a repository")?;
    let installed = repository.join("target/schemathesis");
    let report = installed.join("report.json");
    let settings = repository.join("dev/tests/openapi/schemathesis");
    let output = Command::new(installed.join("bin/schemathesis"))
        .current_dir(&settings)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("HEALTH_KEY", HEALTH_KEY)
        .env("ZAPIER_SECRET", secret("ZAPIER_SECRET"))
        .args([OsStr::new("run"), repository.join("docs/openapi.yaml").as_ref(), "--url".as_ref(), url.as_ref()])
        .args(["--checks=all", "--no-color", "--report-json-path"])
        .arg(&report)
        .output()
        .await
        .context("make test-long installs schemathesis")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(report)?)?;
    ensure!(report["test_cases"]["generated"].as_u64() >= Some(CASES), "too few calls\n{said}");
    ensure!(report["operations"]["tested"] == document.operations().len(), "not every operation was called\n{said}");
    Ok(())
}
