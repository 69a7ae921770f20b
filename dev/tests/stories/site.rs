//! `adtrail doctor site` on a page that is as it should be, and on one with each of many faults.

mod faults;
mod website;

use std::process::{Output, Stdio};

use google_sandbox::GoogleAccount;
use serde_json::Value;
use sqlx::PgPool;
use tokio::process::Command;

use crate::doctor::{document, findings};
use crate::stage::{Stage, binary};
use faults::FAULTS;
use website::{Website, WebsiteServer};

struct Setup {
    server: WebsiteServer,
}

impl Setup {
    async fn new(pool: PgPool) -> Self {
        let mut server = WebsiteServer::new().await;
        let own = server.base.clone();
        let stage = Stage::with_account(pool, GoogleAccount::dev(), |values| {
            values.insert("ALLOWED_ORIGINS".into(), own.into());
        });
        let stage = stage.await;
        server.stand_before(&stage.base);
        Self { server }
    }

    /// Runs the real binary, without any setting.
    async fn examine(&self, website: Website, arguments: &[String]) -> Output {
        *self.server.website.lock().unwrap() = website;
        let mut command = Command::new(binary("adtrail"));
        command.env_clear().args(["--json", "doctor", "site"]).args(arguments);
        command.stdin(Stdio::null()).output().await.unwrap()
    }

    fn landing(&self) -> String {
        format!("{}/landing", self.server.base)
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_page_that_is_as_it_should_be_has_no_finding_and_nothing_is_stored(pool: PgPool) {
    let setup = Setup::new(pool.clone()).await;
    let before = testing::row_counts(&pool).await;

    let output = setup.examine(Website::healthy(&setup.server), &[setup.landing()]).await;

    let report = document(&output);
    assert_eq!(findings(&report), []);
    assert_eq!(output.status.code(), Some(0));
    let not_checked = |check: &&Value| check["state"] == "not_checked";
    let checks: Vec<_> = report["checks"].as_array().unwrap().iter().collect();
    let skipped: Vec<_> = checks.iter().copied().filter(not_checked).map(|check| &check["check"]).collect();
    assert_eq!(skipped, ["site.set_cookie"], "trying it would store a visit");
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    let expected = ["redirects", "page", "tag", "tag.file", "tag.integrity", "csp", "endpoints", "consent"];
    for name in expected.map(|name| format!("site.{name}")) {
        assert!(names.contains(&name.as_str()), "{name}: {names:?}");
    }
    assert_eq!(testing::row_counts(&pool).await, before);
}

#[sqlx::test(migrations = "../migrations")]
async fn each_fault_of_a_page_is_named_and_nothing_else(pool: PgPool) {
    let setup = Setup::new(pool.clone()).await;
    let before = testing::row_counts(&pool).await;
    let mut wrong = Vec::new();
    for fault in FAULTS {
        let mut website = Website::healthy(&setup.server);
        let mut arguments = vec![setup.landing()];
        (fault.plant)(&mut website, &mut arguments, &setup.server);
        let output = setup.examine(website, &arguments).await;
        let found = findings(&document(&output));
        let is_named = found.len() == fault.found.len()
            && found.iter().zip(fault.found).all(|((level, check, problem), (as_level, as_check, said))| {
                level == as_level && check == as_check && problem.contains(said)
            });
        let is_error = found.iter().any(|(level, ..)| level == "error");
        let said = String::from_utf8_lossy(&output.stderr);
        if !is_named || output.status.code() != Some(i32::from(is_error)) || said.contains("panicked") {
            wrong.push(format!("{} ({:?}): {found:#?} {said}", fault.name, output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FAULTS.len(), wrong.join("\n"));
    assert!(FAULTS.len() >= 40);
    assert_eq!(testing::row_counts(&pool).await, before);
}
