//! `dev`, the command behind the Makefile.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use dev::crm::CrmSandbox;
use dev::functions::Functions;
use dev::{bench, demo, server, settings};
use google_sandbox::{AdsAccount, GoogleAccount, GoogleSandbox};
use lambda_http::tracing::subscriber;
use secrecy::ExposeSecret;
use services::postgres::Postgres;
use services::{migrations, programs, supabase_roles};
use shared::clock::Clock;
use shared::db::is_on_this_machine;
use shared::settings::value;
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;

const HELP: &str = "\
Adtrail on one machine.

  dev serve             every endpoint, the schedule and a sandbox Google (make dev)
  dev demo              plays the whole story against a running `dev serve` (make demo)
  dev bench             round trips, latencies and memory of a release build (make bench)

  PORT                  the port of serve and demo, 8080 by default
  DATABASE_URL          for serve: a Postgres on this machine instead of a private one
  CLICK_HOLD_SECONDS    for serve: how old a click must be before its conversion is sent, 0 by default
  CONSENT_UNKNOWN       for serve: send or hold conversions without an answer on consent, send by default
  ALLOWED_ORIGINS       for serve: websites that may call, this server's own by default
  STAGES                for serve: stages of deals besides qualified and closed; also STAGES_UNDONE_BY_LOSS
  DESTINATIONS          for serve: where their conversions go, among the accounts that serve prints
  RUST_LOG              what is logged
";

/// Short, so that someone who watches sees the result soon.
const SCHEDULE: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 16;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => serve().await.map(|()| ExitCode::SUCCESS),
        ["demo"] => demo::play(settings::port()?).await.map(|()| ExitCode::SUCCESS),
        ["bench"] => {
            // Why an answer is a 500 is only in the log.
            subscriber::fmt().with_env_filter("error").with_writer(std::io::stderr).init();
            bench::run().await
        }
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("{HELP}");
            Ok(ExitCode::from(2))
        }
    }
}

async fn serve() -> anyhow::Result<()> {
    let filter = settings::environment("RUST_LOG").unwrap_or_else(|| "info,upload_conversions=warn,sqlx=warn".into());
    subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    let port = settings::port()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("port {port} is taken; choose another one, such as PORT={} make dev", port ^ 1))?;
    let (postgres, database_url) = if let Some(url) = settings::environment("DATABASE_URL") {
        ensure_is_local(&url)?;
        (None, url)
    } else {
        let postgres = Postgres::kept(&programs::private_folder()?).await?;
        let url = postgres.url("postgres");
        (Some(postgres), url)
    };
    supabase_roles::create_supabase_roles(&database_url).await?;
    migrations::run(&database_url).await?;

    let values = settings::from_environment(&database_url, port);
    let exports = settings::exports(&values);
    // Lives as long as the process, as on Lambda.
    let functions: &'static Functions =
        Box::leak(Box::new(settings::functions(&values, Clock::system(), CONNECTIONS)?));
    let hold = value(&values, "CLICK_HOLD_SECONDS").map_or_else(String::new, |hold| hold.expose_secret().to_owned());
    let account = GoogleAccount::dev();
    let accounts = [AdsAccount::from(&account), AdsAccount::second_dev()];
    let google = GoogleSandbox::new(account);
    google.add_account(AdsAccount::second_dev());
    let crm = CrmSandbox::new();
    crm.put_samples();
    let router = server::router(functions, &google, &crm, exports);
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    println!(
        "Open http://localhost:{port} and click the ad (Ctrl-C stops it; `make demo` plays the story in another terminal)"
    );
    println!("  webhook secret  {}", settings::WEBHOOK_SECRET);
    println!("  health key      {}", settings::HEALTH_KEY);
    println!("  click hold      {hold} s (CLICK_HOLD_SECONDS)");
    println!("  database        {}", if postgres.is_some() { &database_url } else { "yours (DATABASE_URL)" });
    println!("  Google          a sandbox: GET /sandbox/google/events, POST /sandbox/google/faults");
    for account in accounts {
        let actions: Vec<_> = account.conversion_actions.into_iter().collect();
        println!("  Ads account     {} with the conversion actions {}", account.customer_id, actions.join(", "));
    }
    println!("  uploader        every {} s, and now by POST /dev/tick", SCHEDULE.as_secs());
    println!("  rows            GET /dev/rows");
    println!("  CRMs            every preset at /api/webhooks/<source>, a sandbox of the CRMs for lookups");
    println!("  adtrail         eval \"$(curl -s localhost:{port}/dev/env)\" gives it these settings");

    tokio::select! {
        served = axum::serve(listener, router) => served?,
        () = server::schedule(&functions.upload_conversions, SCHEDULE) => {}
        () = stopped() => {}
    }
    match postgres {
        Some(postgres) => postgres.stop().await,
        None => Ok(()),
    }
}

/// `make dev` migrates the database, and marks its queued conversions as delivered once the sandbox accepted them.
fn ensure_is_local(url: &str) -> anyhow::Result<()> {
    let options: PgConnectOptions = url.parse().map_err(|_| anyhow::anyhow!("DATABASE_URL is no PostgreSQL URL"))?;
    anyhow::ensure!(
        is_on_this_machine(&options),
        "DATABASE_URL names a server on another machine. `make dev` would migrate it and mark its queued conversions as \
         delivered, although only a sandbox got them. Unset DATABASE_URL, or give a database on this machine."
    );
    Ok(())
}

/// Ctrl-C or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
