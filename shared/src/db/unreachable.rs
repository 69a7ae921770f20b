//! What to do when Postgres can't be reached at all. The network's own words name no fix.

use std::io;

use sqlx::postgres::PgConnectOptions;

/// Of Supabase's pooler in session mode, and of a direct connection.
const SESSION_PORT: u16 = 5432;

const POOLER: &str = "use the pooler's host, which Supabase shows under Connect and whose name ends in \
     .pooler.supabase.com, with port 6543, which is its transaction mode, in DATABASE_URL";

/// Why no connection was made.
pub(super) enum Failure<'a> {
    /// What the network said.
    Error(&'a sqlx::Error),
    /// Nothing.
    NoAnswer,
}

/// What happened and the fix, if it is the address that is wrong, or the network on the way there.
pub(super) fn explain(failure: &Failure<'_>, options: &PgConnectOptions) -> Option<String> {
    if options.get_socket().is_some() {
        return None;
    }
    let (host, port) = (options.get_host(), options.get_port());
    let said = match failure {
        Failure::Error(error) => match error {
            sqlx::Error::Io(error) => error.to_string(),
            _ => error.as_database_error()?.message().to_owned(),
        },
        Failure::NoAnswer => "no answer to the connection attempt".to_owned(),
    };
    let at = format!("{said} ({host}:{port})");
    let has_only_ipv6 = host.starts_with('[') || host.contains("::") || is_direct(host);
    let ipv6 = || {
        Some(format!(
            "{at}: it has only an IPv6 address, as a Supabase direct connection has, and Lambda doesn't reach those: \
             {POOLER}"
        ))
    };
    match failure {
        Failure::NoAnswer if has_only_ipv6 => ipv6(),
        Failure::NoAnswer => Some(format!(
            "{at}: look whether the project is paused or has network restrictions, and whether host and port in \
             DATABASE_URL are right; port {SESSION_PORT} of Supabase's pooler is for sessions: {POOLER}"
        )),
        Failure::Error(sqlx::Error::Io(error)) => match error.kind() {
            _ if is_no_way_there(error) && has_only_ipv6 => ipv6(),
            _ if is_no_way_there(error) => Some(format!(
                "{at}: there is no way there from here. If it has only an IPv6 address, as a Supabase direct connection \
                 has, {POOLER}; if the functions are in a VPC, give it a way out"
            )),
            _ if is_unknown_name(&said) && has_only_ipv6 => ipv6(),
            _ if is_unknown_name(&said) => Some(format!(
                "{at}: the host's name isn't known. Copy the string from Supabase under Connect, and percent-encode the \
                 password: @ is %40, / is %2F, # is %23"
            )),
            io::ErrorKind::ConnectionRefused if port == SESSION_PORT => Some(format!(
                "{at}: nothing listens at port {SESSION_PORT}, which is for sessions. For the functions {POOLER}"
            )),
            io::ErrorKind::ConnectionRefused => Some(format!(
                "{at}: nothing listens there: look whether the project is paused, and correct host and port in \
                 DATABASE_URL; Supabase's transaction mode has port 6543"
            )),
            _ => None,
        },
        Failure::Error(_) if is_out_of_sessions(&said) => {
            Some(format!("{at}: each sandbox of a function keeps one of the few sessions: {POOLER}"))
        }
        Failure::Error(_) if is_unknown_tenant(&said) => Some(format!(
            "{at}: the pooler knows no such project: the user in DATABASE_URL must be postgres.PROJECT, with the host of \
             the project's own region, as Supabase shows them under Connect"
        )),
        Failure::Error(_) => None,
    }
}

/// Supabase's direct connections have IPv6 only, unless IPv4 is paid for.
fn is_direct(host: &str) -> bool {
    host.starts_with("db.") && host.ends_with(".supabase.co")
}

fn is_no_way_there(error: &io::Error) -> bool {
    /// Linux' numbers of "address family not supported" and "cannot assign requested address": a machine without IPv6.
    const WITHOUT_IPV6: [i32; 2] = [97, 99];
    matches!(error.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable)
        || error.raw_os_error().is_some_and(|number| WITHOUT_IPV6.contains(&number))
}

