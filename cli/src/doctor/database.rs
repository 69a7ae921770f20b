//! Can the functions use the database, is its schema this version's, and is it closed to everybody else?

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::clock::Clock;
use shared::config;
use shared::db::inspection::{self, Exposure, Kind};
use shared::db::migrations::{self, Migration, Schema};
use shared::db::{Db, DbError, is_on_this_machine};
use shared::settings::{Settings, Values};

use tokio::time::timeout;

use super::clock;
use super::report::{Report, capitalised, sentence};
use super::settings::has_placeholder;

/// For a name in DNS.
const LOOKUP: Duration = Duration::from_secs(10);

const ADDRESS: &str = "database.address";
const LOGIN: &str = "database.login";
const TLS: &str = "database.tls";
const SCHEMA: &str = "database.schema";
const ACCESS: &str = "database.access";
const DATABASE_URL: &str = "DATABASE_URL";

/// One connection, tried once: Supabase locks out addresses that keep trying a wrong password.
pub(super) async fn check(values: &Values, report: &mut Report) -> Option<Db> {
    let mut settings = Settings::new(values);
    let Some(options) = config::database(&mut settings) else {
        report.not_checked(LOGIN, "DATABASE_URL is missing or can't be read");
        return None;
    };
    if has_placeholder(values, DATABASE_URL) {
        report.not_checked(LOGIN, "DATABASE_URL is a placeholder");
        return None;
    }
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let is_here = is_on_this_machine(&options);
    if !is_here {
        let addresses = timeout(LOOKUP, tokio::net::lookup_host((host.as_str(), port))).await;
        let addresses = addresses.ok().and_then(Result::ok).map(Iterator::collect::<Vec<_>>);
        if let Some((problem, fix)) = wrong_address(&host, port, addresses.as_deref()) {
            report.error(ADDRESS, problem, fix);
            report.not_checked(LOGIN, "the address is wrong");
            return None;
        }
    }
    report.right(ADDRESS, format!("{host}:{port}"));
    let db = Db::new(options, 1);
    let times = db.tx(async |tx| {
        let before = Clock::system().now();
        let there = inspection::time(tx).await?;
        Ok::<_, DbError>((before, there, Clock::system().now()))
    });
    match times.await {
        Ok(times) => {
            report.right(LOGIN, "a transaction through this address was answered");
            if is_here {
                report.not_checked(TLS, "the database is on this machine");
            } else {
                report.right(TLS, "the certificate is verified");
            }
            check_clock(times, report);
        }
        Err(error) => {
            let (problem, fix) = unusable(&error);
            let name = if problem.contains("certificate") { TLS } else { LOGIN };
            report.error(name, problem, fix);
            return None;
        }
    }
    check_schema(&db, report).await;
    check_access(&db, report).await;
    Some(db)
}

/// What is wrong with where the functions are told to connect to, and the fix.
fn wrong_address(host: &str, port: u16, addresses: Option<&[SocketAddr]>) -> Option<(String, String)> {
    const POOLER: &str = "Use the string of the transaction pooler, which Supabase shows under Connect: its host ends in \
         .pooler.supabase.com and its port is 6543.";
    let has_only_ipv6 = addresses.is_some_and(|all| !all.is_empty() && all.iter().all(SocketAddr::is_ipv6));
    let is_direct = host.starts_with("db.") && host.ends_with(".supabase.co");
    if has_only_ipv6 || (is_direct && addresses.is_none()) {
        let problem = format!("{host} has only an IPv6 address, which Lambda doesn't reach.");
        return Some((problem, POOLER.into()));
    }
    if host.ends_with(".pooler.supabase.com") && port == 5432 {
        let problem = "DATABASE_URL has port 5432, where each sandbox of a function keeps one of the few sessions.";
        return Some((problem.into(), "Use port 6543 of the same host; migrations find 5432 by themselves.".into()));
    }
    if addresses.is_none() {
        let problem = format!("The name {host} of DATABASE_URL is not known in DNS.");
        let fix = "Copy the string from Supabase under Connect, and percent-encode the password: @ is %40, / is %2F.";
        return Some((problem, fix.into()));
    }
    None
}

