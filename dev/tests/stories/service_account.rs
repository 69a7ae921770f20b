//! A service account signs for itself; one token serves many requests.

use std::collections::BTreeSet;

use dev::google::{GoogleAccount, ServiceAccount};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use serde_json::json;
use sqlx::PgPool;

use crate::stage::Stage;

/// The credentials of `make dev`, which go when others come.
pub const REFRESH_TOKEN: [&str; 3] = ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"];

#[sqlx::test(migrations = "../migrations")]
async fn conversions_go_out_with_a_service_account(pool: PgPool) {
    let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
    let client_email = "uploader@project.iam.gserviceaccount.example";
    let account = GoogleAccount {
        service_account: Some(ServiceAccount {
            client_email: client_email.into(),
            public_key_der: key.to_public_key().to_pkcs1_der().unwrap().to_vec(),
        }),
        ..GoogleAccount::dev()
    };
    let key_file = json!({
        "type": "service_account",
        "client_email": client_email,
        "private_key": *key.to_pkcs8_pem(LineEnding::LF).unwrap(),
        "private_key_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    let stage = Stage::with_account(pool, account, |values| {
        values.retain(|name, _| !REFRESH_TOKEN.contains(&name.as_str()));
        values.insert("GOOGLE_SERVICE_ACCOUNT_KEY".into(), key_file.to_string().into());
    })
    .await;
    stage.queue(30).await;

    stage.tick().await;

    let sent: BTreeSet<_> = stage.google.events().into_iter().map(|event| event.transaction_id).collect();
    assert_eq!(sent.len(), 30);
    assert_eq!(stage.google.requests().token, 1);
}
