//! A service account signs for itself; one token serves many requests.

use std::collections::BTreeSet;

use dev::settings;
use google_sandbox::{GoogleAccount, ServiceAccount};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use serde_json::json;
use shared::App;
use shared::clock::Clock;
use shared::settings::Values;
use sqlx::PgPool;

use crate::stage::Stage;

/// The credentials of `make dev`, which go when others come.
pub const REFRESH_TOKEN: [&str; 3] = ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"];

const CLIENT_EMAIL: &str = "uploader@project.iam.gserviceaccount.example";

/// As Google hands it out.
fn key_file(private_key: &str) -> String {
    json!({
        "type": "service_account",
        "client_email": CLIENT_EMAIL,
        "private_key": private_key,
        "private_key_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

fn set(values: &mut Values, key_file: &str) {
    values.retain(|name, _| !REFRESH_TOKEN.contains(&name.as_str()));
    values.insert("GOOGLE_SERVICE_ACCOUNT_KEY".into(), key_file.into());
}

#[sqlx::test(migrations = "../migrations")]
async fn conversions_are_sent_with_a_service_account(pool: PgPool) {
    let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
    let account = GoogleAccount {
        service_account: Some(ServiceAccount {
            client_email: CLIENT_EMAIL.into(),
            public_key_der: key.to_public_key().to_pkcs1_der().unwrap().to_vec(),
        }),
        ..GoogleAccount::dev()
    };
    let key_file = key_file(&key.to_pkcs8_pem(LineEnding::LF).unwrap());
    let stage = Stage::with_account(pool, account, |values| {
        set(values, &key_file);
    })
    .await;
    stage.queue(30).await;

    stage.tick().await;

    let sent: BTreeSet<_> = stage.google.events().into_iter().map(|event| event.transaction_id).collect();
    assert_eq!(sent.len(), 30);
    assert_eq!(stage.google.requests().token, 1);
}

#[test]
fn a_key_that_was_copied_badly_is_refused_at_the_start_and_never_shown() {
    let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let start = |private_key: &str| {
        let mut values = settings::values("postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1");
        set(&mut values, &key_file(private_key));
        App::<upload_conversions::Config>::new(&values, &[], Clock::system(), 1).err().map(|error| error.to_string())
    };
    assert_eq!(start(&pem), None);
    // Templates double the backslashes.
    assert_eq!(start(&pem.replace('\n', "\\n")), None);

    let lines: Vec<_> = pem.lines().collect();
    let without = |line: usize| [&lines[..line], &lines[line + 1..]].concat().join("\n");
    for (copy, fix) in [
        (without(lines.len() - 1), "cut off"),
        (without(5), "damaged"),
        (lines[1..].join("\n"), "cut off"),
        (key.to_pkcs1_pem(LineEnding::LF).unwrap().to_string(), "openssl pkcs8"),
    ] {
        let said = start(&copy).unwrap();
        assert!(said.contains("GOOGLE_SERVICE_ACCOUNT_KEY") && said.contains(fix), "{said}");
        assert!(copy.lines().all(|line| !said.contains(line)), "{said}");
    }
}