/// Why no transaction was possible, and the fix.
fn unusable(error: &DbError) -> (String, String) {
    let said = error.to_string();
    let has = |text: &str| said.contains(text);
    let fix = if has("DATABASE_CA_PEM") {
        "Set DATABASE_CA_PEM to the certificate of that authority; at Supabase leave it out."
    } else if has("certificate") {
        "Name the database in DATABASE_URL as its certificate does."
    } else if has("ECIRCUITBREAKER") {
        "Correct the password in DATABASE_URL, then wait ten minutes: Supabase has locked this address out."
    } else if has("the login was refused") {
        "Correct user (postgres.PROJECT at Supabase) and percent-encoded password in DATABASE_URL, then wait a minute."
    } else if has("3D000") {
        "Correct the name of the database, which is the last part of DATABASE_URL; at Supabase it is postgres."
    } else {
        "Look whether the project is paused or has network restrictions, and correct host and port of DATABASE_URL."
    };
    // The fix is said once.
    let said = said.split(": check user").next().unwrap_or_default();
    let said = said.split(": set DATABASE_CA_PEM").next().unwrap_or_default();
    let said = said.split(": name the database").next().unwrap_or_default();
    (sentence(&capitalised(said)), fix.into())
}

fn check_clock((before, there, after): (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>), report: &mut Report) {
    clock::compare("clock.database", "the database", before + (after - before) / 2, there, report);
}

async fn check_schema(db: &Db, report: &mut Report) {
    let names = |missing: &[Migration]| missing.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    match db.tx(async |tx| migrations::compare(tx).await).await {
        Ok(Schema::Current) => report.right(SCHEMA, "has every migration of this version"),
        Ok(Schema::None) => {
            report.error(SCHEMA, "The schema isn't there.", "Run adtrail migrate.");
        }
        Ok(Schema::Older(missing)) => {
            let problem = format!("The schema is older than this adtrail: it lacks {}.", names(&missing));
            report.error(SCHEMA, problem, "Run adtrail migrate, or supabase db push if that made the schema.");
        }
        Ok(Schema::Half { missing, fix }) => {
            let problem = format!("The schema is half migrated: {} is missing or unfinished.", names(&missing));
            report.error(SCHEMA, problem, capitalised(&fix));
        }
        Ok(Schema::Newer(version)) => {
            let problem = format!("The schema is newer than this adtrail: it has migration {version}.");
            report.error(SCHEMA, problem, "Use the adtrail of that release or a newer one, and deploy it.");
        }
        Ok(Schema::Unrecorded) => {
            report
                .not_checked(SCHEMA, "it was made without a record of its migrations, with psql or in the SQL editor");
        }
        Err(error) => report.not_checked(SCHEMA, sentence(&error.to_string())),
    }
}

async fn check_access(db: &Db, report: &mut Report) {
    let exposures = match db.tx(async |tx| inspection::exposures(tx).await).await {
        Ok(exposures) => exposures,
        Err(error) => return report.not_checked(ACCESS, sentence(&error.to_string())),
    };
    for exposure in exposures {
        report.error(ACCESS, what_is_open(&exposure), format!("Run: {}", exposure.fix));
    }
    report.right_unless_found(
        ACCESS,
        "no right, policy or view built on Adtrail's tables lets anon, authenticated or everybody in; its functions neither",
    );
}

fn what_is_open(Exposure { kind, object, detail, .. }: &Exposure) -> String {
    match kind {
        Kind::NoRowSecurity => format!("Row level security of the table {object} is off."),
        Kind::Policy => format!("The table {object} has a policy that lets others in: {detail}."),
        Kind::Grant => format!("{detail} {object}."),
        Kind::OwnersView => format!("The view {object} runs as its owner, past row level security."),
        Kind::Execute => format!("The function {object} may be called by {detail}."),
        Kind::PastRowSecurity => format!("Row level security doesn't hold for {object}, which has {detail}."),
        Kind::Member => format!("Membership in {object} lets others in: {detail}."),
        Kind::BuiltOn => format!("The view {object} shows rows of Adtrail's tables past their rights: {detail} it."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_lambda_cannot_use_is_named() {
        let both = ["[2001:db8::1]:5432", "192.0.2.1:5432"].map(|address| address.parse().unwrap());
        let (only_ipv6, both, unknown) = (Some(&both[..1]), Some(&both[..]), None);
        let direct = "db.abcdefghijklmnopqrst.supabase.co";
        let pooler = "aws-0-eu-central-1.pooler.supabase.com";
        for (host, port, addresses, said) in [
            (direct, 5432, only_ipv6, Some("only an IPv6 address")),
            (direct, 5432, unknown, Some("only an IPv6 address")),
            ("postgres.example.com", 5432, only_ipv6, Some("only an IPv6 address")),
            // With the IPv4 add-on.
            (direct, 5432, both, None),
            (pooler, 5432, both, Some("port 5432")),
            (pooler, 6543, both, None),
            (pooler, 6543, unknown, Some("not known in DNS")),
            ("postgres.example.com", 5432, both, None),
        ] {
            let found = wrong_address(host, port, addresses).map(|(problem, _)| problem);
            assert_eq!(found.is_some(), said.is_some(), "{host}:{port} {found:?}");
            assert!(found.unwrap_or_default().contains(said.unwrap_or_default()), "{host}:{port}");
        }
    }
}
