//! The database's certificate is of a private authority, as Supabase's is.

use google_sandbox::GoogleAccount;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::StatusCode;
use serde_json::json;
use services::pgbouncer::PgBouncer;
use shared::App;
use shared::clock::Clock;
use shared::settings::Values;
use sqlx::PgPool;

use crate::stage::{Stage, database_url};

const UNKNOWN_AUTHORITY: &str = "the authority of the database's certificate is not known: set DATABASE_CA_PEM";

/// A root that signs an intermediate that signs the server.
pub struct Authority {
    pub root: String,
    /// What the server shows: its own certificate and the intermediate's.
    chain: String,
    key: String,
}

impl Authority {
    pub fn certifies(host: &str) -> Self {
        let root = CertifiedIssuer::self_signed(authority("Private Root CA"), key()).unwrap();
        let intermediate = CertifiedIssuer::signed_by(authority("Private Intermediate CA"), key(), &root).unwrap();
        let server = key();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&server, &intermediate).unwrap();
        Self { root: root.pem(), chain: certificate.pem() + &intermediate.pem(), key: server.serialize_pem() }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A pooler that takes only TLS, and the URL that asks for all of its proofs. Without that, a database on this machine
/// needs none.
pub async fn pooler(pool: &PgPool, authority: &Authority) -> (PgBouncer, String) {
    let files = [("client_tls_cert_file", &*authority.chain), ("client_tls_key_file", &*authority.key)];
    let values = [("client_tls_sslmode", "require")];
    let pooler = PgBouncer::start_with(&database_url(pool), 3, &values, &files).await.unwrap();
    let database = pool.connect_options().get_database().unwrap().to_owned();
    let url = pooler.url(&database).replace("127.0.0.1", "localhost").replace("disable", "verify-full");
    (pooler, url)
}

/// Connects as a function does that has these settings.
async fn connect(url: &str, authority: &str) -> Result<(), String> {
    let values = Values::from([
        ("DATABASE_URL".to_owned(), url.to_owned().into()),
        ("DATABASE_CA_PEM".to_owned(), authority.to_owned().into()),
    ]);
    let app = App::<()>::new(&values, &[], Clock::system(), 1).map_err(|error| error.to_string())?;
    app.db.warm().await.map_err(|error| error.to_string())
}

#[sqlx::test(migrations = false)]
async fn it_is_trusted_when_the_settings_have_its_root(pool: PgPool) {
    let authority = Authority::certifies("localhost");
    let (_pooler, url) = pooler(&pool, &authority).await;

    assert_eq!(connect(&url, &authority.root).await, Ok(()));
    assert_eq!(connect(&url, &authority.root.replace('\n', "\\n")).await, Ok(()), "line breaks written out");
}

#[sqlx::test(migrations = false)]
async fn without_its_root_the_error_says_the_fix(pool: PgPool) {
    let authority = Authority::certifies("localhost");
    let (_pooler, url) = pooler(&pool, &authority).await;

    // The second has the same name and another key, as Supabase's roots have.
    for root in ["", &Authority::certifies("localhost").root] {
        let error = connect(&url, root).await.unwrap_err();
        assert!(error.contains(UNKNOWN_AUTHORITY), "{error}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_certificate_for_another_host_is_refused(pool: PgPool) {
    let authority = Authority::certifies("db.example.com");
    let (_pooler, url) = pooler(&pool, &authority).await;

    let error = connect(&url, &authority.root).await.unwrap_err();
    assert!(error.contains("the database's certificate is not for localhost"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn callers_are_not_told(pool: PgPool) {
    let (_pooler, url) = pooler(&pool, &Authority::certifies("localhost")).await;
    let settings = |values: &mut Values| {
        values.insert("DATABASE_URL".into(), url.into());
    };
    let stage = Stage::with_account(pool, GoogleAccount::dev(), settings).await;

    let answer = stage.post("/api/track/event", &[], &json!({"event_name": "sign_up"})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.body.to_string();
    assert!(!body.contains("DATABASE") && !body.contains("certificate"), "{body}");
}