fn is_unknown_name(said: &str) -> bool {
    said.contains("failed to lookup address information")
}

fn is_out_of_sessions(said: &str) -> bool {
    ["MaxClientsInSessionMode", "EMAXCONNSESSION"].iter().any(|word| said.contains(word))
}

fn is_unknown_tenant(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["tenant or user not found", "tenant/user"].iter().any(|words| said.contains(words)) && said.contains("not found")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn explained(failure: io::Error, address: &str) -> Option<String> {
        let options = PgConnectOptions::from_str(&format!("postgresql://app:hush@{address}/postgres")).unwrap();
        explain(&Failure::Error(&sqlx::Error::Io(failure)), &options)
    }

    #[test]
    fn each_unreachable_address_is_named_with_its_fix() {
        let os = io::Error::from_raw_os_error;
        let unknown = || io::Error::other("failed to lookup address information: No address associated with hostname");
        for (error, address, words) in [
            (os(113), "[2001:db8::1]:5432", "only an IPv6 address"),
            (os(101), "[2001:db8::1]:6543", "only an IPv6 address"),
            (os(99), "[2001:db8::1]:5432", "only an IPv6 address"),
            (os(97), "db.abcdefgh.supabase.co:5432", "only an IPv6 address"),
            (os(101), "db.abcdefgh.supabase.co:6543", "only an IPv6 address"),
            (unknown(), "db.abcdefgh.supabase.co:5432", "only an IPv6 address"),
            (unknown(), "sh@aws-0-x.pooler.supabase.com:6543", "name isn't known"),
            (os(101), "db.example.com:5432", "no way there"),
            (os(113), "192.0.2.1:5432", "no way there"),
            (os(111), "127.0.0.1:5432", "port 5432, which is for sessions"),
            (os(111), "db.example.com:5432", "port 5432, which is for sessions"),
            (os(111), "127.0.0.1:6544", "nothing listens there"),
        ] {
            let sentence = explained(error, address).unwrap_or_else(|| panic!("{address}"));
            assert!(sentence.contains(words), "{address}: {sentence}");
            assert!(sentence.contains("6543") || sentence.contains("percent-encode"), "{address}: {sentence}");
            assert!(!sentence.contains("hush"), "{sentence}");
        }
        assert_eq!(explained(os(104), "127.0.0.1:5432"), None, "a reset connection is no wrong address");
    }

    #[test]
    fn silence_is_explained_too() {
        for (address, words) in [
            ("[2001:db8::1]:5432", "only an IPv6 address"),
            ("db.abcdefgh.supabase.co:5432", "only an IPv6 address"),
            ("aws-0-x.pooler.supabase.com:6543", "paused"),
            ("192.0.2.1:5432", "network restrictions"),
            ("db.example.com:6543", "DATABASE_URL"),
        ] {
            let options = PgConnectOptions::from_str(&format!("postgresql://app:hush@{address}/postgres")).unwrap();
            let sentence = explain(&Failure::NoAnswer, &options).unwrap();
            assert!(sentence.contains(words) && sentence.contains("6543"), "{address}: {sentence}");
        }
        let socket = PgConnectOptions::from_str("postgresql://app@localhost/postgres?host=/run/postgresql").unwrap();
        assert_eq!(explain(&Failure::NoAnswer, &socket), None);
    }

    #[test]
    fn what_the_pooler_says_of_sessions_and_projects_is_known() {
        for said in [
            "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
            "(EMAXCONNSESSION) max clients reached in session mode",
        ] {
            assert!(is_out_of_sessions(said), "{said}");
        }
        for said in [
            "Tenant or user not found",
            "(ENOTFOUND) tenant/user postgres.abc not found",
            "FATAL: tenant or user not found",
        ] {
            assert!(is_unknown_tenant(said), "{said}");
        }
        assert!(!is_out_of_sessions("(ECHECKOUTTIMEOUT) unable to check out connection in Transaction mode"));
        assert!(!is_unknown_tenant("database \"x\" not found"));
    }
}
